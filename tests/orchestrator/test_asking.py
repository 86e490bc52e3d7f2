"""What is seen at an address over TLS, by a name that no name server knows."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from orchestrator import readiness

HOST = "ecole.brevaux.test"
MOVED = {
    "/": "/fr-fr/",
    "/fr-fr/": f"https://{HOST}/fr-fr/accueil?de=%C3%A9cole",
    "/ailleurs": "https://connexion.test/",
    "/clair": f"http://{HOST}/",
    "/port": f"https://{HOST}:8443/",
    "/cercle": "/cercle",
}


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == "/fr-fr/accueil?de=%C3%A9cole"
        self.send_response(302 if self.path in MOVED else 200 if found else 404)
        if self.path in MOVED:
            self.send_header("Location", MOVED[self.path])
        self.end_headers()
        self.wfile.write("Bienvenue à l’école".encode() if found else b"")

    def log_message(self, *_: Any) -> None:
        pass


def certify(folder: Path) -> tuple[str, bytes]:
    """A certificate for HOST that vouches for itself, and the file with its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=True)
    certificate = made.sign(key, SHA256()).public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "site.pem").write_bytes(private + certificate)
    return certificate.decode(), ssl.PEM_cert_to_DER_cert(certificate.decode())


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, bytes]]:
    """Whom to trust while the pages are served, on another port than that of the web."""
    certificate = certify(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "site.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        connect, there = socket.create_connection, ("127.0.0.1", server.server_port)
        monkeypatch.setattr(socket, "create_connection", lambda _, **more: connect(there, **more))
        yield certificate
        server.shutdown()
        thread.join()


def test_redirections_are_followed_as_far_as_they_stay(authority: tuple[str, bytes]) -> None:
    def ask(path: str, host: str = HOST) -> readiness.Seen:
        return readiness.ask_url("192.0.2.1", host, authority[0], path)

    seen = ask("/")
    assert (seen.said, seen.status, seen.body, seen.certificate) == (None, 200, "Bienvenue à l’école", authority[1])
    assert readiness.check_url("192.0.2.1", HOST, authority[0], "/", "Bienvenue", 200) == seen
    assert (ask("/ailleurs").said, ask("/ailleurs").status) == (None, 302)  # somebody else's page, which is an answer
    assert [ask(path).said for path in ("/clair", "/port", "/cercle", "/rien")] == [
        f"leaves its address: http://{HOST}/", f"leaves its address: https://{HOST}:8443/", "more than 8 redirections",
        "HTTP 404",
    ]  # fmt: skip
    assert "certificate verify failed" in str(ask("/", "autre.brevaux.test").said)
