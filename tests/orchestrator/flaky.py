"""A service of the dev cloud behind a door that fails: real sockets, the real service behind."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from orchestrator import cloud
from orchestrator.settings import Settings

SECONDS = 60


@contextmanager
def flaky(
    settings: Settings, folder: Path, service: str, method: str, path: str, *, failures: int, reached: bool
) -> Iterator[Path]:
    """A clouds.yaml where `service` answers 503 to its first `failures` requests of that method and end of path.

    reached: whether the real service has done what was asked before the door says 503.
    """
    left = [failures]
    behind = urlsplit(cloud.connect(settings).connection.endpoint_for(service))

    class Door(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            failing = self.command == method and urlsplit(self.path).path.endswith(path) and left[0] > 0
            left[0] -= failing
            status, headers, body = self.forward(content) if reached or not failing else (503, {}, b"")
            self.send_response(503 if failing else status)
            for name, value in headers.items():
                if name.lower() in {"content-type", "location", "x-openstack-request-id"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def forward(self, content: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=SECONDS)
            kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection.request(self.command, self.path, content, kept)
            answer = connection.getresponse()
            try:
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield describe(settings, folder, service, f"http://127.0.0.1:{server.server_address[1]}{behind.path}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def describe(settings: Settings, folder: Path, service: str, url: str) -> Path:
    """The clouds.yaml of the settings, with another address for a service."""
    clouds = yaml.safe_load(settings.openstack_config.read_text())
    clouds["clouds"][settings.cloud][f"{service}_endpoint_override"] = url
    path = folder / "flaky.yaml"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(clouds))
    return path
