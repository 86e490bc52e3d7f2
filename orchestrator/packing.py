"""One archive from what a guest sends and from papers, as it comes: never whole in memory, never whole on disk twice.

Of what is sent only files and folders are taken: a link may lead anywhere. What is left out is named in the archive.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from orchestrator.errors import InvalidInput

DATA, SUMS, LEFT_OUT = "donnees", "SHA256SUMS", "NON-REPRIS.txt"
GIB = 1024**3


@dataclass(frozen=True)
class Packed:
    """The archive's size and SHA-256, and how many files of data are in it."""

    bytes: int
    sha256: str
    files: int


class Hashed:
    """A file through which bytes go one way, counted and hashed."""

    def __init__(self, through: IO[bytes] | Any) -> None:
        self.through, self.hash, self.count = through, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        return self._seen(self.through.read(size))

    def write(self, data: bytes) -> int:
        self._seen(data)
        return int(self.through.write(data))

    def _seen(self, data: bytes) -> bytes:
        self.hash.update(data)
        self.count += len(data)
        return data


@dataclass
class Archive:
    """The archive while it is written: everything in one folder `title`, each file's sum remembered."""

    tar: tarfile.TarFile
    title: str
    at: datetime
    sums: list[str] = field(default_factory=list)

    def add(self, name: str, size: int, content: Any, *, executable: bool = False) -> None:
        info = self._info(name, 0o755 if executable else 0o644)
        info.size, hashed = size, Hashed(content)
        self.tar.addfile(info, hashed)
        self.sums.append(f"{hashed.hash.hexdigest()}  {name}\n")
        self.tar.members.clear()  # type: ignore[attr-defined]  # it would remember every one

    def add_text(self, name: str, text: str) -> None:
        # A guest may name files in bytes that are no text: they come, and go, as surrogates.
        content = text.encode(errors="surrogateescape")
        self.add(name, len(content), io.BytesIO(content))

    def add_folder(self, name: str) -> None:
        info = self._info(name, 0o755)
        info.type = tarfile.DIRTYPE
        self.tar.addfile(info)

    def _info(self, name: str, mode: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(f"{self.title}/{name}")
        info.mode, info.mtime = mode, int(self.at.timestamp())
        return info


def pack(source: IO[bytes], target: Path, title: str, papers: Mapping[str, str], at: datetime, most_gib: int) -> Packed:
    """Write the archive `target` from the tar stream `source` and the papers, by name; sums of all in it last.

    Raises InvalidInput `export_too_big` when the data are more than `most_gib`, tarfile.TarError or OSError when the
    stream ends too early.
    """
    target.touch(mode=0o600)
    with target.open("wb") as file:
        written = Hashed(file)
        with tarfile.open(fileobj=written, mode="w|gz") as tar:  # type: ignore[call-overload]
            archive = Archive(tar, title, at)
            for name, text in papers.items():
                archive.add_text(name, text)
            files, left_out = _take(source, archive, most_gib * GIB)
            if left_out:
                archive.add_text(LEFT_OUT, "".join(f"{name}\n" for name in left_out))
            archive.add_text(SUMS, "".join(archive.sums))
    return Packed(written.count, written.hash.hexdigest(), files)


def _take(source: IO[bytes], archive: Archive, most: int) -> tuple[int, list[str]]:
    """Put what is sent into the archive, `most` bytes of data at most; how many files, and the names of what is left
    out: what is neither file nor folder, or would leave the folder."""
    files, left_out = 0, list[str]()
    with tarfile.open(fileobj=source, mode="r|") as sent:
        while (info := sent.next()) is not None:
            sent.members.clear()  # type: ignore[attr-defined]
            name = PurePosixPath(DATA, info.name)
            inside = name.is_relative_to(DATA) and ".." not in name.parts
            if not inside or not (info.isdir() or info.isreg()):
                left_out.append(info.name)
            elif info.isdir():
                archive.add_folder(str(name))
            else:
                most -= info.size
                if most < 0:
                    raise _too_big()
                archive.add(str(name), info.size, sent.extractfile(info), executable=bool(info.mode & 0o100))
                files += 1
    return files, left_out


def _too_big() -> InvalidInput:
    return InvalidInput(
        "export_too_big",
        "Les données dépassent ce qu’un export peut contenir.",
        "Demandez à la DSI d’élever CLOCHER_EXPORT_GIB.",
    )
