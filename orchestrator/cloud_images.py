"""Images of servers, by Glance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.cloud import Cloud, Tag, instant, read_tag, translated

GIB = 1 << 30


@dataclass(frozen=True)
class Image:
    """An image as Glance tells it. size_gib: what it takes there, begun GiB counted whole; 0 while it is made."""

    id: str
    name: str
    project_id: str
    status: str
    size_gib: int
    created_at: datetime | None
    tag: Tag | None


def get_image(cloud: Cloud, image_id: str) -> Image:
    """The image now; CloudNotFound when there is none."""
    with translated():
        return _image(cloud.connection.image.get_image(image_id))


def list_images(cloud: Cloud, project_id: str) -> list[Image]:
    """The images that belong to a project."""
    with translated():
        return [_image(found) for found in cloud.connection.image.images(owner=project_id)]


def find_image(cloud: Cloud, tag: Tag, project_id: str) -> Image | None:
    """The project's image that carries the tag."""
    return next((image for image in list_images(cloud, project_id) if tag.marks_same(image.tag)), None)


def delete_image(cloud: Cloud, image_id: str) -> None:
    """Delete the image; CloudNotFound when it is gone already."""
    with translated():
        cloud.connection.image.delete_image(image_id, ignore_missing=False)


def _image(found: Any) -> Image:
    return Image(
        id=found.id,
        name=found.name or "",
        project_id=found.owner_id or found.owner or "",
        status=found.status,
        size_gib=-(-(found.size or 0) // GIB),
        created_at=instant(found.created_at),
        tag=read_tag(found.properties),
    )
