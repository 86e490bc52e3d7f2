"""What each failure of the cloud means to us: over real sockets, and on the real dev cloud."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator import cloud, cloud_network, cloud_servers, cloud_volumes, places
from orchestrator.cloud import Cloud, Tag, read_tag
from orchestrator.errors import (
    CloudConflict,
    CloudError,
    CloudNotFound,
    CloudQuotaExceeded,
    CloudRefused,
    CloudTokenLost,
    CloudUnavailable,
    InvalidInput,
)
from orchestrator.settings import Settings

TAG = Tag("essai", "0f8fad5b-d9cb-469f-a165-70867728950e", 42)


@dataclass
class Script:
    """What the small cloud answers to a request for servers: a status and a message; how often it was asked."""

    status: int = 200
    message: str = ""
    slow: bool = False
    asked: list[str] = field(default_factory=list)


class Clock(BaseHTTPRequestHandler):
    """A Keystone and a Nova, just enough for openstacksdk to find its way."""

    script: Script
    released: threading.Event

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        root = f"http://127.0.0.1:{self.server.server_address[1]}"
        endpoint = {"interface": "public", "region": "r", "region_id": "r", "id": "e", "url": f"{root}/compute/v2.1"}
        token = {
            "expires_at": "2999-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z",
            "methods": ["password"],
            "user": {"id": "u", "name": "u", "domain": {"id": "d", "name": "d"}}, "roles": [],
            "project": {"id": "p", "name": "p", "domain": {"id": "d", "name": "d"}},
            "catalog": [{"type": "compute", "name": "nova", "id": "n", "endpoints": [endpoint]}],
        }  # fmt: skip
        self.tell(201, {"token": token}, {"X-Subject-Token": "a-token"})

    def do_GET(self) -> None:
        root = f"http://127.0.0.1:{self.server.server_address[1]}"
        if "/servers" in self.path:
            self.script.asked.append(self.path)
            if self.script.slow:
                self.released.wait(20)
            self.tell(self.script.status, {"fault": {"message": self.script.message, "code": self.script.status}})
        elif self.path.startswith("/compute"):
            version = {"id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1"}
            self.tell(200, {"version": version | {"links": [{"rel": "self", "href": f"{root}/compute/v2.1/"}]}})
        else:
            links = [{"rel": "self", "href": f"{root}/v3/"}]
            self.tell(200, {"version": {"id": "v3.14", "status": "stable", "links": links}})

    def tell(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (
            {"Content-Type": "application/json", "Content-Length": str(len(content))} | (headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def small(script: Script, tmp_path: Path) -> Iterator[Cloud]:
    """A connection to the small cloud, with half a second of patience."""
    released = threading.Event()
    handler = type("Handler", (Clock,), {"script": script, "released": released})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield cloud.connect(described(tmp_path, server.server_address[1]))
    released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def described(folder: Path, port: int) -> Settings:
    """Settings whose clouds.yaml leads to a port of this machine."""
    auth = {
        "auth_url": f"http://127.0.0.1:{port}/v3", "username": "u", "password": "x", "user_domain_name": "d",
        "project_name": "p", "project_domain_name": "d",
    }  # fmt: skip
    path = folder / "clouds.yaml"
    path.write_text(json.dumps({"clouds": {"clocher": {"auth": auth, "region_name": "r"}}}))
    return Settings(state_dir=folder, clouds_file=path, cloud_timeout=0.5, _env_file=None)


@pytest.mark.parametrize(
    ("status", "message", "kind", "code", "retryable"),
    [
        (401, "The request you have made requires authentication.", CloudTokenLost, "cloud_token_lost", True),
        (403, "Quota exceeded for cores: Requested 4", CloudQuotaExceeded, "cloud_quota_exceeded", False),
        (413, "VolumeSizeExceedsAvailableQuota: too many", CloudQuotaExceeded, "cloud_quota_exceeded", False),
        (409, "Quota exceeded for resources: ['port'].", CloudQuotaExceeded, "cloud_quota_exceeded", False),
        (409, "Cannot 'stop' instance while it is in vm_state building", CloudConflict, "cloud_conflict", True),
        (403, "Policy doesn't allow this", CloudRefused, "cloud_refused", False),
        (400, "Invalid input", CloudRefused, "cloud_refused", False),
        (404, "Instance could not be found", CloudNotFound, "cloud_not_found", False),
        (429, "Too many requests", CloudUnavailable, "cloud_unavailable", True),
        (500, "Unexpected API error", CloudUnavailable, "cloud_unavailable", True),
        (503, "Service unavailable", CloudUnavailable, "cloud_unavailable", True),
        (504, "Gateway timeout", CloudUnavailable, "cloud_timeout", True),
    ],
)  # fmt: skip
def test_each_answer_has_its_meaning(
    small: Cloud, script: Script, status: int, message: str, kind: type[CloudError], code: str, retryable: bool
) -> None:
    script.status, script.message = status, message
    with pytest.raises(CloudError) as raised:
        cloud_servers.get_server(small, "some-id")
    assert (type(raised.value), raised.value.code, raised.value.retryable) == (kind, code, retryable)
    assert message in raised.value.detail
    assert raised.value.sentence and raised.value.action


def test_a_refused_token_is_renewed_once_and_nothing_else_is_tried_twice(small: Cloud, script: Script) -> None:
    script.status = 503
    with pytest.raises(CloudUnavailable):
        cloud_servers.get_server(small, "some-id")
    assert len(script.asked) == 1
    script.status = 401
    with pytest.raises(CloudTokenLost):
        cloud_servers.get_server(small, "some-id")
    assert len(script.asked) == 3


@pytest.mark.slow
def test_a_slow_cloud_is_given_up_in_time(small: Cloud, script: Script) -> None:
    script.slow = True
    started = time.monotonic()
    with pytest.raises(CloudUnavailable) as raised:
        cloud_servers.get_server(small, "some-id")
    assert raised.value.code == "cloud_timeout"
    assert time.monotonic() - started < 5


def test_nobody_at_the_address(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, never listening: connections are refused
        with pytest.raises(CloudUnavailable) as raised:
            cloud_servers.get_server(cloud.connect(described(tmp_path, taken.getsockname()[1])), "some-id")
    assert (raised.value.code, raised.value.retryable) == ("cloud_unavailable", True)


def test_a_cloud_that_is_not_described(tmp_path: Path) -> None:
    for settings in (
        Settings(state_dir=tmp_path, _env_file=None),
        described(tmp_path, 1).model_copy(update={"cloud": "elsewhere"}),
    ):
        with pytest.raises(InvalidInput) as raised:
            cloud.connect(settings)
        assert raised.value.code == "cloud_not_configured"


def test_a_tag_comes_back_whole() -> None:
    assert read_tag(TAG.metadata()) == TAG
    assert read_tag(TAG.description()) == TAG
    assert len(TAG.description()) < 255


@pytest.mark.parametrize("marks", [None, "", {}, "a port of ours = mine", {"clocher:service": "x"}, "clocher:flow=1"])
def test_what_is_not_ours_has_no_tag(marks: dict[str, str] | str | None) -> None:
    assert read_tag(marks) is None


@pytest.fixture
def project(ids: places.Ids, tmp_path: Path, clouds: Path) -> Cloud:
    """The tests' project in the dev cloud."""
    return cloud.connect(Settings(state_dir=tmp_path, clouds_file=clouds, _env_file=None)).project(ids.project_id)


