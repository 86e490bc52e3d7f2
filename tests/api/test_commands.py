"""The commands of the DSI: orders, services, tokens, catalogue, audit; errors as codes with an exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import sqlalchemy as sa

from api.cli import main
from orchestrator.settings import Settings
from tenants import catalogue
from tests.api.conftest import Run, told
from tests.tenants.ordering import KEY, member, seed
from tests.tenants.test_changes import create, end


@pytest.mark.slow
def test_an_order_by_command(run: Run, owner: sa.Engine, tmp_path: Path) -> None:
    seed(owner)
    member(owner, vcpus=20)
    (tmp_path / "id.pub").write_text(KEY + "\n")
    key = str(tmp_path / "id.pub")
    place = ("orders", "place", "vm-small", "--member", "brevaux", "--ssh-key", key)
    order = told(run(*place, "--name", "web", "--disk", "10", "--request-key", "one", "--json"))
    assert (order["state"], order["monthly"], order["parameters"]["disk_gib"]) == ("approved", "11.68", 10)
    again = told(run(*place, "--name", "web", "--disk", "10", "--request-key", "one", "--json"))
    assert again == order
    assert "11,68" in run("orders", "show", str(order["id"])).stdout
    assert [one["id"] for one in told(run("orders", "list", "--json"))] == [order["id"]]
    assert "brevaux" in run("services", "list").stdout
    service = told(run("services", "show", str(order["service_id"]), "--json"))
    assert (service["name"], service["state"], service["events"]) == ("web", "creating", [])
    refused = run("services", "delete", str(order["service_id"]), "--now", "--yes", "--json")
    assert refused.exit_code == 3
    assert json.loads(refused.stderr)["error"]["code"] == "flow_running"
    assert run("services", "delete", "1", input="n\n").exit_code == 1
    assert told(run("audit", "verify", "--json")) == {"ok": True}
    actions = [entry["action"] for entry in told(run("audit", "list", "--json"))]
    assert actions[0] == "order.place"


@pytest.mark.slow
def test_decisions_by_command(run: Run, owner: sa.Engine) -> None:
    seed(owner)
    member(owner)
    place = ("orders", "place", "vm-xlarge", "--member", "brevaux", "--ssh-key", KEY, "--json")
    first, second, third = (told(run(*place, "--name", name))["id"] for name in ("one", "two", "three"))
    assert told(run("orders", "approve", str(first), "--json"))["state"] == "approved"
    assert told(run("orders", "reject", str(second), "--reason", "Trop gros.", "--json"))["reason"] == "Trop gros."
    assert told(run("orders", "cancel", str(third), "--json"))["state"] == "cancelled"


@pytest.mark.slow
def test_a_flow_is_cancelled_after_a_yes(run: Run, owner: sa.Engine) -> None:
    seed(owner)
    member(owner)
    place = ("orders", "place", "vm-small", "--member", "brevaux", "--ssh-key", KEY, "--json")
    flow = str(told(run(*place, "--name", "web"))["flow_id"])
    for answer in ("n\n", "\n", "peut-être\n", ""):
        refused = run("flows", "cancel", flow, input=answer)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "Création : « web ») s’arrête et défait" in refused.stderr and "[o/N]" in refused.stderr
        assert refused.stderr.endswith("Rien n’a été fait.\n")
    assert "flow.cancel" not in {entry["action"] for entry in told(run("audit", "list", "--json"))}
    assert f"watch {flow}" in run("flows", "cancel", flow, input="O\n").stdout
    [entry] = [entry for entry in told(run("audit", "list", "--json")) if entry["action"] == "flow.cancel"]
    assert entry["actor"].startswith("cli:")
    assert told(run("flows", "cancel", flow, "--yes", "--json"))["cancel_requested"] is True
    assert [row["kind"] for row in told(run("flows", "list", "--member", "brevaux", "--json"))] == ["create_server"]


def test_tokens_by_command(run: Run, owner: sa.Engine) -> None:
    member(owner)
    made = told(run("tokens", "make", "--member", "brevaux", "--label", "essai", "--json"))
    assert made["secret"].startswith("clo_")
    assert run("tokens", "make", "--label", "dsi").stdout.startswith("clo_")
    listed = run("tokens", "list", "--json").stdout
    assert [token["member"] for token in json.loads(listed)] == [None, "brevaux"]
    assert made["secret"] not in listed
    assert told(run("tokens", "revoke", str(made["id"]), "--json"))["revoked_at"]


def test_people_by_command(run: Run, owner: sa.Engine) -> None:
    member(owner)
    link = run("accounts", "invite", "--admin", "yann@agglo.fr", "--name", "Yann Le Goff").stdout.strip()
    assert "/password/" in link
    again = told(run("accounts", "invite", "yann@agglo.fr", "--member", "brevaux", "--role", "requester", "--json"))
    assert again["link"] != link
    [person] = told(run("accounts", "list", "--json"))
    assert (person["name"], person["state"]) == ("Yann Le Goff", "invited")
    assert "dsi_admin, requester (brevaux)" in run("accounts", "list").stdout
    assert told(run("accounts", "roles", "yann@agglo.fr", "--member", "brevaux", "--json"))["roles"] == []
    assert told(run("accounts", "list", "--member", "brevaux", "--json")) == []
    assert run("accounts", "close", "yann@agglo.fr", "--yes").exit_code == 3  # the last administrator
    run("accounts", "invite", "--admin", "ines@agglo.fr")
    assert told(run("accounts", "close", "yann@agglo.fr", "--yes", "--json"))["state"] == "closed"


@pytest.mark.slow
def test_the_catalogue_by_command(run: Run, owner: sa.Engine) -> None:
    assert "Publiez-le" in run("catalogue", "list").stdout
    published = {row["slug"] for row in told(run("catalogue", "apply", "--json"))}
    assert {"vm-small", "vm-xlarge", "website-small"} < published  # machines and applications
    assert "Rien à faire" in run("catalogue", "apply").stdout
    offers = told(run("catalogue", "list", "--json"))
    assert {row["slug"] for row in offers} == published
    assert offers[0]["monthly"] is None  # no price yet, and still worth reading


@pytest.mark.slow
def test_versions_of_the_catalogue_by_command(run: Run, owner: sa.Engine) -> None:
    told(run("catalogue", "apply", "--json"))
    [small] = [row for row in told(run("catalogue", "versions", "--json")) if row["slug"] == "vm-small"]
    copied = told(run("catalogue", "copy", str(small["id"]), "--json"))
    assert (copied["version"], copied["state"]) == (small["version"] + 1, "draft")
    assert told(run("catalogue", "publish", str(copied["id"]), "--json"))["state"] == "published"
    assert json.loads(run("catalogue", "publish", "1", "--json").stderr)["error"]["code"] == "not_draft"
    declared = (catalogue.OFFERS / "vm.yaml").read_text()
    text = declared.replace("slug: vm-small", "slug: vm-essai")
    [made] = told(run("catalogue", "draft", "-", "--json", input=text))
    assert (made["slug"], made["state"], made["origin"]) == ("vm-essai", "draft", "made")
    assert "withdrawn" in run("catalogue", "withdraw", str(made["id"])).stdout
    assert "vm-essai" in run("catalogue", "versions", "--offer", "vm-essai").stdout
    assert run("catalogue", "draft", "-", "--json", input="kind: nothing").exit_code == 2


def test_announcements_by_command(run: Run, owner: sa.Engine) -> None:
    member(owner)
    assert "Aucune annonce" in run("announcements", "list").stdout
    words = ("--title", "Coupure", "Outage", "--body", "Samedi.", "Saturday.")
    made = told(run("announcements", "make", *words, "--member", "brevaux", "--from", "2026-01-01 08:00", "--json"))
    assert (made["member"], made["title"], made["starts_at"][:16]) == (
        "brevaux", {"fr": "Coupure", "en": "Outage"}, "2026-01-01T08:00")  # fmt: skip
    assert [row["id"] for row in told(run("announcements", "list", "--current", "--json"))] == [made["id"]]
    assert "Coupure" in run("announcements", "list").stdout
    assert told(run("announcements", "withdraw", str(made["id"]), "--json"))["withdrawn_at"]
    assert told(run("announcements", "list", "--current", "--json")) == []
    wrong = run("announcements", "make", *words, "--from", "2026-01-02", "--until", "2026-01-01", "--json")
    assert json.loads(wrong.stderr)["error"]["code"] == "invalid_announcement"


@pytest.mark.slow
def test_the_trail_is_searched_by_command(run: Run, owner: sa.Engine) -> None:
    published = told(run("catalogue", "apply", "--json"))
    found = told(run("audit", "search", "--action", "offer.", "--subject", "offer vm-small", "--json"))
    assert [entry["subject"] for entry in found] == ["offer vm-small v1"]
    assert told(run("audit", "search", "--until", "2020-01-01", "--json")) == []
    assert "Rien de tel" in run("audit", "search", "--actor", "nobody").stdout
    lines = run("audit", "export", "--action", "offer.").stdout.splitlines()
    assert len(lines) == len(published) and json.loads(lines[0])["action"].startswith("offer.")
    assert run("audit", "export", "--csv").stdout.startswith("\ufeff")


@pytest.mark.slow
def test_capacity_costs_and_keys_by_command(run: Run, owner: sa.Engine, settings: Settings) -> None:
    seed(owner)
    member(owner)
    for words in (("capacity", "list"), ("capacity", "hosts"), ("capacity", "workers")):
        assert told(run(*words, "--json")) == []
        assert run(*words).stdout.startswith("Aucun")
    [use] = told(run("capacity", "quotas", "--json"))
    assert (use["slug"], use["counts"]["vcpus"]["held"]) == ("brevaux", 0)
    assert "brevaux" in run("capacity", "quotas").stdout
    shown = told(run("costs", "show", "2026-11", "--member", "brevaux", "--json"))
    assert (shown["amount"], shown["forecast"]) == ("0.00", "0.00")
    assert "2026-11 : 0,00" in run("costs", "show", "2026-11").stdout
    assert json.loads(run("costs", "show", "zzz", "--json").stderr)["error"]["code"] == "invalid_period"
    assert told(run("costs", "budget", "--member", "brevaux", "--json"))["used"] == "0.00"
    assert told(run("keys", "list", "--json")) == []
    declared = told(run("keys", "apply", "--json"))
    assert declared and told(run("keys", "list", "--json")) == declared
    assert "Rien à faire" in run("keys", "apply").stdout
    assert declared[0]["code"] in run("keys", "list").stdout


PLACE = ("orders", "place", "vm-small", "--name", "a", "--ssh-key")
REFUSED = [
    (("orders", "place", "vm-huge", "--member", "brevaux", "--name", "a", "--ssh-key", KEY), "unknown_offer"),
    ((*PLACE, KEY, "--member", "nobody"), "unknown_member"),
    ((*PLACE, "/none", "--member", "brevaux"), "invalid_ssh_key"),
    (("orders", "approve", "7"), "not_found"),
    (("services", "stop", "7"), "not_found"),
    (("tokens", "revoke", "7"), "unknown_token"),
    (("tokens", "make", "--label", "x", "--days", "0"), "invalid_expiry"),
    (("accounts", "invite", "nowhere", "--admin"), "invalid_email"),
    (("accounts", "invite", "a@b.fr"), "invalid_role"),
    (("accounts", "roles", "nobody@b.fr", "--role", "auditor"), "unknown_account"),
]


def test_errors_have_a_code_and_a_status(run: Run, owner: sa.Engine) -> None:
    member(owner)
    for words, code in REFUSED:
        result = run(*words)
        assert (result.exit_code, f"[{code}]" in result.stderr) == (2, True), (words, result.output)
        assert "Traceback" not in result.output


def test_a_changed_entry_breaks_the_chain(run: Run, owner: sa.Engine) -> None:
    told(run("catalogue", "apply", "--json"))
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE audit_entries DISABLE TRIGGER append_only"))
        connection.execute(sa.text("UPDATE audit_entries SET actor = 'someone else' WHERE id = 2"))
    result = run("audit", "verify")
    assert (result.exit_code, "[audit_broken]" in result.stderr) == (3, True)
    assert "entrée 2" in result.stderr


@pytest.mark.slow
def test_a_service_is_changed_by_command(run: Run, owner: sa.Engine, web: sa.Engine) -> None:
    seed(owner)
    service = str(create(owner, web, member(owner), "web", disk_gib=10))
    seen = told(run("services", "resize", service, "vm-medium", "--dry-run", "--json"))
    assert (seen["kind"], seen["difference"], seen["refused"]) == ("resize", "18.25", None)
    assert "interruption" in run("services", "resize", service, "vm-medium", "--dry-run").stdout
    assert told(run("services", "protect", service, "--json"))["protected"] is True
    kept = run("services", "delete", service, "--yes", "--json")
    assert json.loads(kept.stderr)["error"]["code"] == "service_protected"
    assert run("services", "protect", service, "--off").exit_code == 0
    assert "pas" not in run("services", "schedule", service, "--hour", "3").stdout
    order = told(run("services", "grow", service, "20", "--request-key", "one", "--json"))
    assert (order["kind"], order["state"], order["difference"]) == ("volume", "approved", "0.73")
    assert told(run("services", "grow", service, "20", "--request-key", "one", "--json"))["id"] == order["id"]
    end(owner, order["flow_id"], "done")
    flow = told(run("services", "snapshot", service, "avant", "--json"))
    assert flow["kind"] == "snapshot_server"
    end(owner, flow["id"], "done")
    assert [one["name"] for one in told(run("services", "snapshots", service, "--json"))] == ["avant"]
    gone = told(run("services", "delete", service, "--yes", "--json"))
    assert gone["delete_after"] and gone["flow"]["kind"] == "stop_server"
    assert "annulée" in run("services", "undelete", service).stdout


def commands(command: click.Command, way: str = "clocher") -> Iterator[tuple[str, click.Command]]:
    yield way, command
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        yield from commands(inner, f"{way} {name}")


def test_of_one_thing_or_of_many(run: Run) -> None:
    assert "take an application" in run("service", "export", "--help").stdout.lower()
    assert "begin a stack" in run("stacks", "new", "--help").stdout.lower()
    unknown = run("nothing", "list")
    assert unknown.exit_code == 2 and "No such command" in unknown.stderr


def test_every_option_says_what_it_is_for() -> None:
    options = [(way, one) for way, command in commands(main) for one in command.params if isinstance(one, click.Option)]
    assert [f"{way} {one.opts[0]}" for way, one in options if not one.help] == []


def test_no_line_of_help_is_cut_on_eighty_columns() -> None:
    for way, command in commands(main):
        lines = command.get_help(click.Context(command, info_name=way, terminal_width=80)).splitlines()
        assert [line for line in lines if line.endswith("...") and "[ARGS]" not in line] == [], way
