"""A guest's side of the network: its namespace, its cards, their addresses, its resolver. Standard library only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from devcloud import plug

HOST_RESOLVER = Path("/etc/resolv.conf")


@dataclass
class Card:
    """A port as the guest sees it; `addresses` with their prefix length (`10.0.0.5/24`)."""

    port_id: str
    network_id: str
    mac: str
    mtu: int
    addresses: list[str]
    gateway: str | None
    resolvers: list[str]


def connect(instance: int, namespace: str, cards: list[Card]) -> None:
    """Make the guest's namespace and plug and address all its cards; harmless when done before."""
    with plug.locked():
        plug.make_namespace(namespace)
    for index, card in enumerate(cards):
        add(instance, namespace, card, default_route=index == 0)


def add(instance: int, namespace: str, card: Card, default_route: bool) -> None:
    """Plug one card. The first card's gateway is the guest's way out."""
    name = plug.plug(instance, card.network_id, card.port_id, card.mac, namespace, card.mtu)
    for address in card.addresses:
        plug.run("ip", "-n", namespace, "addr", "replace", address, "dev", name)
    if default_route and card.gateway:
        family = f"-{ipaddress.ip_address(card.gateway).version}"
        plug.run("ip", family, "-n", namespace, "route", "replace", "default", "via", card.gateway, "dev", name)


def disconnect(instance: int, namespace: str, ports: list[str]) -> None:
    """Unplug the ports and take the namespace away."""
    for port_id in ports:
        plug.unplug(port_id, instance)
    with plug.locked():
        if (plug.NETNS_DIR / namespace).exists():
            plug.run("ip", "netns", "delete", namespace)


def resolver(cards: list[Card]) -> str:
    """Text of the guest's resolv.conf: its subnets' name servers, else the host's own."""
    servers = [server for card in cards for server in card.resolvers]
    if servers:
        return "".join(f"nameserver {server}\n" for server in servers)
    return HOST_RESOLVER.read_text()
