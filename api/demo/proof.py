"""Proof that a guest is real: a member logs in with its own key and sees what the play installed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

# Each line prints `name=value`; together they prove the machine, its configuration and its disk.
QUESTIONS = r"""
echo "hostname=$(hostname)"
echo "user=$(id -un)"
echo "system=$(. /etc/os-release && echo "$ID $VERSION_ID")"
echo "timezone=$(readlink -f /etc/localtime)"
echo "exporter=$(systemctl is-active prometheus-node-exporter)"
echo "firewall=$(sudo -n nft list ruleset 2>/dev/null | grep -c 'hook input .*policy drop')"
echo "rootlogin=$(sudo -n sshd -T 2>/dev/null | awk '$1 == "permitrootlogin" { print $2 }')"
echo "data=$(findmnt -n -o FSTYPE /data 2>/dev/null)"
"""


@dataclass(frozen=True)
class Key:
    """A member's SSH key pair, made for the demo."""

    path: Path

    @classmethod
    def make(cls, folder: Path, member: str) -> Key:
        """Make the pair, or take the one made by an earlier demo."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = cls(folder / member)
        if not key.path.exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"demo@{member}", "-f", str(key.path)],
                check=True,
                timeout=30,
            )
        return key

    @property
    def public(self) -> str:
        """The public half, one line."""
        return self.path.with_suffix(".pub").read_text().strip()


def ask(key: Key, user: str, address: str) -> dict[str, str]:
    """Log in with the member's key and put the questions; a refused login is an empty answer."""
    done = subprocess.run(
        [
            "ssh", "-i", str(key.path), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
            f"{user}@{address}", "sh",
        ],
        input=QUESTIONS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def shortcomings(answers: dict[str, str], name: str, user: str, volume: bool) -> list[str]:
    """What the answers fail to prove; empty when the guest is proved."""
    expected = {
        "hostname": name,
        "user": user,
        "system": "debian 12",
        "timezone": "/usr/share/zoneinfo/Europe/Paris",
        "exporter": "active",
        "rootlogin": "no",
        "data": "ext4" if volume else "",
    }
    wrong = [f"{k} : {answers.get(k)!r} au lieu de {v!r}" for k, v in expected.items() if answers.get(k, "") != v]
    return wrong if answers.get("firewall") == "1" else [*wrong, "pare-feu sans refus par défaut"]
