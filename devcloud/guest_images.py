"""The read-only layers below a guest: its Glance image, mounted once for all, and what a guest takes of this host.

Members' images never hold anything of the host. But a guest on a machine with certificate authorities of its own must
trust them too, or it reaches no package registry; they go into a thin layer over the image. Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devcloud import squashfs

AUTHORITIES = Path("/usr/local/share/ca-certificates")
SQUASHFS = b"hsqs"
# What makes a machine this machine and no other. Not its host keys: as on any disk they stay, for a server that is
# rebuilt from its own image needs them, and in another one cloud-init makes new ones.
ITS_OWN = ("etc/machine-id", "var/lib/dbus/machine-id", "var/lib/cloud/seed")


class ImageFormatError(squashfs.ImageError):
    """The image is not one that guests can boot."""


def layers(image: Path) -> list[str]:
    """The directories of a squashfs image, uppermost first, mounted if need be; ImageFormatError if it is none."""
    with image.open("rb") as handle:
        if handle.read(4) != SQUASHFS:
            raise ImageFormatError("not an image of this cloud: a squashfs of a root file system is wanted")
    with _locked(image):
        base = mount(image)
        extra = _host_layer(image, base)
    return [str(extra), str(base)] if extra else [str(base)]


def mount(image: Path) -> Path:
    """Mount an image beside its file, once; the loop device goes with the mount."""
    point = image.with_suffix(".mounted")
    point.mkdir(exist_ok=True)
    if not point.is_mount():
        squashfs.run("mount", "-t", "squashfs", "-o", "loop,ro,nodev", str(image), str(point))
    return point


def pack(root: Path, mounts_of: int | None, target: Path) -> None:
    """Write the tree at `root` as an image. `mounts_of`: a process whose mount namespace has it, None for ours.

    What makes a machine this machine is left out.
    """
    within = ("nsenter", "--target", str(mounts_of), "--mount", "--") if mounts_of else ()
    squashfs.pack(root, target, leave_out=ITS_OWN, within=within)


def pack_layers(upper: Path, work: Path, below: list[str], target: Path) -> None:
    """`pack` for a guest that is off: its layers are put together for the time of the packing."""
    with tempfile.TemporaryDirectory(dir=target.parent) as point:
        _overlay(Path(point), below, upper, work)
        try:
            pack(Path(point), None, target)
        finally:
            squashfs.run("umount", point)


def _host_layer(image: Path, base: Path) -> Path | None:
    """The layer with the host's extra certificate authorities, made by the image's own tool; None when not needed."""
    wanted = {path.name: path.read_bytes() for path in sorted(AUTHORITIES.glob("*.crt"))}
    inside = base / AUTHORITIES.relative_to("/")
    has_all = all((inside / name).is_file() and (inside / name).read_bytes() == text for name, text in wanted.items())
    if has_all or not (base / "usr/sbin/update-ca-certificates").exists():
        return None
    layer = image.with_suffix(f".{hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]}")
    if not layer.exists():
        with tempfile.TemporaryDirectory(dir=image.parent) as scratch:
            _make_layer(Path(scratch), base, wanted).rename(layer)
    return layer


def _make_layer(scratch: Path, base: Path, files: dict[str, bytes]) -> Path:
    """Run update-ca-certificates over the image, in a container without network, and keep what it wrote."""
    upper, work, root = (scratch / name for name in ("upper", "work", "root"))
    for directory in (upper, work, root):
        directory.mkdir()
    _overlay(root, [str(base)], upper, work)
    try:
        target = root / AUTHORITIES.relative_to("/")
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (target / name).write_bytes(text)
        squashfs.run(
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--pipe",
            "--as-pid2",
            "--resolv-conf=off",
            "--timezone=off",
            f"--machine=clocher-{uuid.uuid4().hex[:8]}",  # the folder's name may hold an underscore: no machine's may
            "--directory",
            str(root),
            "update-ca-certificates",
        )
    finally:
        squashfs.run("umount", str(root))
    shutil.rmtree(upper / "tmp", ignore_errors=True)
    return upper


def _overlay(point: Path, below: list[str], upper: Path, work: Path) -> None:
    options = f"lowerdir={':'.join(below)},upperdir={upper},workdir={work}"
    squashfs.run("mount", "-t", "overlay", "overlay", "-o", options, str(point))


@contextmanager
def _locked(image: Path) -> Iterator[None]:
    with image.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
