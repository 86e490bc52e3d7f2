"""What a notification of the cloud says: which thing of which project, what was done to it, when, how it is since then.

Nova's are versioned (payloads in `nova_object.data`); those of Cinder, Neutron and Glance have no version. Their
moments are the cloud's own: that of the payload where it has one, else that at which the service said it was done.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from orchestrator.cloud import instant, read_tag
from orchestrator.cloud_history import Act, Found
from orchestrator.cloud_images import GIB

log = structlog.get_logger()

# What is read, and the act that it tells of, in Nova's words (those of `os-instance-actions`).
ACTS = {
    "instance.create.end": "create",
    "instance.delete.end": "delete",
    "instance.soft_delete.end": "delete",
    "instance.power_off.end": "stop",
    "instance.power_on.end": "start",
    "instance.suspend.end": "suspend",
    "instance.resume.end": "resume",
    "instance.shelve.end": "shelve",
    "instance.unshelve.end": "unshelve",
    "instance.resize_finish.end": "resize",
    "instance.resize_revert.end": "revertResize",
    "volume.create.end": "create",
    "volume.resize.end": "resize",
    "volume.delete.end": "delete",
    "snapshot.create.end": "create",
    "snapshot.delete.end": "delete",
    "floatingip.create.end": "create",
    "floatingip.delete.end": "delete",
    "image.activate": "create",
    "image.delete": "delete",
}


@dataclass(frozen=True)
class Notification:
    """id: the sender's; told again it is the same. found: the thing as it was once the act was through."""

    id: str
    project_id: str
    act: Act
    found: Found


def read(message: Mapping[str, Any]) -> Notification | None:
    """What a message says, in oslo.messaging's form; None for one that says nothing of what is metered.

    One that can't be understood is told in the log: the hourly reading will see what it was about.
    """
    kind = message.get("event_type")
    if not isinstance(kind, str) or kind not in ACTS:
        return None
    try:
        return READ[kind.partition(".")[0]](message, ACTS[kind])
    except (KeyError, TypeError, ValueError, AttributeError, SyntaxError) as error:
        log.warning("notification not understood", event_type=kind, id=message.get("message_id"), detail=str(error))
        return None


def _server(message: Mapping[str, Any], name: str) -> Notification:
    one = message["payload"]["nova_object.data"]
    flavor, act = one["flavor"]["nova_object.data"], _act(message, name, one.get("action_initiator_user"))
    gone = instant(one["terminated_at"]) or instant(one["deleted_at"]) or act.at
    found = Found(
        "server", one["uuid"], one["display_name"] or "", "", read_tag(one["metadata"]), instant(one["created_at"]),
        act.at, flavor["vcpus"], flavor["memory_mb"], launched_at=instant(one["launched_at"]),
        deleted_at=gone if name == "delete" else None,
    )  # fmt: skip
    return Notification(message["message_id"], one["tenant_id"], act, found)


def _volume(message: Mapping[str, Any], name: str) -> Notification:
    one = message["payload"]
    marks = one["metadata"] or {}
    if isinstance(marks, list):
        marks = {mark["key"]: mark["value"] for mark in marks}
    return _plain(message, name, "volume", one["volume_id"], one["display_name"], one["tenant_id"], marks, one["size"])


def _snapshot(message: Mapping[str, Any], name: str) -> Notification:
    one = message["payload"]
    marks = ast.literal_eval(one["metadata"] or "{}")  # Cinder writes Python's form of it
    return _plain(
        message, name, "volume_snapshot", one["snapshot_id"], one["display_name"], one["tenant_id"], marks,
        one["volume_size"],
    )  # fmt: skip


def _address(message: Mapping[str, Any], name: str) -> Notification:
    one = message["payload"]["floatingip"]
    return _plain(
        message, name, "floating_ip", one["id"], one["floating_ip_address"], one["project_id"], one["description"], None
    )


def _image(message: Mapping[str, Any], name: str) -> Notification | None:
    one = message["payload"]
    size = -(-(one["size"] or 0) // GIB)
    if not size:
        return None
    return _plain(message, name, "image", one["id"], one["name"], one["owner"], one["properties"], size)


def _plain(
    message: Mapping[str, Any], name: str, kind: str, thing_id: str, called: str | None, project_id: str,
    marks: dict[str, str] | str | None, disk_gib: int | None,
) -> Notification:  # fmt: skip
    """Of a service that says neither who acted nor, mostly, when something was deleted."""
    act = _act(message, name, None)
    one = message["payload"].get("floatingip", message["payload"])
    gone = (instant(one.get("deleted_at")) or act.at) if name == "delete" else None
    found = Found(
        kind, thing_id, called or "", "", read_tag(marks), instant(one["created_at"]), act.at, disk_gib=disk_gib,
        deleted_at=gone,
    )  # fmt: skip
    return Notification(message["message_id"], project_id, act, found)


def _act(message: Mapping[str, Any], name: str, by: str | None) -> Act:
    at = instant(message["timestamp"])
    if at is None:
        raise ValueError("no timestamp")
    return Act(name, at, by)


READ: dict[str, Callable[[Mapping[str, Any], str], Notification | None]] = {
    "instance": _server,
    "volume": _volume,
    "snapshot": _snapshot,
    "floatingip": _address,
    "image": _image,
}
