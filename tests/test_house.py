"""Tests about the house itself: rooms, sizes, one importer for each outside world, nothing that must not be said."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("orchestrator", "tenants", "api")  # imports go from right to left only
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
MODULES = [path for path in TRACKED if path.suffix == ".py"]


@cache
def imported(path: Path) -> frozenset[str]:
    """The dotted names that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return frozenset(names)


def importers(package: str) -> set[str]:
    """Product modules that import `package`."""
    return {
        str(path.relative_to(ROOT))
        for path in MODULES
        if path.relative_to(ROOT).parts[0] in ROOMS and any(name.split(".")[0] == package for name in imported(path))
    }


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_down_only(room: str) -> None:
    above = {*ROOMS[ROOMS.index(room) + 1 :], "devcloud", "tests"}
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == room:
            climbing = {name for name in imported(path) if name.split(".")[0] in above}
            assert not climbing, f"{path.relative_to(ROOT)} imports {climbing}"


def test_the_dev_cloud_stands_alone() -> None:
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == "devcloud":
            assert not {name for name in imported(path) if name.split(".")[0] in ROOMS}, path


def test_each_outside_world_has_one_importer() -> None:
    assert importers("openstack") | importers("keystoneauth1") == {"orchestrator/cloud.py"}
    assert importers("ansible_runner") == {"orchestrator/ansible.py"}


def test_no_module_over_400_lines() -> None:
    long = {str(p.relative_to(ROOT)): n for p in MODULES if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def test_locks_name_no_registry() -> None:
    locks = [path for path in TRACKED if path.suffix == ".lock"]
    assert len(locks) > 1
    for path in locks:
        assert "://" not in path.read_text(), path


def test_locks_hold_what_the_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for lock, wanted in (
        ("requirements.lock", project["dependencies"]),
        ("requirements-dev.lock", project["dependencies"] + project["optional-dependencies"]["dev"]),
    ):
        locked = set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", (ROOT / lock).read_text(), re.MULTILINE))
        names = {re.split(r"[\[<>=,~]", need)[0].lower().replace("_", "-") for need in wanted}
        assert names <= locked, f"{lock}: run the compile command of docs/develop.md; missing {names - locked}"


def test_no_table_keeps_money_in_a_float() -> None:
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == "tenants":
            calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "float"], path


def test_every_command_loads() -> None:
    from api.cli import COMMANDS, main

    for noun in COMMANDS:
        assert main.get_command(None, noun) is not None, noun  # type: ignore[arg-type]
