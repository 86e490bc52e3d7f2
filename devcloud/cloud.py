"""The dev cloud as a whole: up, down, reset, status."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from devcloud import guest, image, plug, processes, remains, schema
from devcloud.edge import close_edge, end_strays, open_edge
from devcloud.install import install, require_root
from devcloud.place import OFFSETS, REGION, Place, environment
from devcloud.settings import write_settings

Log = Callable[[str], None]
BOOTSTRAP_SECONDS = 120
POWEROFF_SECONDS = 8


class CloudError(RuntimeError):
    """The dev cloud could not be brought into the state that was asked for."""


def up(place: Place, log: Log) -> None:
    """Bring the cloud up, whatever state a former run left it in. Harmless when it is up."""
    require_root()
    if place.ready.exists() and all(
        processes.find(place, service) and processes.answers(place, service) for service in OFFSETS
    ):
        log(f"already up: {place.clouds_file}")
        return
    install(place, log)
    if any(processes.find(place, service) for service in OFFSETS):
        log("stopping what is left of a former run")
        processes.stop(place)
    processes.check_ports(place)
    write_settings(place)
    open_edge(place)
    if place.ready.exists():
        _start(place, list(OFFSETS), log)
    else:
        _make(place, log)
        place.ready.touch()


def _make(place: Place, log: Log) -> None:
    """The first start: databases, identity, image, and everything in them. What can overlap does."""
    with ThreadPoolExecutor(4) as pool:
        picture = pool.submit(image.build, place.images, log)
        keystone = pool.submit(_make_keystone, place, log)
        rest = [name for name in OFFSETS if name != "keystone"]
        tables = [pool.submit(schema.make_databases, place, service, log) for service in sorted(rest, reverse=True)]
        for job in (*tables, keystone):
            job.result()
        _start(place, rest, log)
        _bootstrap(place, log, "resources", str(picture.result()))


def _make_keystone(place: Place, log: Log) -> None:
    schema.make_databases(place, "keystone", log)
    _make_administrator(place)
    _start(place, ["keystone"], log)
    _bootstrap(place, log, "identity")


def _start(place: Place, services: list[str], log: Log) -> None:
    for service in services:
        processes.start(place, service)
    for service in services:
        processes.wait(place, service)
        log(f"{service} answers on port {place.port(service)}")


def _make_administrator(place: Place) -> None:
    """Keystone's own first step: the administrator, the default roles, its own entry in the catalogue."""
    url = place.url("keystone")
    _run(
        place,
        [
            "keystone-manage",
            "--config-file",
            str(place.config("keystone")),
            "bootstrap",
            "--bootstrap-region-id",
            REGION,
            "--bootstrap-public-url",
            url,
            "--bootstrap-internal-url",
            url,
            "--bootstrap-admin-url",
            url,
        ],
        {"OS_BOOTSTRAP_PASSWORD": place.secret("admin")},
    )


def _bootstrap(place: Place, log: Log, *what: str) -> None:
    _run(place, ["python", "-m", "devcloud.bootstrap", *what])
    log(f"made the cloud's {what[0]}")


def _run(place: Place, command: list[str], secrets: dict[str, str] | None = None) -> None:
    """Run one of the venv's programs; secrets go by the environment, which other users can't read."""
    done = subprocess.run(
        [str(place.venv / "bin" / command[0]), *command[1:]],
        cwd="/",
        env={**environment(place), **(secrets or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOOTSTRAP_SECONDS,
        check=False,
    )
    if done.returncode:
        raise CloudError(f"{' '.join(command[:3])} failed:\n{done.stderr[-3000:]}")


def down(place: Place, log: Log) -> None:
    """Stop everything and take back everything that was made on the host; the state stays."""
    require_root()
    processes.stop(place)
    log("services stopped")
    _end_guests(place)
    end_strays(place)
    remains.clear(place)
    close_edge(place)
    log("down: nothing of this cloud is left running")


def _end_guests(place: Place) -> None:
    """Power all guests off at once. Nova, already gone, goes on believing that they run, and boots them at next up."""
    running = [found for found in guests(place) if found.is_running()]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda found: guest.stop(found, POWEROFF_SECONDS), running))


def guests(place: Place) -> list[guest.Guest]:
    """All guests of this instance, running or not."""
    return [guest.Guest(path.parent) for path in sorted(place.directory("nova").glob("instances/*/spec.json"))]


def reset(place: Place, log: Log) -> None:
    """Down, then forget the state; the venv, the empty databases and the images stay."""
    down(place, log)
    if place.state.exists():
        shutil.rmtree(place.state)


def status(place: Place) -> dict[str, Any]:
    """What runs: services with pid, port, memory; `ok` only if the cloud was made whole and all answer."""
    services = {}
    for service in OFFSETS:
        pid = processes.find(place, service)
        services[service] = {
            "pid": pid,
            "port": place.port(service),
            "answers": bool(pid) and processes.answers(place, service),
            "rss_mib": processes.memory(pid) if pid else 0,
        }
    volumes = place.directory("cinder") / "volumes"
    return {
        "instance": place.number,
        "state": str(place.state),
        "ok": place.ready.exists() and all(found["answers"] for found in services.values()),
        "services": services,
        "networks": plug.namespaces(f"{place.prefix}-net-"),
        "routers": plug.namespaces(f"{place.prefix}-rtr-"),
        "guests": {found.directory.name: found.is_running() for found in guests(place)},
        "volumes": sorted(path.name for path in volumes.iterdir()) if volumes.is_dir() else [],
    }
