"""What the cloud tells of the things of one project: what there is, what changed since an instant, what was done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.cloud import Cloud, Tag, fetch, instant, read_tag, translated
from orchestrator.cloud_images import GIB


@dataclass(frozen=True)
class Found:
    """A thing that is metered, as the cloud tells it now. vcpus, ram_mib, disk_gib: None where its kind has none.

    launched_at: since when a server runs at its present size; deleted_at: None while it is there.
    """

    kind: str
    id: str
    name: str
    status: str
    tag: Tag | None
    created_at: datetime | None
    updated_at: datetime | None
    vcpus: int | None = None
    ram_mib: int | None = None
    disk_gib: int | None = None
    launched_at: datetime | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True)
class Act:
    """What was done to a server, by Nova's word for it; at: when it was through. by: the account's id, None: Nova."""

    name: str
    at: datetime
    by: str | None


def list_things(cloud: Cloud, project_id: str) -> list[Found]:
    """All that the project has and that is metered. What is still being made is left for the next time."""
    with translated():
        found = [_server(one) for one in cloud.connection.compute.servers()]
        for kind, things in _others(cloud, project_id).items():
            found += [thing for one in things if (thing := READ[kind](one)) and thing.status not in UNMADE]
    return found


UNMADE = ("creating", "error", "error_deleting", "queued", "saving", "importing", "killed", "deleted", "pending_delete")


def _others(cloud: Cloud, project_id: str) -> dict[str, list[Any]]:
    sdk = cloud.connection
    return {
        "volume": list(sdk.block_storage.volumes()),
        "volume_snapshot": list(sdk.block_storage.snapshots()),
        "floating_ip": [one for one in sdk.network.ips() if one.project_id == project_id],
        "image": [one for one in sdk.image.images(owner=project_id) if (one.owner_id or one.owner) == project_id],
    }


def list_changed(cloud: Cloud, since: datetime) -> list[Found]:
    """The servers that changed since an instant, with those that are gone (Nova's `changes-since`)."""
    moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with translated():
        return [_server(one) for one in cloud.connection.compute.servers(changes_since=moment)]


def list_acts(cloud: Cloud, server_id: str) -> list[Act]:
    """What was done to a server that Nova still knows, gone or not, the oldest first; what failed is left out."""
    with translated():
        told = fetch(cloud.connection.compute, f"/servers/{server_id}/os-instance-actions", microversion=TIMED)
    found = [_act(one) for one in told["instanceActions"] if one["message"] != "Error"]
    return sorted(found, key=lambda act: act.at)


TIMED = "2.58"  # Nova's first version that says when an act was through; it gives a thousand, the newest


def is_there(cloud: Cloud, kind: str, thing_id: str) -> bool:
    """Asks for one thing, where a list did not have it; CloudError as everywhere."""
    get: Callable[..., Any] = {
        "server": cloud.connection.compute.find_server,
        "volume": cloud.connection.block_storage.find_volume,
        "volume_snapshot": cloud.connection.block_storage.find_snapshot,
        "floating_ip": cloud.connection.network.find_ip,
        "image": cloud.connection.image.find_image,
    }[kind]
    with translated():
        return get(thing_id, ignore_missing=True) is not None


def account_id(cloud: Cloud) -> str:
    """Who we are, as acts name it."""
    with translated():
        return str(cloud.connection.current_user_id)


def _act(one: Any) -> Act:
    at = instant(one["updated_at"] or one["start_time"])
    assert at is not None
    return Act(one["action"], at, one["user_id"])


def _server(one: Any) -> Found:
    flavor: Any = one.flavor
    gone = instant(one.terminated_at) or instant(one.updated_at)
    return Found(
        "server", one.id, one.name, one.status, read_tag(one.metadata), instant(one.created_at),
        instant(one.updated_at), vcpus=flavor.vcpus, ram_mib=flavor.ram, launched_at=instant(one.launched_at),
        deleted_at=gone if one.status in ("DELETED", "SOFT_DELETED") else None,
    )  # fmt: skip


def _disk(kind: str) -> Callable[[Any], Found | None]:
    def read(one: Any) -> Found | None:
        return Found(
            kind, one.id, one.name or "", one.status, read_tag(one.metadata), instant(one.created_at),
            instant(one.updated_at), disk_gib=one.size,
        )  # fmt: skip

    return read


def _image(one: Any) -> Found | None:
    size = -(-(one.size or 0) // GIB)
    return Found(
        "image", one.id, one.name or "", one.status, read_tag(one.properties), instant(one.created_at),
        instant(one.updated_at), disk_gib=size,
    ) if size else None  # fmt: skip


def _address(one: Any) -> Found | None:
    return Found(
        "floating_ip", one.id, one.floating_ip_address, one.status, read_tag(one.description),
        instant(one.created_at), instant(one.updated_at),
    )  # fmt: skip


READ: dict[str, Callable[[Any], Found | None]] = {
    "volume": _disk("volume"),
    "volume_snapshot": _disk("volume_snapshot"),
    "image": _image,
    "floating_ip": _address,
}
