"""The JSON API: who sees what, what bad input gets, what an order's life looks like from outside."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from werkzeug.test import TestResponse

from api.app import BODY, create
from orchestrator.database import territory_session
from orchestrator.settings import Settings
from orchestrator.tables import AnsibleEvent, Flow, FlowStep, Service
from tenants import tokens
from tenants.tables_identity import SCOPES
from tests.api.conftest import Caller
from tests.tenants.ordering import NOW, wish


def problem(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json and answer.json.get("code")) == (status, code)
    assert answer.content_type == "application/problem+json"
    assert "Traceback" not in answer.text
    body: dict[str, Any] = answer.json
    assert body["status"] == status
    assert body["title"]
    return body


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer clo_wrong", "Bearer \x7f", "Basic YTpi", "clo_wrong"])
def test_a_wrong_token_is_nobody(app: APIFlask, given: str) -> None:
    answer = app.test_client().get("/api/v1/orders", headers={"Authorization": given})
    problem(answer, 401, "invalid_token")


@pytest.mark.slow
def test_a_service_is_deleted_as_in_the_pages(brevaux: Caller, owner: sa.Engine) -> None:
    brevaux.place(wish())
    with territory_session(owner, "worker") as session:
        session.execute(sa.update(Flow).values(state="done", ended_at=NOW))
        session.execute(sa.update(Service).values(state="active"))
    assert brevaux("POST", "/services/1/protect").json["protected"] is True
    problem(brevaux("DELETE", "/services/1"), 409, "service_protected")
    problem(brevaux("POST", "/services/1/delete", json={"now": True}), 409, "service_protected")
    brevaux("POST", "/services/1/unprotect")
    asked = datetime.now(UTC)
    gone = brevaux("DELETE", "/services/1")
    assert (gone.status_code, gone.json["state"], gone.json["flow"]["kind"]) == (202, "active", "stop_server")
    hours = (datetime.fromisoformat(gone.json["delete_after"]) - asked).total_seconds() / 3600
    assert 71.9 < hours < 72.1
    problem(brevaux("DELETE", "/services/1"), 409, "deletion_planned")
    assert brevaux("POST", "/services/1/undelete").json["delete_after"] is None


@pytest.mark.slow
def test_an_order_from_outside(brevaux: Caller, owner: sa.Engine) -> None:
    placed = brevaux.place(wish(disk_gib=20))
    assert placed.status_code == 201
    order = placed.json
    assert (order["member"], order["state"], order["monthly"]) == ("brevaux", "approved", "12.41")
    assert brevaux.place(wish(disk_gib=20)).json == order
    problem(brevaux.place(wish("other")), 409, "request_key_reused")
    detail = brevaux("GET", f"/orders/{order['id']}").json
    assert detail == {**order, "approvals": [], "waiting_for": None}
    assert brevaux("GET", "/orders").json == {"items": [order], "next": None}
    service = brevaux("GET", f"/services/{order['service_id']}").json
    assert (service["name"], service["state"], service["specification"]["disk_gib"]) == ("web", "creating", 20)
    assert brevaux("GET", f"/services/{service['id']}/events").json["items"] == []
    problem(brevaux("DELETE", f"/services/{service['id']}"), 409, "not_allowed_now")
    assert brevaux("POST", f"/flows/{order['flow_id']}/cancel").json["cancel_requested"] is True
    with territory_session(owner, "worker") as session:
        session.execute(sa.update(Flow).values(state="done", ended_at=NOW))
        session.execute(sa.update(Service).values(state="active"))
    stopped = brevaux("POST", f"/services/{service['id']}/stop")
    assert (stopped.status_code, stopped.json["kind"], stopped.json["state"]) == (202, "stop_server", "queued")
    assert [flow["kind"] for flow in brevaux("GET", "/flows").json["items"]] == ["stop_server", "create_server"]


@pytest.mark.slow
def test_a_flow_shows_steps_and_tasks(brevaux: Caller, owner: sa.Engine) -> None:
    flow_id = brevaux.place(wish()).json["flow_id"]
    with territory_session(owner, "worker") as session:
        of = {"flow_id": flow_id, "member_id": session.get_one(Flow, flow_id).member_id}
        session.add(FlowStep(**of, name="server", state="done", ended_at=NOW))
        session.add(FlowStep(**of, name="build", state="running"))
        uuid = sa.func.gen_random_uuid()
        session.add(AnsibleEvent(**of, uuid=uuid, event="runner_on_ok", task="Set the host name", outcome="changed"))
    flow = brevaux("GET", f"/flows/{flow_id}").json
    assert [(step["name"], step["state"]) for step in flow["steps"]] == [("server", "done"), ("build", "running")]
    assert [(task["task"], task["outcome"]) for task in flow["tasks"]] == [("Set the host name", "changed")]
    assert "error_detail" not in flow  # that is for the DSI


@pytest.mark.slow
def test_another_members_rows_look_like_none(brevaux: Caller, orgelune: Caller, dsi: Caller) -> None:
    order = brevaux.place(wish(), "vm-small").json
    order_id, service_id, flow_id = order["id"], order["service_id"], order["flow_id"]
    for method, path in [
        ("GET", "/orders/{}"), ("POST", "/orders/{}/cancel"), ("GET", "/services/{}"), ("DELETE", "/services/{}"),
        ("GET", "/services/{}/events"), ("POST", "/services/{}/stop"), ("GET", "/flows/{}"),
        ("POST", "/flows/{}/cancel"),
    ]:  # fmt: skip
        noun = path.split("/")[1]
        own = {"orders": order_id, "services": service_id, "flows": flow_id}[noun]
        foreign = problem(orgelune(method, path.format(own)), 404, "not_found")
        assert problem(orgelune(method, path.format(999)), 404, "not_found") == foreign
        assert problem(orgelune(method, path.format(2**63)), 404, "not_found") == foreign
    assert orgelune("GET", "/orders?member=brevaux").json["items"] == []
    problem(orgelune.place(wish(), member="brevaux"), 404, "unknown_member")
    for noun in ("orders", "services", "flows"):
        assert orgelune("GET", f"/{noun}").json["items"] == []
        assert len(dsi("GET", f"/{noun}").json["items"]) == 1
        assert len(dsi("GET", f"/{noun}?member=brevaux").json["items"]) == 1
        assert dsi("GET", f"/{noun}?member=orgelune").json["items"] == []


@pytest.mark.slow
def test_the_territory_decides(brevaux: Caller, dsi: Caller) -> None:
    first = brevaux.place(wish("one"), "vm-xlarge", "1").json
    second = brevaux.place(wish("two"), "vm-xlarge", "2").json
    third = brevaux.place(wish("three"), "vm-xlarge", "3").json
    problem(brevaux("POST", f"/orders/{first['id']}/approve"), 403, "not_yours")
    assert dsi("POST", f"/orders/{first['id']}/approve").json["state"] == "approved"
    problem(dsi("POST", f"/orders/{second['id']}/reject", json={"reason": " "}), 422, "invalid_reason")
    rejected = dsi("POST", f"/orders/{second['id']}/reject", json={"reason": "Trop gros."}).json
    assert (rejected["state"], rejected["reason"]) == ("rejected", "Trop gros.")
    assert brevaux("POST", f"/orders/{third['id']}/cancel").json["state"] == "cancelled"
    problem(dsi("POST", f"/orders/{third['id']}/approve"), 409, "order_decided")
    problem(dsi.place(wish("four")), 422, "member_needed")
    assert dsi.place(wish("four"), member="brevaux").json["member"] == "brevaux"


def test_a_refusal_tells_what_was_met(brevaux: Caller, owner: sa.Engine) -> None:
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE quotas SET vcpus = 1"))
    refusal = problem(brevaux.place(wish(), "vm-medium"), 409, "quota_exceeded")
    assert {name: refusal[name] for name in ("quota", "asked", "held", "limit")} == {
        "quota": "vcpus", "asked": 2, "held": 0, "limit": 1,
    }  # fmt: skip
    assert brevaux("GET", "/orders").json["items"] == []


@pytest.mark.slow
def test_pages_of_a_list_follow_each_other(brevaux: Caller) -> None:
    placed = [brevaux.place(wish(f"web-{number}"), key=str(number)).json["id"] for number in range(5)]
    seen: list[int] = []
    after = ""
    while True:
        page = brevaux("GET", f"/orders?limit=2{after}").json
        seen += [order["id"] for order in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == sorted(placed, reverse=True)


ORDER = {"offer": "vm-small", "parameters": {}}


BAD_INPUT: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", "/orders", {"data": "not json"}, 400, "invalid_request"),
    ("POST", "/orders", {"data": b"\xff\xfe"}, 400, "invalid_request"),
    ("POST", "/orders", {"data": "[" * 30_000}, 400, "invalid_request"),
    ("POST", "/orders", {"data": " " * (BODY + 1)}, 413, "too_large"),
    ("POST", "/orders", {"json": []}, 422, "invalid_request"),
    ("POST", "/orders", {"data": "null"}, 422, "invalid_request"),
    ("POST", "/orders", {"json": {"offer": 3, "parameters": {}}}, 422, "invalid_request"),
    ("POST", "/orders", {"json": {"offer": "vm-small", "parameters": []}}, 422, "invalid_request"),
    ("POST", "/orders", {"json": {**ORDER, "colour": 1}}, 422, "invalid_request"),
    ("POST", "/orders", {"json": {**ORDER, "offer": "vm\x00small"}}, 422, "invalid_request"),
    ("POST", "/orders", {"json": ORDER, "headers": {}}, 422, "invalid_request"),
    ("POST", "/orders", {"json": {**ORDER, "offer": "vm-huge"}}, 422, "unknown_offer"),
    ("POST", "/orders", {"json": {**ORDER, "parameters": wish(disk_gib=-1)}}, 422, "invalid_parameter"),
    ("POST", "/orders", {"json": {**ORDER, "parameters": wish(ssh_keys=["x"])}}, 422, "invalid_ssh_key"),
    ("POST", "/orders", {"data": r'{"offer": "vm-small", "parameters": {"\ud800": 1}}'}, 422, "unknown_parameter"),
    ("POST", "/orders", {"json": {**ORDER, "parameters": wish("\x00")}}, 422, "invalid_parameter"),
    ("POST", "/orders/1/reject", {"json": {"reason": "a\x00b"}}, 422, "invalid_request"),
    ("GET", "/orders?limit=0", {}, 422, "invalid_request"),
    ("GET", "/orders?after=x", {}, 422, "invalid_request"),
    ("GET", f"/orders?after={2**63}", {}, 422, "invalid_request"),
    ("GET", "/orders?member=%00", {}, 422, "invalid_request"),
    ("GET", "/orders/0", {}, 404, "not_found"),
    ("GET", "/orders/abc", {}, 404, "not_found"),
    ("GET", "/nothing", {}, 404, "not_found"),
    ("PUT", "/orders", {}, 405, "method_not_allowed"),
]


@pytest.mark.slow
def test_bad_input_is_told_and_loses_nothing(brevaux: Caller) -> None:
    for method, path, more, status, code in BAD_INPUT:
        kind = {"content_type": "application/json"} if "data" in more else {}
        answer = brevaux(method, path, **{"headers": {"Idempotency-Key": "key"}, **kind, **more})
        assert problem(answer, status, code), (method, path, more)
    assert brevaux("GET", "/orders").json["items"] == []


def test_the_database_down_is_503_and_to_be_tried_again(tmp_path: Any) -> None:
    down = Settings(
        state_dir=tmp_path, secret_key="x", database_url="postgresql://nobody@127.0.0.1:1/none", _env_file=None
    )
    app = create(down)
    answer = Caller(app, tokens.mint())("GET", "/orders")
    body = problem(answer, 503, "database_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert body["retryable"] is True
    client = app.test_client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert "clocher_database_up 0.0" in client.get("/metrics").text


def test_ready_when_migrated(app: APIFlask, owner: sa.Engine) -> None:
    client = app.test_client()
    assert client.get("/readyz").json == {"status": "ok"}
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    assert (client.get("/readyz").status_code, client.get("/readyz").json["code"]) == (503, "not_migrated")


@pytest.mark.slow
def test_metrics_tell_requests_and_states(app: APIFlask, brevaux: Caller) -> None:
    brevaux.place(wish())
    brevaux.place(wish("big"), "vm-xlarge", "big")
    brevaux("GET", "/orders/1")
    text = app.test_client().get("/metrics").text
    for line in (
        "clocher_database_up 1.0",
        'clocher_services{state="creating"} 1.0',
        'clocher_flows{state="queued"} 1.0',
        "clocher_orders_waiting 1.0",
        "clocher_workers_alive 0.0",
        'clocher_requests_total{method="POST",route="/api/v1/orders",status="201"} 2.0',
    ):
        assert line in text
    assert "clocher_oldest_queued_flow_seconds" in text


@pytest.mark.slow
def test_the_catalogue_has_prices(brevaux: Caller, owner: sa.Engine) -> None:
    offers = brevaux("GET", "/catalogue").json["items"]
    assert [(offer["slug"], offer["monthly"]) for offer in offers][:2] == [
        ("vm-small", "10.95"),
        ("vm-medium", "29.20"),
    ]
    assert [rule["name"] for rule in offers[0]["parameters"]][:2] == ["name", "image"]


@pytest.mark.slow
def test_openapi_comes_from_the_code(app: APIFlask) -> None:
    document = app.test_client().get("/api/v1/openapi.json").json
    assert document["openapi"].startswith("3.1")
    served = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/v1/")}
    assert len(document["paths"]) == len(served - {"/api/v1/openapi.json"})
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    for operation in operations:
        [(scheme, scopes)] = operation["security"][0].items()
        assert (scheme, set(scopes) - set(SCOPES)) == ("token", set())
        assert operation["responses"]["401"] == {"$ref": "#/components/responses/Problem401"}
        assert operation["summary"]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    schemas = document["components"]["schemas"]
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert reference in schemas
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in schemas)
    for operation in operations:
        for body in operation.get("requestBody", {}).get("content", {}).values():
            whole = {**body["schema"], "components": document["components"]}
            assert jsonschema_rs.is_valid(whole, body["example"]), operation["operationId"]
    assert "localhost" not in json.dumps(document)
