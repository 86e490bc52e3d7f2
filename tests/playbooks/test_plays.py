"""What can be said of the plays without a guest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api import words
from orchestrator.ansible import PLAYBOOKS

PLAYS = sorted(path.parent.name for path in PLAYBOOKS.glob("*/site.yml"))
TASKS = sorted(path for folder in ("tasks", "handlers") for path in PLAYBOOKS.rglob(f"{folder}/*.yml"))
# What a task may hold beside its module.
KEYWORDS = {
    "name", "when", "loop", "register", "notify", "changed_when", "failed_when", "vars", "become", "no_log", "until",
    "retries", "delay", "block", "rescue", "always", "loop_control", "environment", "throttle", "tags", "listen",
    "timeout", "become_user", "check_mode",
}  # fmt: skip
# A variable that holds one.
SECRET = re.compile(r"\{\{[^}]*(?:password|passphrase|secret)(?!_mark|s_|[.]sh)")
UNTOLD = {"block", "ansible.builtin.import_tasks", "ansible.builtin.import_role", "ansible.builtin.meta"}


def steps(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All tasks of a list, those of its blocks too."""
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from steps(task.get(part, []))


def names_told() -> Iterator[str]:
    """The names that a page may show. Ansible tells nothing of blocks, static imports and `meta` themselves."""
    for path in PLAYBOOKS.rglob("*.yml"):
        read = yaml.safe_load(path.read_text())
        if isinstance(read, list) and not {"examples", "test"} & set(path.relative_to(PLAYBOOKS).parts):
            parts = ("pre_tasks", "tasks", "post_tasks", "handlers")
            lists = [play.get(part, []) for play in read for part in parts] if "hosts" in read[0] else [read]
            yield from (step["name"] for tasks in lists for step in steps(tasks) if not UNTOLD & set(step))


@pytest.mark.slow
def test_each_task_has_its_french_words() -> None:
    lines = (PLAYBOOKS / "tasks.fr.yml").read_text().splitlines()
    found = [line.partition(": ")[0] for line in lines if not line.startswith("#")]
    wanted = {"Validating arguments", *names_told()}  # the first is what Ansible does before a role
    missing, left = sorted(wanted - set(found)), sorted(set(found) - wanted)
    assert not missing, "\n".join(["without French words:", *(f"{name}: …" for name in missing)])
    assert not left, "\n".join(["no task has this name any more:", *left])
    assert found == sorted(wanted), "each once, in the order of the letters"
    assert all(words.tasks().values())
    assert [name for name in found if "{{" in name] == [], "a name that changes can't be found: say the same each time"


def test_a_backup_starts_again_what_it_stops_whatever_it_finds() -> None:
    """A condition on a block holds for its `always` too: what a play that was cut has stopped would stay so."""
    for path in PLAYBOOKS.rglob("backup.yml"):
        read = yaml.safe_load(path.read_text())
        lists = [play.get("tasks", []) for play in read] if "hosts" in read[0] else [read]
        assert not [one for tasks in lists for one in steps(tasks) if {"always", "when"} <= one.keys()], path


@pytest.mark.parametrize("path", TASKS, ids=lambda path: str(path.relative_to(PLAYBOOKS)))
def test_no_secret_is_in_an_environment_or_a_command(path: Path) -> None:
    """What runs as another account has both in sudo's log, whatever `no_log` says: secrets go by stdin or in a file."""
    for step in steps(yaml.safe_load(path.read_text())):
        command = step.get("ansible.builtin.command", {}) | step.get("ansible.builtin.shell", {})
        written = str([step.get("environment"), command.get("argv"), command.get("cmd")])
        assert not SECRET.findall(written), step["name"]


@pytest.mark.parametrize("path", TASKS, ids=lambda path: str(path.relative_to(PLAYBOOKS)))
def test_what_only_reads_does_so_in_check_mode_too(path: Path) -> None:
    """Otherwise what depends on it fails there, and a guest that is as it should be would be said to differ."""
    for step in steps(yaml.safe_load(path.read_text())):
        runs = {"ansible.builtin.command", "ansible.builtin.shell"} & step.keys()
        if runs and step.get("changed_when") is False and "register" in step:
            assert step.get("check_mode") is False, step["name"]


def test_there_are_plays() -> None:
    assert "vm" in PLAYS
    assert TASKS


@pytest.mark.slow
@pytest.mark.parametrize("play", PLAYS)
def test_the_syntax_of_each_play(play: str) -> None:
    command = [Path(sys.executable).with_name("ansible-playbook"), "--syntax-check", "-i", "guest,", f"{play}/site.yml"]
    done = subprocess.run(command, cwd=PLAYBOOKS, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def in_one_file(folder: Path) -> None:
    """All plays of a folder in its first file of plays: Ansible, which checks the syntax of each file, starts once."""
    read = {path: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yml"))}
    plays = [path for path, found in read.items() if isinstance(found, list) and "hosts" in found[0]]
    whole = "".join(path.read_text().removeprefix("---\n") for path in plays)
    for path in plays[1:]:
        path.unlink()
    if plays:
        plays[0].write_text(f"---\n{whole}")


@pytest.mark.slow
def test_the_syntax_of_all_plays_and_what_ansible_lint_finds(tmp_path: Path) -> None:
    """Its production profile finds nothing in any play or role, and no module but Ansible's own.

    The example is looked at where a stack is begun from it.
    """
    copy = shutil.copytree(PLAYBOOKS, tmp_path / "playbooks", ignore=shutil.ignore_patterns("examples", "tasks.fr.yml"))
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir() and "roles" not in path.parts)]:
        in_one_file(folder)
    tool = Path(sys.executable).with_name("ansible-lint")
    command = [tool, "--offline", "--profile", "production", "--enable-list", "only-builtins", "--nocolor", "-q"]
    ours = {"PATH": f"{tool.parent}:{os.defpath}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd=copy, env=ours, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("path", TASKS, ids=lambda path: str(path.relative_to(PLAYBOOKS)))
def test_only_builtin_modules_and_named_tasks(path: Path) -> None:
    for step in steps(yaml.safe_load(path.read_text())):
        modules = set(step) - KEYWORDS
        assert step.get("name"), step
        assert len(modules) == (0 if "block" in step else 1), step
        assert all(name.startswith("ansible.builtin.") for name in modules), modules
