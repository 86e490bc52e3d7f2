"""Servers, and what they need from Nova and Glance: flavors, images, keys, attachments, usage."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from orchestrator.cloud import Cloud, Tag, instant, read_tag, translated
from orchestrator.errors import CloudConflict, CloudError, CloudNotFound, CloudUnavailable, NotFound

RESTORED = "clocher:restored"  # metadata: the flow that rebuilt the server last


@dataclass(frozen=True)
class Server:
    """A server as Nova tells it.

    fault: Nova's reason when status is ERROR; launched_at: when it first ran, at its present size and from its present
    image; flavor: by name; restored_by: the number of the flow that rebuilt it last.
    """

    id: str
    name: str
    project_id: str
    status: str
    task_state: str | None
    fault: str
    created_at: datetime | None
    launched_at: datetime | None
    volume_ids: tuple[str, ...]
    flavor: str
    restored_by: int | None
    tag: Tag | None


@dataclass(frozen=True)
class ServerUsage:
    """What Nova says a server ran. hours: between the two instants asked for; ended_at: None while it exists."""

    server_id: str
    name: str
    project_id: str
    hours: Decimal
    vcpus: int
    ram_mib: int
    started_at: datetime | None
    ended_at: datetime | None


def find_flavor(cloud: Cloud, name: str) -> str:
    """The id of the flavor `name`."""
    with translated():
        return _known(cloud.connection.compute.find_flavor(name), f"flavor {name}")


def find_image(cloud: Cloud, name: str) -> str:
    """The id of the image `name`."""
    with translated():
        return _known(cloud.connection.image.find_image(name), f"image {name}")


def _known(found: Any, what: str) -> str:
    if found is None:
        raise CloudNotFound(
            "cloud_not_found", "Le catalogue et le nuage ne s’accordent pas.", "Prévenez la DSI.", detail=f"no {what}"
        )
    return str(found.id)


def import_keypair(cloud: Cloud, prefix: str, public_key: str) -> str:
    """Make sure that Nova holds `public_key`; its name there, which changes with the key."""
    name = f"{prefix}-{hashlib.sha256(public_key.encode()).hexdigest()[:12]}"
    with translated():
        if cloud.connection.compute.find_keypair(name) is None:
            try:
                with translated():
                    cloud.connection.compute.create_keypair(name=name, public_key=public_key)
            except CloudConflict:
                pass  # another flow has just imported the same key
    return name


def create_server(
    cloud: Cloud, name: str, *, tag: Tag, flavor_id: str, image_id: str, port_id: str, keypair: str, user_data: str = ""
) -> str:
    """Ask Nova for a server on a port that exists; the id of the server, which is building when this returns."""
    optional = {"user_data": base64.b64encode(user_data.encode()).decode()} if user_data else {}
    with translated():
        made = cloud.connection.compute.create_server(
            name=name,
            flavor_id=flavor_id,
            image_id=image_id,
            networks=[{"port": port_id}],
            key_name=keypair,
            metadata=tag.metadata(),
            **optional,
        )
    return str(made.id)


def get_server(cloud: Cloud, server_id: str) -> Server:
    """The server now; CloudNotFound when there is none."""
    with translated():
        return _server(cloud.connection.compute.get_server(server_id))


def list_servers(cloud: Cloud) -> list[Server]:
    """The servers of the cloud's project."""
    with translated():
        return [_server(found) for found in cloud.connection.compute.servers()]


def find_server(cloud: Cloud, tag: Tag) -> Server | None:
    """The project's server that carries the tag."""
    return next((server for server in list_servers(cloud) if tag.marks_same(server.tag)), None)


def stop_server(cloud: Cloud, server_id: str) -> None:
    """Ask Nova to stop the server; CloudConflict when it is not running."""
    with translated():
        cloud.connection.compute.stop_server(server_id)


def start_server(cloud: Cloud, server_id: str) -> None:
    """Ask Nova to start the server; CloudConflict when it is not stopped."""
    with translated():
        cloud.connection.compute.start_server(server_id)


def delete_server(cloud: Cloud, server_id: str) -> None:
    """Ask Nova to delete the server; CloudNotFound when it is gone already."""
    with translated():
        cloud.connection.compute.delete_server(server_id, ignore_missing=False)


def reboot_server(cloud: Cloud, server_id: str, *, hard: bool) -> None:
    """Ask Nova to restart the server: by its own system, or (hard) by pulling the plug."""
    with translated():
        cloud.connection.compute.reboot_server(server_id, "HARD" if hard else "SOFT")


