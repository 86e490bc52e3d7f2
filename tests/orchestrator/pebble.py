"""A real ACME authority for tests: Pebble, of those who make Let's Encrypt, as Debian packages it."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.settings import ROOT
from tests.orchestrator.flowing import eventually

PORT, MANAGEMENT, DNS = 14000, 15000, 8053
DAYS = 90  # as long as Let's Encrypt's


@dataclass
class Pebble:
    """address: where guests reach this machine; folder: its own."""

    address: str
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def directory(self) -> str:
        return f"https://{self.address}:{PORT}/dir"

    @property
    def log(self) -> str:
        return (self.folder / "pebble.log").read_text()

    def start(self) -> Path:
        """It answers; the file of certificates that vouch for it and for what it certifies."""
        pem, key = self.folder / "tls.pem", self.folder / "tls.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2",
             "-subj", "/CN=Pebble", "-addext", f"subjectAltName=IP:{self.address}", "-keyout", key, "-out", pem],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        settings = {
            "listenAddress": f"{self.address}:{PORT}", "managementListenAddress": f"{self.address}:{MANAGEMENT}",
            "certificate": str(pem), "privateKey": str(key), "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "",
            "externalAccountBindingRequired": False, "certificateValidityPeriod": DAYS * 86400,
        }  # fmt: skip
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        self._run("pebble", "-config", str(self.folder / "pebble.json"), "-dnsserver", f"{self.address}:{DNS}")
        trust, root = ssl.create_default_context(cafile=pem), f"https://{self.address}:{MANAGEMENT}/roots/0"
        eventually(lambda: listens(self.address, MANAGEMENT), "Pebble", 20)
        with urllib.request.urlopen(root, timeout=10, context=trust) as answer:
            issued = answer.read().decode()
        both = self.folder / "trust.pem"
        both.write_text(pem.read_text() + issued)
        return both

    def name(self, address: str) -> None:
        """Every name is this machine's, to the authority."""
        if dns := self.processes.pop("pebble-challtestsrv", None):
            end(dns)
        self._run("pebble-challtestsrv", "-dns01", f"{self.address}:{DNS}", "-defaultIPv4", address, "-defaultIPv6", "",
                  "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"{self.address}:8055")  # fmt: skip
        eventually(lambda: listens(self.address, 8055), "the authority's name server", 20)

    def stop(self) -> None:
        for process in self.processes.values():
            end(process)
        self.processes.clear()

    def _run(self, program: str, *argv: str) -> None:
        with (self.folder / f"{program}.log").open("ab") as log:
            quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
            self.processes[program] = subprocess.Popen([found(program), *argv], stdout=log, stderr=log, env=quick)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


def listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def found(program: str) -> str:
    """Where a program of the package is. One that is not installed is unpacked into a folder of the repository's."""
    own = ROOT / ".clocher" / "pebble"
    if not shutil.which(program) and not (own / "usr/bin" / program).exists():
        own.mkdir(parents=True, exist_ok=True)
        fetch = ["apt-get", "download", "-qq", "pebble"]
        if subprocess.run(fetch, cwd=own, capture_output=True, timeout=120, check=False).returncode:
            subprocess.run(["apt-get", "update", "-qq"], check=True, timeout=300)
            subprocess.run(fetch, cwd=own, check=True, timeout=120)
        for archive in own.glob("pebble_*.deb"):
            subprocess.run(["dpkg-deb", "--extract", archive, own], check=True, timeout=60)
    return shutil.which(program) or str(own / "usr/bin" / program)


@contextmanager
def authority(address: str, folder: Path) -> Iterator[Pebble]:
    """One that is there as long as a test needs it."""
    made = Pebble(address, folder)
    try:
        yield made
    finally:
        made.stop()
