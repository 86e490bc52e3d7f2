"""The orchestrator's own way into guests: one Ed25519 key pair, and what it knows of each guest's host key."""

from __future__ import annotations

import secrets
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from orchestrator.errors import ClocherError, Text, Unavailable
from orchestrator.settings import Settings

CONNECT_SECONDS = 10
END_SECONDS = 5  # for a command to end after its last word
# What ssh itself answers with when it, not the command, fails (ssh(1), EXIT STATUS).
SSH_FAILED = 255


@dataclass(frozen=True)
class Guest:
    """A machine to configure. address: where SSH answers; ref: the service's; user: the image's own account."""

    address: str
    hostname: str
    ref: UUID
    user: str = "debian"


def key_path(settings: Settings) -> Path:
    """The private key's file, made on first use (mode 0600)."""
    path = settings.state_dir / "ssh" / "orchestrator_ed25519"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made whole under another name first: two processes that start together must agree on one key.
        draft = path.with_suffix(f".{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_bytes(
            Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        )
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path


def public_key(settings: Settings) -> str:
    """The public key, as a line of authorized_keys."""
    key = load_ssh_private_key(key_path(settings).read_bytes(), password=None)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " clocher"


def known_hosts(settings: Settings, ref: UUID) -> Path:
    """The file that holds the host keys of one service's guest, so that a reused address is no stranger."""
    folder = settings.state_dir / "ssh" / "known_hosts"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / str(ref)


def forget(settings: Settings, ref: UUID) -> None:
    """Drop the host keys of a guest that is gone, or that boots anew with other keys."""
    known_hosts(settings, ref).unlink(missing_ok=True)


def options(settings: Settings, guest: Guest) -> list[str]:
    """Options of ssh for this guest: our key only, nothing from the user's own configuration, never a question."""
    chosen = {
        "UserKnownHostsFile": shlex.quote(str(known_hosts(settings, guest.ref))),
        "GlobalKnownHostsFile": "none",
        "HostKeyAlias": str(guest.ref),
        "StrictHostKeyChecking": "accept-new",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "BatchMode": "yes",
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ServerAliveInterval": "15",
    }
    return ["-F", "none", *(part for name, value in chosen.items() for part in ("-o", f"{name}={value}"))]


def run(settings: Settings, guest: Guest, *command: str, timeout: float = 60) -> str:
    """Run a command in the guest and return what it printed.

    timeout in seconds. Raises `guest_unreachable`, or `command_failed` when the command itself ends badly.
    """
    said = shlex.join(command)
    try:
        done = subprocess.run(
            [*_call(settings, guest), said],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise unreachable(guest.address, f"no end within {timeout} s: {said}") from error
    if done.returncode:
        raise _refusal(guest, done.returncode, said, done.stderr)
    return done.stdout


@contextmanager
def stream(settings: Settings, guest: Guest, *command: str, timeout: float) -> Iterator[IO[bytes]]:
    """What a command in the guest prints, to be read as it comes, within `timeout` seconds.

    Raises `guest_unreachable`, also when it takes too long, or `command_failed`: what was read then is not whole.
    """
    with tempfile.TemporaryFile() as told:
        call = [*_call(settings, guest), shlex.join(command)]
        with subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=told) as process:
            watch = threading.Timer(max(timeout, 0), process.kill)
            watch.start()
            assert process.stdout
            try:
                yield process.stdout
                while process.stdout.read(65536):
                    pass
                process.wait()  # the watch ends it if it must
            finally:
                ended = _ended(process)
                watch.cancel()
                if ended:
                    told.seek(0)
                    raise _refusal(guest, ended, shlex.join(command), told.read(2000).decode(errors="replace"))


def _ended(process: subprocess.Popen[bytes]) -> int:
    """How it ended; 0 too when it goes on only because its reader had enough."""
    try:
        return process.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return 0


def _call(settings: Settings, guest: Guest) -> list[str]:
    return ["ssh", "-i", str(key_path(settings)), *options(settings, guest), f"{guest.user}@{guest.address}"]


def _refusal(guest: Guest, status: int, command: str, told: str) -> ClocherError:
    """The error for a call of ssh that ended so; a negative status: we killed it, because it took too long."""
    if status == SSH_FAILED or status < 0:
        return unreachable(guest.address, told.strip() or f"no end in time: {command}")
    return ClocherError(
        "command_failed",
        "Une commande a échoué dans la machine.",
        "Prévenez la DSI.",
        detail=f"{command}: {told.strip()}",
    )


def unreachable(address: str, detail: str) -> Unavailable:
    """The error `guest_unreachable`."""
    return Unavailable(
        "guest_unreachable",
        Text("La machine {address} ne répond pas en SSH.", address=address),
        "L’opération sera réessayée ; si cela persiste, prévenez la DSI.",
        detail=detail,
    )