@pytest.mark.cloud
def test_the_tag_is_there_from_the_first_call(project: Cloud, ids: places.Ids) -> None:
    port = cloud_network.create_port(project, "tagged", ids.network_id, ids.security_group_id, tag=TAG)
    volume = cloud_volumes.create_volume(project, "tagged", 1, tag=TAG)
    try:
        assert (port.tag, volume.tag) == (TAG, TAG)
        assert cloud_network.find_port(project, TAG) == port
        found = cloud_volumes.find_volume(project, TAG)
        assert found and found.id == volume.id
        assert cloud_volumes.find_volume(project, Tag("essai", TAG.service, 42, role="backup")) is None
    finally:
        cloud_network.delete_port(project, port.id)
        while cloud_volumes.get_volume(project, volume.id).status == "creating":
            time.sleep(0.1)
        cloud_volumes.delete_volume(project, volume.id)


@pytest.mark.cloud
def test_the_real_clouds_refusals(project: Cloud, ids: places.Ids) -> None:
    nowhere = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(CloudNotFound):
        cloud_servers.get_server(project, nowhere)
    with pytest.raises(CloudNotFound):
        cloud_servers.find_flavor(project, "no-such-size")
    with pytest.raises(CloudNotFound):
        cloud_network.delete_port(project, nowhere)
    with pytest.raises(CloudQuotaExceeded):
        cloud_volumes.create_volume(project, "huge", 100_000, tag=TAG)
    with pytest.raises(CloudUnavailable, match="répond"):
        stranger = project.settings.model_copy(update={"cloud_timeout": 0.001})
        cloud_servers.find_flavor(cloud.connect(stranger), "s1.small")
