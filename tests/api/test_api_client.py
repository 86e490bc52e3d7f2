"""The command line against another installation, by its API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.client import Client, connect
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, Conflict, InvalidInput
from orchestrator.tables import Flow, FlowStep, Service, Snapshot
from tests.api.conftest import Caller, Run, told
from tests.tenants.ordering import KEY, NOW


@pytest.fixture
def far(run: Run, portal: str, brevaux: Caller, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `clocher --url …` with the token of brevaux."""
    assert brevaux.secret
    monkeypatch.setenv("CLOCHER_TOKEN", brevaux.secret)
    return lambda *words, **more: run("--url", portal, *words, **more)


@pytest.mark.slow
def test_a_life_by_another_installations_api(far: Run, owner: sa.Engine) -> None:
    place = ("orders", "place", "vm-small", "--name", "web", "--ssh-key", KEY, "--request-key", "one", "--json")
    order = told(far(*place))
    assert (order["member"], order["state"], order["monthly"]) == ("brevaux", "approved", "10.95")
    assert told(far(*place)) == order
    assert "10,95" in far("orders", "show", str(order["id"])).stdout
    assert "brevaux" in far("orders", "list").stdout
    with territory_session(owner, "worker") as session:
        flow = session.get_one(Flow, order["flow_id"])
        session.add(FlowStep(flow_id=flow.id, member_id=flow.member_id, name="server", state="done", ended_at=NOW))
        flow.state, flow.ended_at = "done", NOW
        session.execute(sa.update(Service).values(state="active"))
    watched = far("flows", "watch", str(order["flow_id"]))
    assert (watched.exit_code, "server : done" in watched.stdout) == (0, True)
    assert told(far("services", "list", "--json"))[0]["state"] == "active"
    assert told(far("services", "show", str(order["service_id"]), "--json"))["events"] == []
    assert told(far("services", "stop", str(order["service_id"]), "--json"))["kind"] == "stop_server"
    refused = far("services", "start", str(order["service_id"]), "--json")
    assert (refused.exit_code, json.loads(refused.stderr)["error"]["code"]) == (3, "flow_running")
    assert "vm-small" in far("catalogue", "list").stdout
    assert told(far("flows", "list", "--json"))[0]["kind"] == "stop_server"
    assert told(far("statements", "list", "--json")) == []


@pytest.mark.slow
def test_a_service_is_changed_from_afar(far: Run, owner: sa.Engine) -> None:
    order = told(far("orders", "place", "vm-small", "--name", "web", "--ssh-key", KEY, "--json"))
    service = str(order["service_id"])

    def settle() -> None:
        with territory_session(owner, "worker") as session:
            session.execute(sa.update(Flow).where(Flow.ended_at.is_(None)).values(state="done", ended_at=NOW))
            session.execute(sa.update(Service).values(state="active"))
            session.execute(sa.update(Snapshot).values(state="ready", ready_at=NOW, size_gib=3))

    settle()
    looked = far("services", "resize", service, "vm-medium", "--dry-run")
    assert (looked.exit_code, "10,95" in looked.stdout, "processeurs : 1 → 2" in looked.stdout) == (0, True, True)
    assert told(far("services", "resize", service, "vm-medium", "--dry-run", "--json"))["kind"] == "resize"
    assert len(told(far("orders", "list", "--json"))) == 1, "nothing was ordered"
    bigger = ("services", "resize", service, "vm-medium", "--request-key", "k", "--json")
    assert told(far(*bigger))["kind"] == told(far(*bigger))["kind"] == "resize"
    settle()
    assert told(far("services", "grow", service, "20", "--volume", "photos", "--json"))["kind"] == "volume"
    settle()
    assert told(far("services", "address", service, "on", "--json"))["kind"] == "address"
    settle()
    assert told(far("services", "snapshot", service, "avant", "--json"))["kind"] == "snapshot_server"
    settle()
    [kept] = told(far("services", "snapshots", service, "--json"))
    assert (kept["name"], kept["size_gib"]) == ("avant", 3)
    assert "avant" in far("services", "snapshots", service).stdout
    back = far("services", "restore", service, str(kept["id"]), "--safety", "au cas où", "--yes", "--json")
    assert told(back)["kind"] == "restore_server"
    settle()
    assert len(told(far("services", "snapshots", service, "--json"))) == 2
    assert "pour de bon" in far("services", "delete-snapshot", service, str(kept["id"]), input="non\n").stderr
    gone = told(far("services", "delete-snapshot", service, str(kept["id"]), "--yes", "--json"))
    assert gone["kind"] == "delete_snapshot"
    settle()
    assert told(far("services", "schedule", service, "--hour", "3", "--json"))["schedule"]["hour"] == 3
    assert told(far("services", "schedule", service, "--off", "--json")) == {"schedule": None}
    assert told(far("services", "rename", service, "site", "--json"))["kind"] == "rename_server"
    settle()
    assert told(far("services", "protect", service, "--json"))["protected"] is True
    refused = far("services", "delete", service, "--yes", "--json")
    assert json.loads(refused.stderr)["error"]["code"] == "service_protected"
    assert told(far("services", "protect", service, "--off", "--json"))["protected"] is False


@pytest.mark.slow
def test_a_flow_is_cancelled_from_afar_after_a_yes(far: Run) -> None:
    flow = str(told(far("orders", "place", "vm-small", "--name", "web", "--ssh-key", KEY, "--json"))["flow_id"])
    refused = far("flows", "cancel", flow, input="non\n")
    assert (refused.exit_code, "Création : « web »" in refused.stderr) == (1, True)
    assert "watch" in far("flows", "cancel", flow, input="oui\n").stdout
    assert told(far("flows", "cancel", flow, "--yes", "--json"))["cancel_requested"] is True


def test_what_works_here_only(far: Run) -> None:
    refused = far("members", "list")
    assert (refused.exit_code, "by --url" in refused.output) == (2, True)


def test_the_token_is_the_readers_alone(
    run: Run, portal: str, brevaux: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    monkeypatch.setenv("CLOCHER_URL", portal)
    monkeypatch.setenv("CLOCHER_TOKEN_FILE", str(path))
    assert "token_missing" in run("orders", "list").output
    path.write_text(f"{brevaux.secret}\n")
    path.chmod(0o640)
    assert "token_readable" in run("orders", "list").output
    path.chmod(0o600)
    assert told(run("orders", "list", "--json")) == []


def test_a_token_does_not_leave_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOCHER_TOKEN", "clo_x")
    for address in ("http://cloud.example", "ftp://127.0.0.1", "http://127.0.0.1.example", "http://[::1"):
        with pytest.raises(InvalidInput, match="clair"):
            connect(address)
    assert connect("https://cloud.example/").url == "https://cloud.example"


@pytest.mark.slow
def test_refusals_keep_their_facts(portal: str, brevaux: Caller) -> None:
    assert brevaux.secret
    here = Client(portal, brevaux.secret)
    body: dict[str, Any] = {"offer": "vm-small", "parameters": {"name": "web", "ssh_keys": [KEY]}}
    here.call("POST", "/orders", body, request_key="one")
    with pytest.raises(Conflict) as taken:
        here.call("POST", "/orders", body, request_key="two")
    assert taken.value.code == "name_taken"
    with pytest.raises(ClocherError) as gone:
        Client("http://127.0.0.1:1", "x").call("GET", "/me")
    assert (gone.value.code, gone.value.exit_status) == ("portal_unavailable", 75)
