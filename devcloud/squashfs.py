"""Guests' images are squashfs files: run the programs that make and mount them. Standard library only."""

from __future__ import annotations

import subprocess
from pathlib import Path

SECONDS = 60
PACK_SECONDS = 900
# Packed in seconds rather than small.
OPTIONS = ("-comp", "zstd", "-Xcompression-level", "3", "-noappend", "-no-progress", "-quiet")


class ImageError(RuntimeError):
    """An image could not be made or mounted; the message holds the tool's last words."""


def run(*command: str, seconds: int = SECONDS) -> None:
    """Run a program; ImageError when it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise ImageError(f"{command[0]} failed:\n{done.stdout[-2000:].strip()}")


def pack(root: Path, target: Path, *, leave_out: tuple[str, ...] = (), within: tuple[str, ...] = ()) -> None:
    """Write the tree at `root` as an image, without what matches `leave_out`. `within`: a command to run this under."""
    excluded = ("-wildcards", "-e", *leave_out) if leave_out else ()
    run(*within, "mksquashfs", str(root), str(target), *OPTIONS, *excluded, seconds=PACK_SECONDS)
