"""Bring what the dev cloud needs onto the machine: Debian packages, and OpenStack in a venv of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from devcloud.place import LOCK_FILE, REPO, Place

# command that must be there → Debian package that has it
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "nft": "nftables",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
}
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MINUTES = 60
Log = Callable[[str], None]


class InstallError(RuntimeError):
    """Something that the dev cloud needs is missing and could not be installed."""


def missing_packages() -> list[str]:
    """Debian packages whose program is not on this machine."""
    return sorted({package for program, package in PROGRAMS.items() if not shutil.which(program, path=SEARCH)})


def require_root() -> None:
    """Guests, networks and volumes are the kernel's: without root there is no dev cloud."""
    if os.geteuid():
        raise InstallError(
            "the dev cloud makes network namespaces, mounts and containers: run it as root on Debian 12"
            f" (Debian packages still missing: {' '.join(missing_packages()) or 'none'})"
        )


def install(place: Place, log: Log) -> None:
    """Install what is missing; costs nothing when all is there."""
    require_root()
    install_packages(log)
    install_venv(place, log)


def install_packages(log: Log) -> None:
    packages = missing_packages()
    if not packages:
        return
    log(f"installing Debian packages {' '.join(packages)}")
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    _check(["apt-get", "update", "-qq"], quiet)
    _check(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], quiet)


def install_venv(place: Place, log: Log) -> None:
    """OpenStack from the hashed lock. The stamp is the lock's own hash, so a changed lock installs again."""
    stamp, wanted = place.venv / "clocher-lock.sha256", lock_hash()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    log("installing OpenStack's services in their own venv")
    shutil.rmtree(place.venv, ignore_errors=True)
    place.venv.parent.mkdir(parents=True, exist_ok=True)
    python = place.venv / "bin" / "python"
    if uv := _uv():
        _check([uv, "venv", "-q", "--python", _python(), str(place.venv)])
        _check(
            [
                uv,
                "pip",
                "install",
                "-q",
                "--compile-bytecode",
                "--require-hashes",
                "-p",
                str(python),
                "-r",
                str(LOCK_FILE),
            ]
        )
    else:
        _check([_python(), "-m", "venv", str(place.venv)])
        _check([str(python), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(LOCK_FILE)])
    stamp.write_text(wanted)


def lock_hash() -> str:
    return hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()


def _uv() -> str | None:
    """uv, a fraction of pip's time: on the path, beside the Python that runs us, or in the product's venv."""
    places = [os.environ.get("PATH", ""), str(Path(sys.executable).parent), str(REPO / ".venv" / "bin")]
    return shutil.which("uv", path=os.pathsep.join(places))


def _python() -> str:
    if sys.version_info[:2] == (3, 11):
        return str(Path(sys.base_prefix) / "bin" / "python3.11")
    found = shutil.which("python3.11")
    if not found:
        raise InstallError("the dev cloud's services run on Python 3.11, and no python3.11 was found")
    return found


def _check(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20 * MINUTES,
        check=False,
    )
    if done.returncode:
        raise InstallError(f"{' '.join(command[:6])} failed:\n{done.stdout[-2000:]}")
