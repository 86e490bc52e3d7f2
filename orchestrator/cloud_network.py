"""Ports and public addresses (floating IPs), by Neutron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.cloud import Cloud, Tag, instant, read_tag, translated
from orchestrator.errors import CloudNotFound, Text


@dataclass(frozen=True)
class Port:
    """A server's network card. address: its fixed IPv4 in the member's network; device_id: the server it serves."""

    id: str
    name: str
    project_id: str
    address: str
    device_id: str
    created_at: datetime | None
    tag: Tag | None


@dataclass(frozen=True)
class FloatingIp:
    """A public address. port_id: where it leads, None when nowhere."""

    id: str
    project_id: str
    address: str
    port_id: str | None
    created_at: datetime | None
    tag: Tag | None


def create_port(
    cloud: Cloud, name: str, network_id: str, security_group_id: str, *, tag: Tag, doors: Sequence[str] = ()
) -> Port:
    """Make a port in a member's network, behind its security group. doors: groups that let more in."""
    with translated():
        return _port(
            cloud.connection.network.create_port(
                name=name,
                network_id=network_id,
                security_group_ids=[security_group_id, *doors],
                description=tag.description(),
            )
        )


def get_port(cloud: Cloud, port_id: str) -> Port:
    """The port now; CloudNotFound when there is none."""
    with translated():
        return _port(cloud.connection.network.get_port(port_id))


def list_ports(cloud: Cloud) -> list[Port]:
    """The ports of the cloud's project."""
    with translated():
        return [_port(found) for found in cloud.connection.network.ports()]


def find_port(cloud: Cloud, tag: Tag) -> Port | None:
    """The project's port that carries the tag."""
    return next((port for port in list_ports(cloud) if tag.marks_same(port.tag)), None)


def delete_port(cloud: Cloud, port_id: str) -> None:
    """Delete the port; CloudNotFound when it is gone already."""
    with translated():
        cloud.connection.network.delete_port(port_id, ignore_missing=False)


def check_network(cloud: Cloud, network_id: str) -> None:
    """CloudNotFound when the network is not there."""
    with translated():
        cloud.connection.network.get_network(network_id)


def find_network(cloud: Cloud, name: str) -> str:
    """The id of the network `name`."""
    with translated():
        found = cloud.connection.network.find_network(name)
    if found is None:
        raise CloudNotFound(
            "cloud_not_found",
            Text("Le réseau « {name} » n’existe pas dans le nuage.", name=name),
            "Corrigez CLOCHER_EXTERNAL_NETWORK.",
        )
    return str(found.id)


def create_floating_ip(cloud: Cloud, external_network_id: str, port_id: str, *, tag: Tag) -> FloatingIp:
    """Take a public address that leads to `port_id` from its first instant."""
    with translated():
        return _floating_ip(
            cloud.connection.network.create_ip(
                floating_network_id=external_network_id, port_id=port_id, description=tag.description()
            )
        )


def get_floating_ip(cloud: Cloud, floating_ip_id: str) -> FloatingIp:
    """The public address now; CloudNotFound when it was given back."""
    with translated():
        return _floating_ip(cloud.connection.network.get_ip(floating_ip_id))


def list_floating_ips(cloud: Cloud) -> list[FloatingIp]:
    """The public addresses of the cloud's project."""
    with translated():
        return [_floating_ip(found) for found in cloud.connection.network.ips()]


def find_floating_ip(cloud: Cloud, tag: Tag) -> FloatingIp | None:
    """The project's public address that carries the tag."""
    return next((found for found in list_floating_ips(cloud) if tag.marks_same(found.tag)), None)


def delete_floating_ip(cloud: Cloud, floating_ip_id: str) -> None:
    """Give the public address back; CloudNotFound when that was done already."""
    with translated():
        cloud.connection.network.delete_ip(floating_ip_id, ignore_missing=False)


def _port(found: Any) -> Port:
    return Port(
        id=found.id,
        name=found.name,
        project_id=found.project_id,
        address=next((fixed["ip_address"] for fixed in found.fixed_ips or ()), ""),
        device_id=found.device_id or "",
        created_at=instant(found.created_at),
        tag=read_tag(found.description),
    )


def _floating_ip(found: Any) -> FloatingIp:
    return FloatingIp(
        id=found.id,
        project_id=found.project_id,
        address=found.floating_ip_address,
        port_id=found.port_id,
        created_at=instant(found.created_at),
        tag=read_tag(found.description),
    )
