"""A member's network, subnet, router and security group, by Neutron. `cloud` is the member's project."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from orchestrator.cloud import Cloud, translated
from orchestrator.errors import CloudError, Text

DOOR = "clocher-tcp-"  # how the security groups are named that let everybody in by one port


@dataclass(frozen=True)
class Subnet:
    """A member's addresses."""

    id: str
    cidr: str
    nameservers: tuple[str, ...]


@dataclass(frozen=True)
class Router:
    """The way out. external_network_id: None when it leads nowhere."""

    id: str
    external_network_id: str | None


@dataclass(frozen=True)
class Rule:
    """Who may talk to whom. No protocol, ports or remote: any; remote: an IPv4 network."""

    direction: str
    protocol: str | None = None
    port: int | None = None
    remote: str | None = None
    ethertype: str = "IPv4"

    def __str__(self) -> str:
        way = "depuis" if self.direction == "ingress" else "vers"
        what = f"{self.protocol or 'tout'}{f' {self.port}' if self.port else ''}"
        return f"{what} {way} {self.remote or 'partout'} ({self.ethertype})"


@dataclass(frozen=True)
class SecurityGroup:
    """The rules that the cloud enforces, each with its id (None: a rule that we could not have written)."""

    id: str
    rules: tuple[tuple[str, Rule | None], ...]


def find_network(cloud: Cloud, name: str) -> str | None:
    """The id of the project's network `name`."""
    with translated():
        found = _only(cloud.connection.network.networks(name=name, project_id=_project(cloud)), name)
    return str(found.id) if found else None


def create_network(cloud: Cloud, name: str) -> str:
    """Make the network; its id."""
    with translated():
        return str(cloud.connection.network.create_network(name=name).id)


def delete_network(cloud: Cloud, network_id: str) -> None:
    """Delete the network with its subnets."""
    with translated():
        cloud.connection.network.delete_network(network_id, ignore_missing=False)


def find_subnet(cloud: Cloud, name: str) -> Subnet | None:
    """The project's subnet `name`."""
    with translated():
        found = _only(cloud.connection.network.subnets(name=name, project_id=_project(cloud)), name)
    return Subnet(found.id, found.cidr, tuple(found.dns_nameservers or ())) if found else None


def create_subnet(cloud: Cloud, name: str, network_id: str, cidr: str, nameservers: Iterable[str]) -> str:
    """Make the subnet; its id. Its first address is the router's."""
    with translated():
        return str(
            cloud.connection.network.create_subnet(
                name=name, network_id=network_id, ip_version=4, cidr=cidr, dns_nameservers=list(nameservers)
            ).id
        )


def update_subnet(cloud: Cloud, subnet_id: str, nameservers: Iterable[str]) -> None:
    """Set the name servers that new guests ask."""
    with translated():
        cloud.connection.network.update_subnet(subnet_id, dns_nameservers=list(nameservers))


def find_router(cloud: Cloud, name: str) -> Router | None:
    """The project's router `name`."""
    with translated():
        found = _only(cloud.connection.network.routers(name=name, project_id=_project(cloud)), name)
    return Router(found.id, (found.external_gateway_info or {}).get("network_id")) if found else None


def create_router(cloud: Cloud, name: str, external_network_id: str) -> str:
    """Make a router that leads to the external network; its id."""
    with translated():
        gateway = {"network_id": external_network_id}
        return str(cloud.connection.network.create_router(name=name, external_gateway_info=gateway).id)


def update_router(cloud: Cloud, router_id: str, external_network_id: str) -> None:
    """Lead the router to the external network."""
    with translated():
        gateway = {"network_id": external_network_id}
        cloud.connection.network.update_router(router_id, external_gateway_info=gateway)


def delete_router(cloud: Cloud, router_id: str) -> None:
    """Delete a router that has no interface left."""
    with translated():
        cloud.connection.network.delete_router(router_id, ignore_missing=False)


def is_connected(cloud: Cloud, router_id: str, subnet_id: str) -> bool:
    """Whether the router has an interface in the subnet."""
    with translated():
        ports = list(cloud.connection.network.ports(device_id=router_id))
    return any(fixed["subnet_id"] == subnet_id for port in ports for fixed in port.fixed_ips or ())


