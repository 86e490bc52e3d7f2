"""From Nova's words to the guests': cards, disks, and the files by which a guest learns who it is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from nova.api.metadata import base as metadata
from nova.virt import driver

from devcloud.guest import Disk
from devcloud.guest_network import Card, resolver

SEED = "var/lib/cloud/seed/config_drive"  # where cloud-init looks for a config drive that is a directory


def card(vif: Any) -> Card:
    """One of Nova's virtual interfaces as a card of the guest."""
    subnets = vif["network"]["subnets"]
    gateways = [subnet["gateway"]["address"] for subnet in subnets if (subnet["gateway"] or {}).get("address")]
    return Card(
        port_id=vif["id"],
        network_id=vif["network"]["id"],
        mac=vif["address"],
        mtu=vif["network"]["meta"].get("mtu") or 1500,
        addresses=[f"{ip['address']}/{subnet['cidr'].split('/')[1]}" for subnet in subnets for ip in subnet["ips"]],
        gateway=gateways[0] if gateways else None,
        resolvers=[server["address"] for subnet in subnets for server in subnet["dns"]],
    )


def cards(network_info: Any) -> list[Card]:
    return [card(vif) for vif in network_info or ()]


def disk(connection_info: Any, mountpoint: str) -> Disk:
    """What Cinder's driver handed out (devcloud.volume) as a disk of the guest."""
    data = connection_info["data"]
    return Disk(data["volume_id"], Path(mountpoint).name, data["device_path"])


def disks(block_device_info: Any) -> list[Disk]:
    volumes = driver.block_device_info_get_mapping(block_device_info)
    return [disk(volume["connection_info"], volume["mount_device"]) for volume in volumes]


def write_identity(
    upper: Path, instance: Any, network_info: Any, injected_files: Any, admin_password: str | None
) -> None:
    """Write a new guest's identity over its image: the config drive's files (name, keys, user data), no machine id."""
    known = metadata.InstanceMetadata(
        instance,
        content=injected_files,
        network_info=network_info,
        extra_md={"admin_pass": admin_password} if admin_password else None,
    )
    seed = upper / SEED
    shutil.rmtree(seed, ignore_errors=True)
    for name, content in known.metadata_for_config_drive():
        if name.endswith(
            "/network_data.json"
        ):  # cloud-init would look for cards to set up; ours are set up from outside
            continue
        path = seed / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else str(content).encode())
    seed.chmod(0o700)  # the user data may hold secrets
    (upper / "etc").mkdir(exist_ok=True)
    (upper / "etc/machine-id").touch()  # an empty one tells systemd to take the id that it is started with
    (upper / "etc/hostname").write_text(f"{instance.hostname}\n")
    write_resolver(upper, network_info)


def write_resolver(upper: Path, network_info: Any) -> None:
    """The guest has no DHCP: its name servers are written for it before it boots."""
    path = upper / "etc/resolv.conf"
    path.unlink(missing_ok=True)
    path.write_text(resolver(cards(network_info)))
