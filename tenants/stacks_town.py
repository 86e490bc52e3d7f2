"""What applications on trial share: a vault that keeps their archives, and an entry that leads to them by their names.

Both are made beside the first steps of the applications, which wait for them only where they need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr

from orchestrator import ansible, entry, readiness, service_secrets, trial
from orchestrator.ansible import Outcome
from orchestrator.trial import Machine, Trial
from tenants import stacks
from tenants.stacks import Declared

DOMAIN = "territoire.test"
MEMBER = {"slug": "essai", "name": "Commune d’essai", "siret": "73282932000074"}
VAULT, ENTRY = "essai-coffre", "essai-entree"
FLAVOR, GIB = "s1.small", 5
INTERNAL = {"certificates": "internal", "acme_directory": "", "acme_contact": ""}


@dataclass(frozen=True)
class Address:
    """Where people find an application: its name, and the machine to which that leads.

    authority: the certificate (PEM) that vouches for the name; nobody needs a name server to come here.
    """

    host: str
    path: str
    machine: str
    authority: str

    @property
    def url(self) -> str:
        """What one types."""
        return f"https://{self.host}{self.path}"

    def ask(self, path: str, contains: str | None = None, status: int | None = None) -> readiness.Seen:
        """What `readiness.check_url` gives and raises."""
        return readiness.check_url(self.machine, self.host, self.authority, path, contains, status)


class Client:
    """An application as the vault knows it. private_key, passphrase: the application's own."""

    def __init__(self) -> None:
        key = Ed25519PrivateKey.generate()
        self.public_key = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        self.private_key = SecretStr(private)
        self.passphrase = SecretStr(service_secrets.invent(40))


class Town:
    """The guests of the applications, which answer, and those that they share. Raises what `trial` raises."""

    def __init__(self, place: Trial, tried: Sequence[Declared], beside: Executor) -> None:
        self.place, self.machines = place, dict[str, Machine]()
        self.clients = {one.slug: Client() for one in tried if one.backup}
        self._made: dict[str, Future[Outcome]] = {}
        faces = [one for one in tried if one.web]
        wanted = {name: (FLAVOR, GIB) for name, needed in ((VAULT, self.clients), (ENTRY, faces)) if needed}
        wanted |= {one.slug: (one.sizes[0].flavor, one.disk.default) for one in tried}
        begun = {name: trial.begin(place, name, *size) for name, size in wanted.items()}
        self._routes = [
            {"host": host(one.slug), "address": begun[one.slug].guest.address, "port": one.web.port, "stopped": False}
            for one in faces if one.web
        ]  # fmt: skip
        makers = {VAULT: self._make_vault, ENTRY: self._make_entry}
        for name, one in begun.items():
            self.machines[name] = trial.finish(place, one)
            if name in makers:
                self._made[name] = beside.submit(makers[name])

    def vault(self, slug: str) -> dict[str, Any]:
        """What plays need to put archives into the vault, and to get them back, once it is there."""
        client, made = self.clients[slug], self._made[VAULT].result()
        return {
            "address": self.machines[VAULT].guest.address, "port": 22, "user": "vault", "path": f"/data/vault/{slug}",
            "host_key": made.result["host_key"], "private_key": client.private_key, "passphrase": client.passphrase,
        }  # fmt: skip

    def prune(self, slug: str, keep: Sequence[str]) -> Outcome:
        """Have the vault erase the archives of an application but for those with these ids."""
        wanted = [{"ref": slug, "passphrase": self.clients[slug].passphrase, "keep": list(keep)}]
        return self._play(VAULT, "vault", "prune", vault_prune=wanted)

    def address(self, stack: Declared) -> Address:
        """Where people find an application, once the entry is there; it may answer later."""
        assert stack.web
        authority = self._made[ENTRY].result().result["authority"]
        return Address(host(stack.slug), stack.web.path, self.machines[ENTRY].guest.address, authority)

    @property
    def shared(self) -> list[Machine]:
        """The guests that are nobody's own."""
        return [self.machines[name] for name in self._made]

    def _make_vault(self) -> Outcome:
        self._play(VAULT, "vault", "site")
        clients = [
            {"ref": slug, "public_key": client.public_key, "quota_gib": GIB} for slug, client in self.clients.items()
        ]
        return self._play(VAULT, "vault", "clients", vault_clients=clients)

    def _make_entry(self) -> Outcome:
        return self._play(ENTRY, "entry", "site", answers=INTERNAL, **entry.variables(DOMAIN, self._routes))

    def _play(self, name: str, slug: str, act: str, **more: Any) -> Outcome:
        machine = self.machines[name]
        given = {"admin": "essai", "ssh_keys": [], "volumes": list(machine.volumes), **more}
        settings, play = self.place.settings, f"{stacks.PLAY}/{slug}"
        # A run of its own: two lives may come to the vault at once.
        return ansible.configure(settings, play, machine.guest, given, lambda event: None, act=act, owner=uuid4())


def host(slug: str) -> str:
    """The name by which the web knows an application on trial."""
    return entry.host(slug, MEMBER["slug"], DOMAIN)
