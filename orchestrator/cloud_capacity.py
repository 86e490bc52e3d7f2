"""What the cloud has and has left: hosts (Nova, Placement), public addresses (Neutron); what one project really uses.

Reads only, with the orchestrator's own account. Cinder tells how full its storage is to administrators only, which
that account is not: the installation says how much there is (`storage_gib`), and the members' own usage is summed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orchestrator.cloud import Cloud, fetch, translated
from orchestrator.cloud_network import find_network

CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB")  # of Placement; memory in MiB, disk in GiB
# Our names of what a member may hold, by the service that counts it, as the SDK names it.
COUNTED = {
    "servers": ("compute", "instances"),
    "vcpus": ("compute", "cores"),
    "ram_mib": ("compute", "ram"),
    "volumes": ("block_storage", "volumes"),
    "disk_gib": ("block_storage", "gigabytes"),
    "public_addresses": ("network", "floating_ips"),
}


@dataclass(frozen=True)
class Host:
    """A hypervisor: state up or down, status enabled or disabled."""

    name: str
    state: str
    status: str


@dataclass(frozen=True)
class Stock:
    """How much of a resource one place has: (total - reserved) × ratio can be handed out, `used` is."""

    resource: str
    place: str
    total: int
    reserved: int
    ratio: Decimal
    used: int


@dataclass(frozen=True)
class Usage:
    """What a project uses and may use, by the names of COUNTED; a limit of -1 is none."""

    used: Mapping[str, int]
    limits: Mapping[str, int]


def read_hosts(cloud: Cloud) -> list[Host]:
    """The hypervisors, by name."""
    with translated():
        found = [
            Host(one.name, one.state or "unknown", one.status or "unknown")
            for one in cloud.connection.compute.hypervisors(details=True)
        ]
    return sorted(found, key=lambda host: host.name)


def read_stocks(cloud: Cloud) -> list[Stock]:
    """All that the cloud counts for us: by host, and the external network's addresses."""
    return [*_hosts(cloud), _addresses(cloud)]


def _hosts(cloud: Cloud) -> list[Stock]:
    with translated():
        placement = cloud.connection.placement
        return [stock for provider in placement.resource_providers() for stock in _host(placement, provider)]


def _host(placement: Any, provider: Any) -> Iterator[Stock]:
    root = f"/resource_providers/{provider.id}"
    used = fetch(placement, f"{root}/usages")["usages"]
    for resource, held in fetch(placement, f"{root}/inventories")["inventories"].items():
        if resource in CLASSES:
            ratio, total, reserved = Decimal(str(held["allocation_ratio"])), int(held["total"]), int(held["reserved"])
            yield Stock(resource, provider.name, total, reserved, ratio, int(used.get(resource, 0)))


def _addresses(cloud: Cloud) -> Stock:
    name = cloud.settings.external_network
    network_id = find_network(cloud, name)
    with translated():
        [found] = cloud.connection.network.network_ip_availabilities(network_id=network_id)
        # Routers have an address there too: what is used is what is no longer free.
        return Stock("FLOATING_IP", name, int(found.total_ips), 0, Decimal(1), int(found.used_ips))


def read_usage(cloud: Cloud, project_id: str) -> Usage:
    """What the services say that a project uses, and their limits."""
    with translated():
        compute = cloud.connection.compute.get_quota_set(project_id, usage=True)
        storage = cloud.connection.block_storage.get_quota_set(project_id, usage=True)
        # Neutron tells what is used to the project itself only.
        network = cloud.project(project_id).connection.network.get_quota(project_id, details=True)
    used, limits = {}, {}
    for name, (service, counted) in COUNTED.items():
        if service == "network":
            told = network[counted]
            used[name], limits[name] = int(told["used"]), int(told["limit"])
        else:
            told = compute if service == "compute" else storage
            used[name], limits[name] = int(told.usage[counted]), int(told[counted])
    return Usage(used, limits)
