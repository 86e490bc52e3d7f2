"""Data volumes and their snapshots, by Cinder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.cloud import Cloud, Tag, instant, read_tag, translated


@dataclass(frozen=True)
class Volume:
    """A volume as Cinder tells it. server_ids: the servers it is attached to."""

    id: str
    name: str
    project_id: str
    status: str
    size_gib: int
    created_at: datetime | None
    server_ids: tuple[str, ...]
    tag: Tag | None


@dataclass(frozen=True)
class VolumeSnapshot:
    """A volume as it was, as Cinder tells it. volume_id: of that volume."""

    id: str
    name: str
    project_id: str
    status: str
    size_gib: int
    created_at: datetime | None
    volume_id: str
    tag: Tag | None


def create_volume(cloud: Cloud, name: str, size_gib: int, *, tag: Tag, snapshot_id: str | None = None) -> Volume:
    """Ask Cinder for a volume, empty or with what a snapshot holds; it is being made when this returns."""
    source = {"snapshot_id": snapshot_id} if snapshot_id else {}
    with translated():
        return _volume(
            cloud.connection.block_storage.create_volume(name=name, size=size_gib, metadata=tag.metadata(), **source)
        )


def get_volume(cloud: Cloud, volume_id: str) -> Volume:
    """The volume now; CloudNotFound when there is none."""
    with translated():
        return _volume(cloud.connection.block_storage.get_volume(volume_id))


def list_volumes(cloud: Cloud) -> list[Volume]:
    """The volumes of the cloud's project."""
    with translated():
        return [_volume(found) for found in cloud.connection.block_storage.volumes()]


def find_volume(cloud: Cloud, tag: Tag) -> Volume | None:
    """The project's volume that carries the tag."""
    return next((volume for volume in list_volumes(cloud) if tag.marks_same(volume.tag)), None)


def delete_volume(cloud: Cloud, volume_id: str) -> None:
    """Ask Cinder to delete the volume; CloudNotFound when it is gone already, CloudConflict while it is in use."""
    with translated():
        cloud.connection.block_storage.delete_volume(volume_id, ignore_missing=False)


def extend_volume(cloud: Cloud, volume_id: str, size_gib: int) -> None:
    """Ask Cinder to make the volume bigger; CloudRefused when it can't while the volume is in use."""
    with translated():
        cloud.connection.block_storage.extend_volume(volume_id, size_gib)


def create_snapshot(cloud: Cloud, name: str, volume_id: str, *, tag: Tag) -> VolumeSnapshot:
    """Ask Cinder to keep the volume as it is now, in use or not; it is being made when this returns."""
    with translated():
        return _snapshot(
            cloud.connection.block_storage.create_snapshot(
                name=name, volume_id=volume_id, is_forced=True, metadata=tag.metadata()
            )
        )


def get_snapshot(cloud: Cloud, snapshot_id: str) -> VolumeSnapshot:
    """The snapshot now; CloudNotFound when there is none."""
    with translated():
        return _snapshot(cloud.connection.block_storage.get_snapshot(snapshot_id))


def list_snapshots(cloud: Cloud) -> list[VolumeSnapshot]:
    """The volume snapshots of the cloud's project."""
    with translated():
        return [_snapshot(found) for found in cloud.connection.block_storage.snapshots()]


def find_snapshot(cloud: Cloud, tag: Tag) -> VolumeSnapshot | None:
    """The project's volume snapshot that carries the tag."""
    return next((found for found in list_snapshots(cloud) if tag.marks_same(found.tag)), None)


def delete_snapshot(cloud: Cloud, snapshot_id: str) -> None:
    """Ask Cinder to delete the snapshot; CloudNotFound when it is gone already."""
    with translated():
        cloud.connection.block_storage.delete_snapshot(snapshot_id, ignore_missing=False)


def _snapshot(found: Any) -> VolumeSnapshot:
    return VolumeSnapshot(
        id=found.id,
        name=found.name,
        project_id=found.project_id or "",
        status=found.status,
        size_gib=found.size,
        created_at=instant(found.created_at),
        volume_id=found.volume_id,
        tag=read_tag(found.metadata),
    )


def _volume(found: Any) -> Volume:
    return Volume(
        id=found.id,
        name=found.name,
        project_id=found.project_id,
        status=found.status,
        size_gib=found.size,
        created_at=instant(found.created_at),
        server_ids=tuple(attached["server_id"] for attached in found.attachments or ()),
        tag=read_tag(found.metadata),
    )
