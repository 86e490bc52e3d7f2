"""What the network should be, read from neutron's database: networks with their ports, routers, floating IPs, rules.

Reading takes a few milliseconds, so the whole plan is made anew at every change instead of following each kind of
event. The tables are those of the neutron in requirements.lock.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

FLOATING_IP = "network:floatingip"
INTERFACE = "network:router_interface"


@dataclass(frozen=True)
class Rule:
    """One security-group rule for IPv4. `remotes` None is everyone; an empty set is no one."""

    direction: str
    protocol: str | None
    low: int | None
    high: int | None
    remotes: tuple[str, ...] | None


@dataclass(frozen=True)
class Port:
    """A port on a network's bridge. `pairs` are the (MAC, address) that it may send from."""

    id: str
    mac: str
    addresses: tuple[str, ...]
    secured: bool
    pairs: tuple[tuple[str, str], ...]
    groups: tuple[str, ...]


@dataclass
class Network:
    id: str
    mtu: int
    ports: list[Port] = field(default_factory=list)
    groups: dict[str, list[Rule]] = field(default_factory=dict)


@dataclass(frozen=True)
class Leg:
    """A router's port: its addresses have their prefix length."""

    port_id: str
    network_id: str
    mac: str
    addresses: tuple[str, ...]


@dataclass
class Router:
    id: str
    snat: bool
    gateway: Leg | None
    legs: list[Leg] = field(default_factory=list)
    floating: list[tuple[str, str]] = field(default_factory=list)  # (public, fixed)
    routes: list[tuple[str, str]] = field(default_factory=list)  # (destination, next hop)


@dataclass
class Plan:
    networks: dict[str, Network]
    routers: dict[str, Router]
    # what neutron's API should say of them: ids of floating IPs that work and of those that do not
    floating_active: set[str]
    floating_down: set[str]
    ports_down: set[str]  # router's ports that neutron still calls DOWN


class Reader:
    """Reads plans, and tells when the database has changed since the last one."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row

    def version(self) -> int:
        """A number that changes whenever another connection commits."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def read(self) -> Plan:
        """The plan, from one consistent snapshot."""
        with self._connection:
            self._connection.execute("BEGIN")
            return _plan(self._rows)

    def _rows(self, query: str) -> list[Any]:
        return self._connection.execute(query).fetchall()


def _plan(rows: Any) -> Plan:
    prefixes = {
        row["id"]: row["cidr"].rpartition("/")[2] for row in rows("SELECT id, cidr FROM subnets WHERE ip_version = 4")
    }
    addresses = _group(
        (row["port_id"], f"{row['ip_address']}/{prefixes[row['subnet_id']]}")
        for row in rows("SELECT * FROM ipallocations ORDER BY ip_address")
        if row["subnet_id"] in prefixes
    )
    external = {row["network_id"] for row in rows("SELECT network_id FROM externalnetworks")}
    ports = {row["id"]: row for row in rows("SELECT * FROM ports ORDER BY id")}
    floating = rows("SELECT * FROM floatingips ORDER BY id")
    works = {row["id"] for row in floating if row["fixed_port_id"] and row["router_id"]}
    routers = _routers(rows, ports, addresses, floating)
    placed = {leg.port_id for router in routers.values() for leg in (router.gateway, *router.legs) if leg}
    return Plan(
        networks=_networks(rows, ports, addresses, external),
        routers=routers,
        floating_active={row["id"] for row in floating if row["id"] in works and row["status"] != "ACTIVE"},
        floating_down={row["id"] for row in floating if row["id"] not in works and row["status"] != "DOWN"},
        ports_down={port for port in placed if ports[port]["status"] != "ACTIVE"},
    )