def connect(cloud: Cloud, router_id: str, subnet_id: str) -> None:
    """Give the router an interface in the subnet."""
    with translated():
        cloud.connection.network.add_interface_to_router(router_id, subnet=subnet_id)


def disconnect(cloud: Cloud, router_id: str, subnet_id: str) -> None:
    """Take the router's interface out of the subnet."""
    with translated():
        cloud.connection.network.remove_interface_from_router(router_id, subnet=subnet_id)


def find_security_group(cloud: Cloud, name: str) -> SecurityGroup | None:
    """The project's security group `name`, with its rules."""
    with translated():
        found = _only(cloud.connection.network.security_groups(name=name, project_id=_project(cloud)), name)
        return _security_group(found) if found else None


def create_security_group(cloud: Cloud, name: str) -> SecurityGroup:
    """Make a security group; Neutron may give it rules of its own."""
    with translated():
        return _security_group(cloud.connection.network.create_security_group(name=name, description="Clocher"))


def open_door(cloud: Cloud, port: int) -> str:
    """The id of the project's security group that lets everybody in by a TCP port; made when it is not there."""
    name, opened = f"{DOOR}{port}", Rule("ingress", "tcp", port)
    with translated():
        found = list(cloud.connection.network.security_groups(name=name, project_id=_project(cloud)))
    # Two flows may have made one each at once: either will do, and whoever comes later takes the same one.
    group = _security_group(min(found, key=lambda one: one.id)) if found else create_security_group(cloud, name)
    if opened not in {rule for _, rule in group.rules}:
        add_rules(cloud, group.id, [opened])
    return group.id


def delete_doors(cloud: Cloud) -> None:
    """Delete all that `open_door` made."""
    with translated():
        groups = list(cloud.connection.network.security_groups(project_id=_project(cloud)))
    for group in groups:
        if group.name.startswith(DOOR):
            delete_security_group(cloud, group.id)


def add_rules(cloud: Cloud, group_id: str, rules: Iterable[Rule]) -> None:
    """Add rules, in one call."""
    with translated():
        wanted = [_body(group_id, rule) for rule in rules]
        list(cloud.connection.network.create_security_group_rules(wanted))


def remove_rule(cloud: Cloud, rule_id: str) -> None:
    """Remove one rule."""
    with translated():
        cloud.connection.network.delete_security_group_rule(rule_id, ignore_missing=True)


def delete_security_group(cloud: Cloud, group_id: str) -> None:
    """Delete the security group with its rules."""
    with translated():
        cloud.connection.network.delete_security_group(group_id, ignore_missing=False)


def _project(cloud: Cloud) -> str:
    # Lists also hold what other projects share; ours only, by the project of the token.
    return str(cloud.connection.current_project_id)


def _only(found: Iterable[Any], name: str) -> Any | None:
    """The one thing found, or None. Names are not unique in Neutron; two of them are for a person to sort out."""
    things = list(found)
    if len(things) > 1:
        raise CloudError(
            "cloud_ambiguous",
            Text("Le nuage a {count} choses nommées « {name} » dans le même projet.", count=len(things), name=name),
            "Gardez celle qui sert et supprimez les autres, puis recommencez.",
            detail=", ".join(thing.id for thing in things),
        )
    return things[0] if things else None


def _security_group(found: Any) -> SecurityGroup:
    return SecurityGroup(found.id, tuple((rule["id"], _rule(rule)) for rule in found.security_group_rules or ()))


def _rule(found: dict[str, Any]) -> Rule | None:
    """None for a rule that has no form here: a group as its remote, a range of ports."""
    first, last = found["port_range_min"], found["port_range_max"]
    if first != last or found.get("remote_group_id") or found.get("remote_address_group_id"):
        return None
    return Rule(found["direction"], found["protocol"], first, found["remote_ip_prefix"], found["ethertype"])


def _body(group_id: str, rule: Rule) -> dict[str, Any]:
    return {
        "security_group_id": group_id,
        "direction": rule.direction,
        "ethertype": rule.ethertype,
        "protocol": rule.protocol,
        "port_range_min": rule.port,
        "port_range_max": rule.port,
        "remote_ip_prefix": rule.remote,
    }
