"""`clocher stack`: what it begins is well, and what is not well is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.commands.stack import EXAMPLE, command
from orchestrator.errors import InvalidInput
from tenants import accounting, stacks, stacks_checking


def run(*words: object) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    assert run("new", "blog-notes", "--into", tmp_path).exit_code == 0
    return tmp_path / "blog-notes"


def test_a_stack_that_is_begun_is_whole(begun: Path) -> None:
    assert stacks.read(begun).slug == "blog-notes"
    assert (begun / "roles" / "blog_notes" / "tasks" / "main.yml").is_file()
    assert "hello" not in "".join(path.read_text() for path in begun.rglob("*") if path.is_file())
    for name in ("blog-notes", "Blog", "../up"):
        assert isinstance(run("new", name, "--into", begun.parent).exception, InvalidInput)


def test_the_example_answers_its_own_questions() -> None:
    answers = stacks_checking.sample(stacks.read(EXAMPLE))
    assert answers == {"greeting": "Bienvenue", "contact": "", "until": ""}


@pytest.mark.slow
def test_a_stack_that_is_begun_passes_its_check(begun: Path) -> None:
    done = run("check", begun, "--json")
    assert done.exit_code == 0, done.output
    assert {one["what"] for one in json.loads(done.stdout) if one["good"]} > {"stack.yml", "site.yml", "ansible-lint"}


@pytest.mark.slow
def test_what_is_wrong_is_found(begun: Path) -> None:
    (begun / "stack.yml").write_text("title: x")
    (begun / "export.yml").unlink()
    (begun / "usage.yml").write_text("- hosts: all\n  tasks:\n    - no_such_module:\n")
    site = begun / "roles" / "blog_notes" / "tasks" / "main.yml"
    site.write_text(site.read_text().replace('    mode: "0755"\n', ""))
    done = run("check", begun, "--json")
    assert done.exit_code == 1
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert {what for what, one in found.items() if one["good"] is False} == {
        "stack.yml", "export.yml", "usage.yml", "ansible-lint",
    }  # fmt: skip
    assert "no_such_module" in found["usage.yml"]["said"]
    assert "risky-file-permissions" in found["ansible-lint"]["said"]


def test_an_account_that_takes_no_entry_is_refused(begun: Path) -> None:
    declared = begun / "stack.yml"
    declared.write_text(declared.read_text().replace('"65811"', '"6512"'))
    found = stacks_checking._declaration(begun, accounting.load(begun), "2026-11")
    assert found.good is False
    assert "6512" in found.said and "65811" in found.said


def test_without_its_tool_a_check_says_so(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks_checking, "TOOLS", tmp_path)
    lint = stacks_checking._lint(begun)
    assert lint.good is None
    assert "ansible-lint" in lint.said


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ({"type": "text", "minimum": 8, "maximum": 20}, "Essai..."),
        ({"type": "text", "minimum": 1, "maximum": 9, "pattern": "[0-9]+", "example": "42"}, "42"),
        ({"type": "text", "minimum": 1, "maximum": 9, "pattern": "[0-9]+"}, None),
        ({"type": "email"}, "agent@exemple.fr"),
        ({"type": "date", "default": ""}, None),
    ],
)
def test_examples_answer_where_nothing_else_does(rule: dict[str, object], answer: object) -> None:
    assert stacks_checking._example(rule) == answer
