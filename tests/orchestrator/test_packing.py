"""One archive from a stream and papers: whole, summed, with files and folders only, within its bounds."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import tarfile
import threading
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest

from orchestrator import packing
from orchestrator.errors import InvalidInput

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
PAPERS = {"LISEZMOI.txt": "Bonjour « vous ».\n", "registre.csv": "\ufeffObjet;é\r\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "export"
    (made / "photos" / "été 2026").mkdir(parents=True)
    (made / "photos" / "été 2026" / "fête.jpg").write_bytes(os.urandom(100_000))
    (made / "base.sql").write_text("INSERT INTO prets VALUES ('Le Petit Prince');\n")
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    (made / "passwd").symlink_to("/etc/passwd")
    return made


def sent(folder: Path) -> IO[bytes]:
    """As the guest sends it."""
    done = subprocess.run(["tar", "-C", str(folder), "-cf", "-", "."], capture_output=True, check=True)
    return io.BytesIO(done.stdout)


def pack(source: Any, target: Path, most_gib: int = 1) -> packing.Packed:
    return packing.pack(source, target, "brevaux-salut-2026-11-23", PAPERS, AT, most_gib)


def test_the_archive_holds_all_and_its_sums_are_right(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.tar.gz"
    packed = pack(sent(folder), target)
    assert (packed.bytes, packed.files) == (target.stat().st_size, 3)
    assert packed.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    subprocess.run(["tar", "-C", str(tmp_path), "-xzf", str(target)], check=True)
    out = tmp_path / "brevaux-salut-2026-11-23"
    checked = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=out, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    listed = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} - {packing.SUMS}
    assert listed == {line.split("  ", 1)[1] for line in (out / packing.SUMS).read_text().splitlines()}
    same = Path("photos/été 2026/fête.jpg")
    assert (out / "donnees" / same).read_bytes() == (folder / same).read_bytes()
    assert (out / "registre.csv").read_bytes() == PAPERS["registre.csv"].encode()
    assert os.access(out / "donnees" / "run.sh", os.X_OK)
    assert (out / packing.LEFT_OUT).read_text() == "./passwd\n"


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/cron.d/x"])
def test_what_a_guest_sends_stays_in_its_folder(tmp_path: Path, name: str, kind: bytes) -> None:
    source = io.BytesIO()
    with tarfile.open(fileobj=source, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type = kind
        tar.addfile(info)
    source.seek(0)
    assert pack(source, tmp_path / "a.tar.gz").files == 0
    with tarfile.open(tmp_path / "a.tar.gz") as made:
        assert {one.removeprefix("brevaux-salut-2026-11-23/") for one in made.getnames()} == {
            *PAPERS, packing.LEFT_OUT, packing.SUMS,
        }  # fmt: skip


def test_a_name_that_is_no_text_is_kept(folder: Path, tmp_path: Path) -> None:
    """As old programs wrote them: « été » in Latin-1."""
    named = os.fsencode(folder) + b"/\xe9t\xe9.txt"
    Path(os.fsdecode(named)).write_text("août")
    pack(sent(folder), tmp_path / "a.tar.gz")
    subprocess.run(["tar", "-C", str(tmp_path), "-xzf", str(tmp_path / "a.tar.gz")], check=True)
    out = tmp_path / "brevaux-salut-2026-11-23"
    checked = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=out, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    assert (os.fsencode(out / "donnees") + b"/\xe9t\xe9.txt") in [os.fsencode(path) for path in out.rglob("*")]


def test_a_stream_that_is_cut_is_no_archive(folder: Path, tmp_path: Path) -> None:
    whole = sent(folder).getvalue()  # type: ignore[attr-defined]
    with pytest.raises((tarfile.TarError, OSError)):
        pack(io.BytesIO(whole[: len(whole) // 2]), tmp_path / "a.tar.gz")


@pytest.mark.slow
def test_too_much_is_refused_and_nothing_is_held_in_memory(tmp_path: Path) -> None:
    """A file of 2 GiB that is announced is refused before it is sent; one of 64 MiB passes through little memory."""
    big = tarfile.TarInfo("big")
    big.size = 2 * packing.GIB
    with pytest.raises(InvalidInput) as refused:
        pack(io.BytesIO(big.tobuf()), tmp_path / "a.tar.gz")
    assert refused.value.code == "export_too_big"
    big.size = 64 << 20
    end, way = os.pipe()

    def send() -> None:
        with os.fdopen(way, "wb") as out:
            out.write(big.tobuf())
            for _ in range(64):
                out.write(bytes(1 << 20))
            out.write(bytes(1024))

    sender = threading.Thread(target=send)
    sender.start()
    tracemalloc.start()
    with os.fdopen(end, "rb") as source:
        assert pack(source, tmp_path / "b.tar.gz").files == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sender.join()
    assert peak < 4 << 20
