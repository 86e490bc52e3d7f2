"""The whole life of a stack in a guest of its own: installed, used, backed up, lost, brought back, upgraded, left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr

from orchestrator import ansible, readiness, service_secrets, ssh, trial
from orchestrator.ansible import Outcome
from orchestrator.errors import ClocherError
from orchestrator.settings import Settings
from orchestrator.trial import Machine, Trial
from tenants import stacks, stacks_checking
from tenants.stacks import Declared

ARCHIVE = "essai"
VAULT_FLAVOR = "s1.small"
FOLDER = "/srv/borg/essai"


@dataclass(frozen=True)
class Lived:
    """One part of the life. good None: it was not come to; result: what its play gave back."""

    part: str
    good: bool | None
    seconds: float = 0.0
    changed: int | None = None
    result: dict[str, Any] = field(default_factory=dict)
    said: str = ""


Part = Callable[[], Outcome | None]


def live(settings: Settings, folder: Path, tell: Callable[[Lived], None]) -> list[Lived]:
    """Live it; each part is told as it ends. After a failure nothing more is tried."""
    folder = folder.resolve()
    stack = stacks.read(folder)
    answers = stacks_checking.sample(stack)
    told: list[Lived] = []
    with trial.opened(settings.model_copy(update={"stacks_dirs": (folder.parent,)})) as place:
        life = _Life(place, stack, answers)
        for name, part in life.parts():
            lived = Lived(name, None) if told and told[-1].good is not True else _live(name, part)
            told.append(lived)
            tell(lived)
    return told


def _live(name: str, part: Part) -> Lived:
    started = time.monotonic()
    try:
        outcome = part()
    except ClocherError as error:
        said = f"{error.sentence} {error.detail}".strip()
        return Lived(name, False, time.monotonic() - started, said=said)
    seconds = time.monotonic() - started
    if outcome is None:
        return Lived(name, True, seconds)
    return Lived(name, True, seconds, outcome.changed, dict(outcome.data.get("result") or {}))


class _Life:
    """One guest with its application, one that keeps its archives, and what the plays are given."""

    def __init__(self, place: Trial, stack: Declared, answers: dict[str, Any]) -> None:
        self.place, self.stack, self.answers = place, stack, answers
        self.vault: dict[str, Any] = {}
        self.changed: list[str] = []
        self.secrets = {secret.name: SecretStr(service_secrets.invent(secret.length)) for secret in stack.secrets}

    def parts(self) -> list[tuple[str, Part]]:
        """The life, in its order."""
        vault = {"archive": ARCHIVE}
        return [
            ("machines", self.build),
            ("site", lambda: self.play("site")),
            ("site, again", self.again),
            ("health", self.check_health),
            ("put", lambda: self.play("test/put")),
            ("check", lambda: self.play("test/check")),
            ("usage", self.count),
            ("backup", lambda: self.play("backup", vault=self.vault, **vault)),
            ("destroy", lambda: self.play("test/destroy")),
            ("check finds nothing", self.miss),
            ("restore", lambda: self.play("restore", vault=self.vault, **vault)),
            ("check, restored", lambda: self.play("test/check")),
            ("health, restored", self.check_health),
            ("upgrade", lambda: self.play("upgrade")),
            ("export", lambda: self.play("export")),
        ]

    def build(self) -> None:
        """Two guests: the application's own, and the vault's."""
        self.machine = trial.build(self.place, "essai", self.stack.sizes[0].flavor, self.stack.disk.default)
        self.vault = self._vault(trial.build(self.place, "coffre", VAULT_FLAVOR, 0))

    def _vault(self, machine: Machine) -> dict[str, Any]:
        """A repository for the application's archives, and all that its plays need to get there."""
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        given = {"admin": "essai", "ssh_keys": [], "volumes": [], "client_key": public, "folder": FOLDER}
        ansible.configure(self.place.settings, "repository", machine.guest, given, lambda event: None)
        host_key = ssh.run(self.place.settings, machine.guest, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        return {
            "address": machine.guest.address, "port": 22, "user": "borg", "path": FOLDER,
            "host_key": " ".join(host_key.split()[:2]), "private_key": SecretStr(private),
            "passphrase": SecretStr(service_secrets.invent(40)),
        }  # fmt: skip

    def play(self, act: str, **more: Any) -> Outcome:
        """Run a play of the stack with what it is given in a service's life."""
        self.changed.clear()
        variables = {
            "admin": "essai", "ssh_keys": [], "volumes": list(self.machine.volumes),
            "member": {"slug": "essai", "name": "Commune d’essai", "siret": "73282932000074"},
            "service": {"name": "essai", "ref": str(self.machine.guest.ref), "host": "", "url": ""},
            "answers": self.answers, "secrets": self.secrets, "version": self.stack.versions[0].version, **more,
        }  # fmt: skip
        return ansible.configure(
            self.place.settings, f"{stacks.PLAY}/{self.stack.slug}", self.machine.guest, variables, self._note, act=act
        )

    def _note(self, event: ansible.PlayEvent) -> None:
        if event.outcome == "changed" and event.task:
            self.changed.append(event.task)

    def again(self) -> Outcome:
        """A second run changes nothing."""
        outcome = self.play("site")
        if outcome.changed:
            raise _wrong("not_idempotent", f"changed again: {', '.join(self.changed)}")
        return outcome

    def count(self) -> Outcome:
        """Every business meter that is declared is counted, in whole numbers."""
        outcome = self.play("usage")
        meters = (outcome.data.get("result") or {}).get("meters", {})
        wrong = [meter.code for meter in self.stack.meters if type(meters.get(meter.code)) is not int]
        if wrong:
            raise _wrong("usage_missing", f"no whole number for {', '.join(wrong)}: {meters}")
        return outcome

    def miss(self) -> None:
        """What was destroyed is not there: else `check` proves nothing."""
        try:
            self.play("test/check")
        except ClocherError as error:
            if error.code == "play_failed":
                return
            raise
        raise _wrong("check_proves_nothing", "test/check passed after test/destroy")

    def check_health(self) -> None:
        """The guest and the application answer, from outside."""
        settings, machine = self.place.settings, self.machine
        readiness.check_health(settings, machine.guest, [str(volume["mount"]) for volume in machine.volumes])
        for check in self.stack.health:
            readiness.check_web(machine.guest.address, **check.model_dump())


def _wrong(code: str, detail: str) -> ClocherError:
    return ClocherError(code, "La pile ne tient pas sa promesse.", "Corrigez ses playbooks.", detail=detail)
