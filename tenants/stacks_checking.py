"""Is a stack fit to be offered? Its declaration, each play's syntax, and ansible-lint where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator import ansible
from orchestrator.errors import N_, ClocherError
from tenants import parameters, stacks, stacks_exports
from tenants.accounting import Accounting
from tenants.declarations_yaml import load_yaml

PLAYS = ("site", "backup", "restore", "upgrade", "export", "usage", "test/put", "test/check", "test/destroy")
TOOLS = Path(sys.executable).parent  # this environment's own
SECONDS = 300.0
MOST = 4000  # characters of what a tool says
NO_LINT = N_("ansible-lint n’est pas installé : pip install ansible-lint, puis recommencez.")


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well (None: could not be looked at), and what was said."""

    what: str
    good: bool | None
    said: str = ""


def check(folder: Path, chart: Accounting, month: str) -> list[Finding]:
    """Everything that can be said of a stack without a machine. chart: has its account to know, in that month."""
    folder = folder.resolve()
    return [_declaration(folder, chart, month), *_plays(folder), _exported(folder), _lint(folder)]


def further_tests(folder: Path) -> list[str]:
    """Plays in `test/` beside those that each stack has: what this one alone must prove."""
    found = [path for path in sorted((folder / "test").glob("*.yml")) if isinstance(load_yaml(path.read_text()), list)]
    return [play for play in (f"test/{path.stem}" for path in found) if play not in PLAYS]


def _declaration(folder: Path, chart: Accounting, month: str) -> Finding:
    try:
        declared = stacks.read(folder)
        sample(declared)
        chart.leaf(declared.m57, month)
    except ClocherError as error:
        return Finding(stacks.DECLARED, False, str(error))
    return Finding(stacks.DECLARED, True)


def _exported(folder: Path) -> Finding:
    try:
        stacks_exports.expected(folder)
    except ClocherError as error:
        return Finding(stacks_exports.EXPECTED, False, str(error))
    return Finding(stacks_exports.EXPECTED, True)


def sample(stack: stacks.Declared) -> dict[str, object]:
    """Answers with which the stack can be tried: defaults and examples. Raises `invalid_parameter` where both miss."""
    own = [rule.model_dump(exclude_none=True) for rule in stack.parameters]
    given = {rule["name"]: _example(rule) for rule in own if "default" not in rule or rule["default"] == ""}
    return parameters.read(own, {name: value for name, value in given.items() if value is not None})


def _example(rule: dict[str, object]) -> object:
    usual = {"email": "agent@exemple.fr", "date": "2030-01-31", "name": "essai"}
    if rule["type"] == "text" and "pattern" not in rule and "default" not in rule:
        return rule.get("example", "Essai".ljust(int(str(rule["minimum"])), "."))
    return rule.get("example", usual.get(str(rule["type"])) if "default" not in rule else None)


def _plays(folder: Path) -> list[Finding]:
    """The syntax of the plays: of all in one run, which takes as long as one alone; after a fault of each."""
    names = [f"{play}.yml" for play in (*PLAYS, *further_tests(folder))]
    there = [name for name in names if (folder / name).is_file()]
    good = bool(there) and _syntax(folder, *there).good
    return [_play(folder, name) if not good or name not in there else Finding(name, True) for name in names]


def _play(folder: Path, name: str) -> Finding:
    return _syntax(folder, name) if (folder / name).is_file() else Finding(name, False, "manque")


def _syntax(folder: Path, *names: str) -> Finding:
    return _run(names[0], ["ansible-playbook", "--syntax-check", "-i", "guest,", *names], folder)


def _lint(folder: Path) -> Finding:
    """What ansible-lint finds in the stack's own files: the roles that all share were looked at when they were made."""
    if not (TOOLS / "ansible-lint").exists():
        return Finding("ansible-lint", None, NO_LINT)
    with tempfile.TemporaryDirectory(prefix="clocher-") as place:  # it leaves a folder of its own where it works
        copy = Path(shutil.copytree(folder, Path(place) / folder.name))
        shared = str(ansible.PLAYBOOKS / "roles")
        words = ["--offline", "--profile", "production", "--enable-list", "only-builtins", "--nocolor", "-q"]
        return _run("ansible-lint", ["ansible-lint", *words, "--exclude", shared], copy)


def _run(what: str, command: list[str], folder: Path) -> Finding:
    ours = {
        "PATH": f"{TOOLS}:{os.defpath}",
        "HOME": str(Path.home()),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(ansible.PLAYBOOKS / "ansible.cfg"),
        "ANSIBLE_ROLES_PATH": ansible.roles_path(folder / "site.yml"),
    }
    try:
        done = subprocess.run(
            [str(TOOLS / command[0]), *command[1:]], cwd=folder, env=ours, stdin=subprocess.DEVNULL, text=True,
            capture_output=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding(what, False, f"pas de fin en {SECONDS:g} s")
    return Finding(what, done.returncode == 0, "" if done.returncode == 0 else (done.stdout + done.stderr)[-MOST:])
