"""An export that lacks something, or was changed, is told as such."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.ansible import PLAYBOOKS
from orchestrator.errors import InvalidInput
from tenants import stacks_exports

WANTED = {"contacts/*.vcf": "Élodie Martin"}
CARD = "contacts/mairie.vcf"
Change = Callable[[Path], object]


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """One that is as it must be."""
    (tmp_path / "contacts").mkdir()
    (tmp_path / CARD).write_text("FN:Élodie Martin\n")
    (tmp_path / "README.txt").write_text("contacts/ : les carnets d’adresses\n")
    names = ("./README.txt", f"./{CARD}")
    sums = [f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (tmp_path / "SHA256SUMS").write_text("".join(sums))
    return tmp_path


def test_a_whole_export_has_no_fault(export: Path) -> None:
    assert stacks_exports.faults(export, WANTED) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda it: (it / "README.txt").unlink(), ["no README.txt", "not there: README.txt"]),
        (lambda it: (it / CARD).write_text("FN:Élodie Martin, changed"), [f"wrong sum: {CARD}"]),
        (lambda it: (it / "late.txt").touch(), ["wrong sum: late.txt"]),
        (lambda it: (it / "SHA256SUMS").unlink(), ["no SHA256SUMS", "wrong sum: README.txt", f"wrong sum: {CARD}"]),
        (lambda it: (it / CARD).unlink(), [f"not there: {CARD}", "no “Élodie Martin” in contacts/*.vcf"]),
    ],
)  # fmt: skip
def test_a_fault_is_told(export: Path, change: Change, told: list[str]) -> None:
    change(export)
    assert stacks_exports.faults(export, WANTED) == told


@pytest.mark.parametrize("text", ["", "- a", "a: 1", "a: [", "{}"])
def test_what_does_not_say_what_to_find_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / stacks_exports.EXPECTED).write_text(text)
    with pytest.raises(InvalidInput, match=stacks_exports.EXPECTED):
        stacks_exports.expected(tmp_path)


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in PLAYBOOKS.glob("*/*/stack.yml")), ids=lambda it: it.name
)
def test_each_application_says_what_its_export_holds(folder: Path) -> None:
    assert stacks_exports.expected(folder)