def name_server(cloud: Cloud, server_id: str, name: str) -> None:
    """Give the server another name in Nova; its host name is the guest's own affair."""
    with translated():
        cloud.connection.compute.update_server(server_id, name=name)


def resize_server(cloud: Cloud, server_id: str, flavor_id: str) -> None:
    """Ask Nova to give the server another flavor; it then waits in VERIFY_RESIZE for confirm or revert."""
    with translated():
        cloud.connection.compute.resize_server(server_id, flavor_id)


def confirm_resize(cloud: Cloud, server_id: str) -> None:
    """Keep the new size."""
    with translated():
        cloud.connection.compute.confirm_server_resize(server_id)


def revert_resize(cloud: Cloud, server_id: str) -> None:
    """Give the server its former size back."""
    with translated():
        cloud.connection.compute.revert_server_resize(server_id)


def rebuild_server(cloud: Cloud, server: Server, image_id: str, *, flow_id: int) -> None:
    """Ask Nova to make the server anew from an image; ports, addresses, attached volumes and its tag are kept.

    flow_id is marked on it by the same call, so that who asks again sees that it was done.
    """
    tag = server.tag.metadata() if server.tag else {}
    with translated():
        cloud.connection.compute.rebuild_server(server.id, image_id, metadata=tag | {RESTORED: str(flow_id)})


def snapshot_server(cloud: Cloud, server_id: str, name: str, *, tag: Tag) -> str:
    """Ask Nova for an image of the server's own disk, which carries the tag; its id. It is being made."""
    with translated():
        return str(cloud.connection.compute.create_server_image(server_id, name, metadata=tag.metadata()).id)


def attach_volume(cloud: Cloud, server_id: str, volume_id: str) -> None:
    """Attach a volume to a server; CloudConflict when it is busy or attached."""
    with translated():
        cloud.connection.compute.create_volume_attachment(server_id, volume_id)


def detach_volume(cloud: Cloud, server_id: str, volume_id: str) -> None:
    """Ask Nova to detach a volume from a server."""
    with translated():
        cloud.connection.compute.delete_volume_attachment(server_id, volume_id, ignore_missing=False)


def console_log(cloud: Cloud, server_id: str, lines: int = 50) -> str:
    """The last lines that the guest wrote on its console."""
    with translated():
        answer = cloud.connection.compute.get_server_console_output(server_id, length=lines)
    return str(answer["output"])


def remote_console(cloud: Cloud, server_id: str) -> str:
    """A URL that opens the guest's screen in a browser, for some minutes and for whoever holds it.

    Raises NotFound `console_not_offered` when the cloud has none.
    """
    try:
        with translated():
            made = cloud.connection.compute.create_server_remote_console(server_id, protocol="vnc", type="novnc")
    except CloudUnavailable:
        raise
    except CloudError as error:
        raise NotFound(
            "console_not_offered",
            "Ce nuage n’offre pas d’écran à distance.",
            "Lisez le journal de la console, ou connectez-vous en SSH.",
            detail=error.detail,
        ) from error
    return str(made.url)


def list_usage(cloud: Cloud, project_id: str, since: datetime, until: datetime) -> list[ServerUsage]:
    """Nova's own account of a project's servers (`os-simple-tenant-usage`) between two instants."""
    # Nova takes UTC instants that don't say their zone, and answers in pages that end with an empty one.
    start, end = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (since, until))
    usages: list[ServerUsage] = []
    while True:
        marker = {"marker": usages[-1].server_id} if usages else {}
        with translated():
            page = cloud.connection.compute.get_usage(project_id, start=start, end=end, **marker).server_usages or []
        if not page:
            return usages
        usages += [_usage(line) for line in page]


def _usage(line: Any) -> ServerUsage:
    return ServerUsage(
        server_id=line.instance_id,
        name=line.name,
        project_id=line.project_id,
        hours=Decimal(str(line.hours)),
        vcpus=line.vcpus,
        ram_mib=line.memory_mb,
        started_at=instant(line.started_at),
        ended_at=instant(line.ended_at),
    )


def _server(found: Any) -> Server:
    return Server(
        id=found.id,
        name=found.name,
        project_id=found.project_id,
        status=found.status,
        task_state=found.task_state,
        fault=(found.fault or {}).get("message", ""),
        created_at=instant(found.created_at),
        launched_at=instant(found.launched_at),
        volume_ids=tuple(attached["id"] for attached in found.attached_volumes or ()),
        flavor=found.flavor.original_name or found.flavor.name or "",
        restored_by=int(mark) if (mark := (found.metadata or {}).get(RESTORED, "")).isdigit() else None,
        tag=read_tag(found.metadata),
    )
