"""Where an instance of the dev cloud lives: its number, directories, ports, names and secrets."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
LOCK_FILE = Path(__file__).with_name("requirements.lock")
REGION = "RegionOne"

# Offsets of the services' ports; the order is also the order of starting.
OFFSETS = {"keystone": 0, "glance": 1, "placement": 2, "nova": 3, "neutron": 4, "cinder": 5}
ACCOUNTS = ("glance", "placement", "nova", "neutron", "cinder")
API_PATHS = {"keystone": "/v3", "glance": "", "placement": "", "nova": "/v2.1", "neutron": "", "cinder": "/v3"}


@dataclass(frozen=True)
class Place:
    """One instance on this machine. Everything it makes on the host has a name that begins with `prefix`."""

    number: int
    state: Path
    venv: Path

    @property
    def prefix(self) -> str:
        return f"clo{self.number}"

    @property
    def images(self) -> Path:
        """Cache of base images, shared by all instances."""
        return REPO / ".clocher" / "images"

    @property
    def external_cidr(self) -> str:
        return f"198.18.{self.number}.0/24"

    @property
    def external_gateway(self) -> str:
        return f"198.18.{self.number}.1"

    @property
    def external_bridge(self) -> str:
        return f"{self.prefix}-ext"

    @property
    def clouds_file(self) -> Path:
        return self.state / "clouds.yaml"

    @property
    def notifications(self) -> Path:
        return self.state / "notifications.jsonl"

    @property
    def ready(self) -> Path:
        """Exists once the first `up` has made everything."""
        return self.state / "ready"

    @property
    def admitted(self) -> Path:
        """Lists the public addresses that the edge lets through to members' prefixes, one a line."""
        return self.state / "admitted"

    def directory(self, name: str) -> Path:
        """A directory of the state: `etc`, `db`, `log`, `pid`, `nova`…"""
        return self.state / name

    def port(self, service: str) -> int:
        return 15000 + 100 * self.number + OFFSETS[service]

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.port(service)}{API_PATHS[service]}"

    def config(self, service: str) -> Path:
        """The service's configuration file."""
        name = "glance-api" if service == "glance" else service
        return self.state / "etc" / service / f"{name}.conf"

    def database(self, name: str) -> str:
        return f"sqlite:///{self.state / 'db' / name}.db"

    def secret(self, account: str) -> str:
        """The account's password, made once per instance and kept in the state (0600)."""
        return str(json.loads((self.state / "secrets.json").read_text())[account])

    def make_secrets(self) -> None:
        path = self.state / "secrets.json"
        if not path.exists():
            made = {name: secrets.token_urlsafe(24) for name in (*ACCOUNTS, "admin", "clocher", "metadata")}
            write_private(path, json.dumps(made))


def here() -> Place:
    """The instance that the environment names (CLOCHER_DEVCLOUD_INSTANCE, _DIR, _VENV)."""
    number = int(os.environ.get("CLOCHER_DEVCLOUD_INSTANCE", "0"))
    if not 0 <= number <= 9:
        raise SystemExit("CLOCHER_DEVCLOUD_INSTANCE must be 0 to 9")
    suffix = f"-{number}" if number else ""
    state = os.environ.get("CLOCHER_DEVCLOUD_DIR") or REPO / ".clocher" / f"devcloud{suffix}"
    venv = os.environ.get("CLOCHER_DEVCLOUD_VENV") or REPO / ".clocher" / "devcloud-venv"
    return Place(number, Path(state).absolute(), Path(venv).absolute())


def environment(place: Place) -> dict[str, str]:
    """What a child process must know to find the same instance, its code and its entry points."""
    return dict(
        os.environ,
        CLOCHER_DEVCLOUD_INSTANCE=str(place.number),
        CLOCHER_DEVCLOUD_DIR=str(place.state),
        CLOCHER_DEVCLOUD_VENV=str(place.venv),
        PYTHONPATH=str(place.directory("python")),
        OS_CLIENT_CONFIG_FILE=str(place.clouds_file),
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
    draft.replace(path)
