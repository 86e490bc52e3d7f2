"""The services' empty databases, made once per version of OpenStack and copied into each new instance."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from devcloud.install import lock_hash
from devcloud.place import REPO, Place, environment

Log = Callable[[str], None]
DATABASES = {
    "keystone": ["keystone"],
    "glance": ["glance"],
    "placement": ["placement"],
    "nova": ["nova_api", "nova", "nova_cell0"],
    "neutron": ["neutron"],
    "cinder": ["cinder"],
}
# service → the commands that make its tables; {config} is its configuration file
COMMANDS = {
    "keystone": ["keystone-manage --config-file {config} db_sync"],
    "glance": ["glance-manage --config-file {config} db_sync"],
    "placement": ["placement-manage --config-file {config} db sync"],
    "nova": [
        "nova-manage --config-file {config} api_db sync",
        "nova-manage --config-file {config} db sync --local_cell",
    ],
    "neutron": ["python -m devcloud.neutron_tables {config}"],
    "cinder": ["cinder-manage --config-file {config} db sync"],
}
MINUTES = 60


class SchemaError(RuntimeError):
    """A service's own tool could not make its tables."""


def template() -> Path:
    """Where the empty databases of this lock file are kept."""
    return REPO / ".clocher" / f"devcloud-schema-{lock_hash()[:12]}"


def make_databases(place: Place, service: str, log: Log) -> None:
    """Give the instance its empty databases of one service, unless it has them."""
    own, kept = place.directory("db"), template()
    names = [f"{name}.db" for name in DATABASES[service]]
    if all((own / name).exists() for name in names):
        return
    if not all((kept / name).exists() for name in names):
        start = time.monotonic()
        for name in names:
            (own / name).unlink(missing_ok=True)
        for command in COMMANDS[service]:
            _run(place, command.format(config=place.config(service)).split())
        if service == "nova":
            shutil.copyfile(own / "nova.db", own / "nova_cell0.db")  # the two have the same tables
        kept.mkdir(parents=True, exist_ok=True)
        for name in names:
            _copy(own / name, kept / name)
        log(f"{service}: tables made in {time.monotonic() - start:.1f} s")
        return
    for name in names:
        _copy(kept / name, own / name)


def _copy(source: Path, target: Path) -> None:
    """Copy so that a reader sees the whole file or none."""
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copyfile(source, draft)
    draft.replace(target)


def _run(place: Place, command: list[str]) -> None:
    with (place.directory("log") / "schema.log").open("ab") as output:
        done = subprocess.run(
            [str(place.venv / "bin" / command[0]), *command[1:]],
            env=environment(place),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=5 * MINUTES,
            check=False,
        )
    if done.returncode:
        raise SchemaError(f"{' '.join(command)} failed, see {output.name}")
