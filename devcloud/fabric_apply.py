"""Make the kernel match a plan: namespaces, interfaces, addresses, routes, rules. Idempotent, only differences."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from devcloud import fabric_rules as rules
from devcloud import plug
from devcloud.fabric_plan import Leg, Network, Plan, Router, subnets
from devcloud.place import Place
from devcloud.plug import BRIDGE, port_device, run

ROUTE_PROTOCOL = "219"  # marks our routes; a number that iproute2 has no name for


class Applier:
    """Remembers what was applied last, so that an unchanged network or router costs nothing."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._applied: dict[str, Any] = {}

    def apply(self, plan: Plan) -> None:
        """Bring everything to the plan. Networks first: a router's leg needs its bridge."""
        place = self._place
        wanted = {plug.network_ns(place.number, key): network for key, network in plan.networks.items()}
        routers = {
            plug.router_ns(place.number, key): router
            for key, router in plan.routers.items()
            if router.gateway or router.legs
        }
        for kind, names in (("rtr", routers), ("net", wanted)):
            self._remove(kind, set(names))
        for name, network in wanted.items():
            self._once(name, network, lambda name=name, network=network: self._network(name, network))
        for name, router in routers.items():
            self._once(name, router, lambda name=name, router=router: self._router(name, router))
        ways = [(router.gateway, router.legs) for router in plan.routers.values()]
        self._once("routes", ways, lambda: self._routes(host_routes(place, list(plan.routers.values()))))

    def _once(self, key: str, wanted: Any, act: Any) -> None:
        if self._applied.get(key) != wanted:
            self._applied.pop(key, None)  # if it fails half-way, the next run does it again
            act()
            self._applied[key] = wanted

    def _remove(self, kind: str, keep: set[str]) -> None:
        for name in plug.namespaces(f"{self._place.prefix}-{kind}-"):
            if name not in keep:
                with plug.locked():
                    run("ip", "netns", "delete", name)
                self._applied.pop(name, None)

    def _network(self, name: str, network: Network) -> None:
        with plug.locked():
            plug.make_network(self._place.number, network.id)
        _load(name, rules.network_rules(self._place.number, network))

    def _router(self, name: str, router: Router) -> None:
        with plug.locked():
            if plug.make_namespace(name):
                run(
                    "ip",
                    "netns",
                    "exec",
                    name,
                    "sysctl",
                    "-qw",
                    "net.ipv4.ip_forward=1",
                    "net.ipv4.conf.all.rp_filter=0",
                    "net.ipv6.conf.all.disable_ipv6=1",
                    "net.ipv6.conf.default.disable_ipv6=1",
                )
            outer = self._device("g", router.gateway.port_id) if router.gateway else ""
            wanted = {self._device("r", leg.port_id): leg for leg in router.legs}
            for device in plug.devices(name):
                if device != "lo" and device not in wanted and device != outer:
                    run("ip", "-n", name, "link", "delete", device)
            for device, leg in wanted.items():
                self._leg(name, device, leg)
            if router.gateway:
                self._gateway(name, outer, router)
        _load(name, rules.router_rules(router, outer))
        _set_routes(name, ([("default", self._place.external_gateway)] if router.gateway else []) + router.routes)

    def _leg(self, namespace: str, device: str, leg: Leg) -> None:
        if device not in plug.devices(namespace):
            network = plug.make_network(self._place.number, leg.network_id)
            peer = port_device(self._place.number, leg.port_id)
            if peer in plug.devices(network):
                run("ip", "-n", network, "link", "delete", peer)
            run(
                "ip",
                "-n",
                namespace,
                "link",
                "add",
                device,
                "address",
                leg.mac,
                "type",
                "veth",
                "peer",
                "name",
                peer,
                "netns",
                network,
            )
            run("ip", "-n", network, "link", "set", peer, "master", BRIDGE, "up")
            run("ip", "-n", namespace, "link", "set", device, "up")
        _set_addresses(namespace, device, leg.addresses)

    def _gateway(self, namespace: str, device: str, router: Router) -> None:
        leg = router.gateway
        assert leg
        if device not in plug.devices(namespace):
            peer = self._device("x", leg.port_id)
            if Path(f"/sys/class/net/{peer}").exists():
                run("ip", "link", "delete", peer)
            run(
                "ip",
                "link",
                "add",
                peer,
                "type",
                "veth",
                "peer",
                "name",
                device,
                "address",
                leg.mac,
                "netns",
                namespace,
            )
            run("ip", "link", "set", peer, "master", self._place.external_bridge, "up")
            run("ip", "-n", namespace, "link", "set", device, "up")
        _set_addresses(namespace, device, rules.gateway_addresses(leg, router))

    def _device(self, letter: str, port_id: str) -> str:
        return f"c{self._place.number}{letter}{port_id.replace('-', '')[:10]}"

    def _routes(self, wanted: dict[str, str]) -> None:
        bridge = self._place.external_bridge
        known = {
            route["dst"]: route.get("gateway")
            for route in json.loads(run("ip", "-j", "route", "show", "proto", ROUTE_PROTOCOL, "dev", bridge) or "[]")
        }
        for prefix in known.keys() - wanted.keys():
            run("ip", "route", "delete", prefix, "dev", bridge, "proto", ROUTE_PROTOCOL)
        for prefix, gateway in wanted.items():
            if known.get(prefix) != gateway:
                run(
                    "ip",
                    "route",
                    "replace",
                    prefix,
                    "via",
                    gateway,
                    "dev",
                    bridge,
                    "src",
                    self._place.external_gateway,
                    "proto",
                    ROUTE_PROTOCOL,
                )


