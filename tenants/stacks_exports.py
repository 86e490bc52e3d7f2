"""What an application hands out, opened away from it: is all of it there, whole, and are the data in it?"""

from __future__ import annotations

import base64
import hashlib
import io
import shlex
import tarfile
from pathlib import Path

from orchestrator import ssh
from orchestrator.errors import InvalidInput, Text
from orchestrator.settings import Settings
from orchestrator.ssh import Guest
from tenants.declarations_yaml import BrokenYaml, load_yaml

EXPECTED = "test/exported.yml"
SUMS, README = "SHA256SUMS", "README.txt"
FETCH_SECONDS = 600.0


def expected(folder: Path) -> dict[str, str]:
    """What a stack says of its own export after test/put: a pattern of files, and words that one of them holds."""
    path = folder / EXPECTED
    try:
        found = load_yaml(path.read_text()) if path.is_file() else None
    except BrokenYaml:
        found = None
    if isinstance(found, dict) and found and all(isinstance(part, str) for pair in found.items() for part in pair):
        return found
    raise InvalidInput(
        "invalid_stack",
        Text("{place} doit dire quels fichiers de l’export contiennent quels mots.", place=f"{folder.name}/{EXPECTED}"),
        "Écrivez-y une ligne par fichier, par exemple « contacts/*.vcf: Martin ».",
    )


def fetch(settings: Settings, guest: Guest, path: str, into: Path) -> None:
    """Bring an export out of its guest and open it. What a guest answers is text, so the archive comes in base64."""
    packed = f"tar --create --gzip --directory {shlex.quote(path)} . | base64"
    told = ssh.run(settings, guest, "sudo", "bash", "-o", "pipefail", "-c", packed, timeout=FETCH_SECONDS)
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(told))) as archive:
        archive.extractall(into, filter="data")


def faults(folder: Path, wanted: dict[str, str]) -> list[str]:
    """What is wrong with an export: files without their sum or another one, no explanation, data that are not in it."""
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    sums = _sums(there[SUMS].read_text()) if SUMS in there else {}
    wrong = [f"no {name}" for name in (README, SUMS) if name not in there]
    wrong += [f"not there: {name}" for name in sorted(sums.keys() - there.keys())]
    wrong += [
        f"wrong sum: {name}" for name, path in sorted(there.items()) if name != SUMS and sums.get(name) != _sum(path)
    ]
    return wrong + [f"no “{words}” in {files}" for files, words in wanted.items() if not _holds(folder, files, words)]


def _sums(text: str) -> dict[str, str]:
    lines = [line.split("  ", 1) for line in text.splitlines()]
    return {name.removeprefix("./"): digest for digest, name in lines}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _holds(folder: Path, files: str, words: str) -> bool:
    return any(words.encode() in path.read_bytes() for path in folder.glob(files) if path.is_file())
