"""Nextcloud as far as a machine without its archive can tell: what is unpacked, the way between versions."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from orchestrator.ansible import PLAYBOOKS

STACK = PLAYBOOKS / "stacks" / "nextcloud"
BOOK = Path(__file__).with_name("nextcloud.yml")


def made_up(path: Path) -> str:
    """An archive of one folder with one file that belongs to somebody and all may write to; its sum."""
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("nextcloud/version.php")
        entry.size, entry.mode, entry.uid = 5, 0o666, 12345
        archive.addfile(entry, io.BytesIO(b"<?php"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="unpacks as root")
def test_an_archive_is_verified_and_unpacked_once(tmp_path: Path) -> None:
    given = f"place={tmp_path} sum={made_up(tmp_path / 'good.tar')}"
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
        "ANSIBLE_ROLES_PATH": str(PLAYBOOKS / "roles"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "tmp"), "ANSIBLE_PIPELINING": "1",
    }  # fmt: skip
    done = subprocess.run(
        [ansible, "-c", "local", "-i", "guest,", "-e", given, str(BOOK)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    code = tmp_path / "code"
    assert [path.name for path in code.iterdir()] == ["32-good"], "nothing of a refused one, no archive left"
    found = (code / "32-good" / "version.php").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (0, 0o644), "root's, and nobody else's to write"
    assert re.findall(r"Take it over as a whole\] \*+\n(\w+):", done.stdout) == ["changed", "skipping"], "unpacked once"
    assert "0" * 64 in (tmp_path / "said").read_text()


@pytest.mark.parametrize(
    ("data", "to", "named", "way"),
    [
        ("", "34", ["33", "34"], ["34"]),
        ("32.0.5.1", "32", ["32"], ["32"]),
        ("32.0.5.1", "34", ["32", "33", "34"], ["32", "33", "34"]),
        ("32.0.5.1", "34", ["33", "34"], ["33", "34"]),
        ("", "34", ["33"], None),
        ("32.0.5.1", "32", [], None),
        ("32.0.5.1", "34", ["32", "34"], None),
        ("34.0.1.0", "33", ["33", "34"], None),
    ],
)
def test_versions_come_one_after_the_other(data: str, to: str, named: list[str], way: list[str] | None) -> None:
    known: dict[str, Any] = {
        "nextcloud_data": {"stdout": data}, "nextcloud_version": to, "nextcloud_sources": {one: {} for one in named},
    }  # fmt: skip
    plan, refuse = yaml.safe_load((STACK / "roles/nextcloud/tasks/plan.yml").read_text())
    for name, text in (plan["vars"] | plan["ansible.builtin.set_fact"]).items():
        known[name] = Templar(DataLoader(), known).template(trust_as_template(text))
    fits = [trust_as_template(f"{{{{ {test} }}}}") for test in refuse["ansible.builtin.assert"]["that"]]
    good = all(Templar(DataLoader(), known).template(test) for test in fits)
    assert (known["nextcloud_steps"] if good else None) == way


def test_no_secret_is_an_argument_or_a_variable_of_the_environment() -> None:
    """sudo writes both down; what plays hand over as a secret goes by standard input, and is not logged."""
    tasks = [path.read_text() for path in (STACK / "roles").rglob("tasks/*.yml")]
    lines = [line.strip() for text in tasks for line in text.splitlines() if "nextcloud_password" in line]
    assert lines == ['stdin: "{{ nextcloud_password }}"']
    assert not [text for text in tasks if "environment:" in text]