def host_routes(place: Place, routers: list[Router]) -> dict[str, str]:
    """Tenant prefix → its router's external address, for the host as the edge that learnt the members' prefixes.

    Prefixes may overlap between members, as on any cloud; the first that came has the route, and the others are
    reached by floating IP. A prefix that the host itself uses, or another instance, is left alone.
    """
    taken = [
        ip_network(route["dst"])
        for route in json.loads(run("ip", "-j", "route", "show"))
        if route["dst"] != "default"
        and not (route.get("protocol") == ROUTE_PROTOCOL and route["dev"] == place.external_bridge)
    ]
    found: dict[str, str] = {}
    for router in routers:
        if not router.gateway or not router.gateway.addresses:
            continue
        for prefix in subnets(router.legs):
            network = ip_network(prefix)
            if not any(network.overlaps(other) for other in taken):
                taken.append(network)
                found[prefix] = router.gateway.addresses[0].partition("/")[0]
    return found


def _load(namespace: str, text: str) -> None:
    run("ip", "netns", "exec", namespace, "nft", "-f", "-", text=text)


def _set_addresses(namespace: str, device: str, wanted: tuple[str, ...]) -> None:
    shown = json.loads(run("ip", "-n", namespace, "-j", "-4", "addr", "show", "dev", device) or "[]")
    known = {f"{entry['local']}/{entry['prefixlen']}" for link in shown for entry in link.get("addr_info", ())}
    for address in known - set(wanted):
        run("ip", "-n", namespace, "addr", "delete", address, "dev", device)
    for address in wanted:
        if address not in known:
            run("ip", "-n", namespace, "addr", "add", address, "dev", device)


def _set_routes(namespace: str, wanted: list[tuple[str, str]]) -> None:
    shown = json.loads(run("ip", "-n", namespace, "-j", "route", "show", "proto", ROUTE_PROTOCOL) or "[]")
    known = {(route["dst"], route.get("gateway", "")) for route in shown}
    for prefix, hop in known - set(wanted):
        run("ip", "-n", namespace, "route", "delete", prefix, "via", hop, "proto", ROUTE_PROTOCOL)
    for prefix, hop in wanted:
        if (prefix, hop) not in known:
            run("ip", "-n", namespace, "route", "replace", prefix, "via", hop, "proto", ROUTE_PROTOCOL)