def _networks(
    rows: Any, ports: dict[str, Any], addresses: dict[str, list[str]], external: set[str]
) -> dict[str, Network]:
    pairs = _group(
        (row["port_id"], (row["mac_address"], row["ip_address"])) for row in rows("SELECT * FROM allowedaddresspairs")
    )
    groups = _group(
        (row["port_id"], row["security_group_id"]) for row in rows("SELECT * FROM securitygroupportbindings")
    )
    open_ports = {row["port_id"] for row in rows("SELECT * FROM portsecuritybindings WHERE NOT port_security_enabled")}
    rules = _rules(rows, groups, addresses, pairs)
    found = {
        row["id"]: Network(row["id"], row["mtu"] or 1500)
        for row in rows("SELECT id, mtu FROM networks")
        if row["id"] not in external
    }
    for row in ports.values():
        network = found.get(row["network_id"])
        if network is None:
            continue
        own = tuple(address.partition("/")[0] for address in addresses.get(row["id"], ()))
        port = Port(
            id=row["id"],
            mac=row["mac_address"],
            addresses=own,
            secured=not row["device_owner"].startswith("network:") and row["id"] not in open_ports,
            pairs=tuple(sorted({*((row["mac_address"], address) for address in own), *pairs.get(row["id"], ())})),
            groups=tuple(sorted(groups.get(row["id"], ()))),
        )
        network.ports.append(port)
        network.groups.update({group: rules.get(group, []) for group in port.groups})
    return {key: network for key, network in found.items() if network.ports}


def _rules(
    rows: Any, groups: dict[str, list[str]], addresses: dict[str, list[str]], pairs: dict[str, list[tuple[str, str]]]
) -> dict[str, list[Rule]]:
    """Security group → its rules, with remote groups resolved to the addresses of their members."""
    members: dict[str, set[str]] = defaultdict(set)
    for port, its_groups in groups.items():
        own = {address.partition("/")[0] for address in addresses.get(port, ())} | {
            pair[1] for pair in pairs.get(port, ())
        }
        for group in its_groups:
            members[group] |= own
    lists = _group((row["address_group_id"], row["address"]) for row in rows("SELECT * FROM address_associations"))

    def remotes(row: Any) -> tuple[str, ...] | None:
        if row["remote_group_id"]:
            return tuple(sorted(members[row["remote_group_id"]]))
        if row["remote_address_group_id"]:
            return tuple(sorted(lists.get(row["remote_address_group_id"], ())))
        return (row["remote_ip_prefix"],) if row["remote_ip_prefix"] not in (None, "0.0.0.0/0") else None

    return _group(
        (
            row["security_group_id"],
            Rule(row["direction"], row["protocol"], row["port_range_min"], row["port_range_max"], remotes(row)),
        )
        for row in rows("SELECT * FROM securitygrouprules WHERE ethertype = 'IPv4' ORDER BY id")
    )


def _routers(
    rows: Any, ports: dict[str, Any], addresses: dict[str, list[str]], floating: list[Any]
) -> dict[str, Router]:
    def leg(port: str) -> Leg:
        row = ports[port]
        return Leg(port, row["network_id"], row["mac_address"], tuple(addresses.get(port, ())))

    found = {
        row["id"]: Router(
            row["id"], bool(row["enable_snat"]), leg(row["gw_port_id"]) if row["gw_port_id"] in ports else None
        )
        for row in rows("SELECT * FROM routers WHERE admin_state_up ORDER BY standard_attr_id")
    }
    for row in rows("SELECT * FROM routerports ORDER BY port_id"):
        if row["port_type"] == INTERFACE and row["router_id"] in found and row["port_id"] in ports:
            found[row["router_id"]].legs.append(leg(row["port_id"]))
    for row in floating:
        if row["fixed_port_id"] and row["router_id"] in found:
            found[row["router_id"]].floating.append((row["floating_ip_address"], row["fixed_ip_address"]))
    for row in rows("SELECT * FROM routerroutes ORDER BY destination, nexthop"):
        if row["router_id"] in found:
            found[row["router_id"]].routes.append((row["destination"], row["nexthop"]))
    return found


def subnets(legs: Iterable[Leg]) -> list[str]:
    """The prefixes that a router's legs are in."""
    return sorted({str(ip_interface(address).network) for leg in legs for address in leg.addresses})


def _group(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for key, value in pairs:
        grouped[key].append(value)
    return dict(grouped)
