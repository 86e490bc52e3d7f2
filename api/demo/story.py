"""The story that `clocher demo` tells, top to bottom: from nothing to closed statements."""

from __future__ import annotations

import json
import re
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

from api.client import Client
from api.demo import accounts, orders, people, proof
from api.demo.orders import LIVE, WISHES
from api.demo.programs import Program, catch_mails, programs, run_devcloud
from api.demo.proof import Key
from api.demo.stage import Stage
from orchestrator import postgres
from orchestrator.errors import ClocherError, Unavailable
from orchestrator.settings import ROOT, Settings

ADMIN = "admin"  # the account that a member's keys open in its guests
MAIL_PORT = 8025
MAIL_SECONDS = 30
STOPPED, DELETED = "site-mairie", "archives"  # what becomes of two of the guests


@dataclass
class Demo:
    """What the demo holds while it runs."""

    settings: Settings
    stage: Stage
    worker: Program
    portal: Program
    catcher: Program
    url: str = ""
    clients: dict[str, Client] = field(default_factory=dict)
    judge: Client | None = None  # the DSI's
    keys: dict[str, Key] = field(default_factory=dict)
    services: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the demo leaves its files."""
        return self.settings.state_dir / "demo"


def run(settings: Settings, stage: Stage, *, keep: bool) -> None:
    """Tell the whole story; what was measured is in the stage's record."""
    demo = _make(settings, stage, free_port(settings.listen_port))
    stage.record["files"] = str(demo.folder)
    stage.record["mails"] = str(demo.folder / "mails")
    try:
        set_up(demo)
        tidy_up(demo, "Ce qu’une démonstration précédente a laissé")
        decide(demo)
        order_and_follow(demo)
        read_mails(demo)
        prove(demo)
        operate(demo)
        accounts.state(settings, stage, demo.folder)
        stage.record["hours"] = accounts.compare(settings, stage, demo.services.values())
        if not keep:
            tidy_up(demo, "On rend ce qui a servi")
    finally:
        if not keep:
            leave(demo)


def _make(settings: Settings, stage: Stage, port: int) -> Demo:
    worker, portal = programs(settings, port)
    catcher, leading = catch_mails(settings, free_port(MAIL_PORT))
    worker.environment = {**leading, "CLOCHER_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    portal.environment = {"CLOCHER_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    return Demo(settings, stage, worker, portal, catcher)


def clocher(*words: str, stage: Stage) -> Any:
    """Run one of our own commands as an operator would, and show it; its JSON answer if it has one."""
    stage.say(f"$ clocher {' '.join(words)}")
    done = subprocess.run(
        [sys.executable, "-m", "api", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["sans un mot"]
        raise Unavailable("demo_failed", f"« clocher {' '.join(words)} » a échoué : {last[0]}", detail=done.stderr)
    return json.loads(done.stdout) if "--json" in words else None


def set_up(demo: Demo) -> None:
    """Database, cloud, programs, members, catalogue, prices, people, tokens."""
    stage = demo.stage
    with stage.phase("database", "La base de données"):
        clocher("database", "upgrade", stage=stage)
    with stage.phase("devcloud", "Un OpenStack sur cette machine"):
        run_devcloud("up", stage.say)
    with stage.phase("members", "Les membres de l’agglomération (inventée)"):
        clocher("members", "apply", "--yes", stage=stage)
        clocher("catalogue", "apply", stage=stage)
        clocher("prices", "apply", stage=stage)
    with stage.phase("programs", "Le portail et le worker"):
        demo.catcher.start()
        demo.worker.start()
        demo.portal.start()
        demo.url = stage.record["url"] = demo.portal.wait_until_ready()
        stage.say(f"le portail répond à {demo.url}")
        stage.say(f"les courriels arrivent dans {stage.record['mails']}")
        cast = people.cast(WISHES[0].member)
        stage.people = people.make(demo.settings, cast)
        secrets_of = accounts.make_tokens(demo.settings, [wish.member for wish in WISHES])
        for member, secret in secrets_of.items():
            demo.clients[member] = Client(demo.url, secret)
            demo.keys[member] = Key.make(demo.folder / "keys", member)
        demo.clients[WISHES[0].member] = _client(demo, cast[0], ("read", "order", "operate"))
        demo.judge = _client(demo, next(one for one in cast if "dsi_admin" in one.roles), ("read", "approve"))


def _client(demo: Demo, guest: people.Guest, scopes: tuple[str, ...]) -> Client:
    return Client(demo.url, people.make_token(demo.settings, guest, scopes))


def order_and_follow(demo: Demo) -> None:
    """Three orders at once; the worker dies in the middle; all end well."""
    with demo.stage.phase("orders", "Trois communes commandent en même temps"):
        placed = orders.place_all(demo.clients, demo.keys, secrets.token_hex(4), demo.stage)
        flows = {wish.name: (wish.member, placed[wish.name]["flow_id"]) for wish in WISHES}
        orders.follow(demo.clients, flows, demo.stage, demo.worker)
        for wish in WISHES:
            service_id = placed[wish.name]["service_id"]
            demo.services[wish.name] = demo.clients[wish.member].call("GET", f"/services/{service_id}")


def prove(demo: Demo) -> None:
    """Each guest answers to its member's own key, configured as ordered."""
    guests = []
    with demo.stage.phase("proof", "La preuve, par SSH, avec la clé de chaque commune"):
        for wish in WISHES:
            service = demo.services[wish.name]
            address = service["public_address"] or service["address"]
            answers = proof.ask(demo.keys[wish.member], ADMIN, address)
            wrong = proof.shortcomings(answers, wish.name, ADMIN, wish.disk_gib > 0)
            demo.stage.say(f"{wish.name:<16} {address:<15} {'prouvé' if not wrong else '; '.join(wrong)}")
            guests.append({"name": wish.name, "member": wish.member, "address": address, "proved": not wrong})
    demo.stage.record["guests"] = guests
    if not all(guest["proved"] for guest in guests):
        raise ClocherError("demo_failed", "Une machine n’est pas telle que commandée.", "Voyez ci-dessus.")


def decide(demo: Demo) -> None:
    """The DSI is told by mail of an order that waits for it, refuses it, and who ordered is told so."""
    member = WISHES[0].member
    with demo.stage.phase("decide", "Une commande attend la DSI"):
        order_id, name = orders.place_to_decide(
            demo.clients[member], demo.keys[member], secrets.token_hex(4), demo.stage
        )
        _await_mails(demo, name, 1)
        assert demo.judge
        orders.refuse(demo.judge, order_id, demo.stage)
        _await_mails(demo, name, 2)
        demo.stage.say("la DSI a reçu la demande, et qui a commandé la réponse, par courriel")


def read_mails(demo: Demo) -> None:
    """Who ordered is told by mail that the server is there."""
    _await_mails(demo, f"/services/{demo.services[WISHES[0].name]['id']}", 1)


def _await_mails(demo: Demo, words: str, wanted: int) -> None:
    deadline = time.monotonic() + MAIL_SECONDS
    while (count := _told(demo, words)) != wanted:
        if time.monotonic() > deadline:
            raise Unavailable(
                "demo_failed", f"{count} courriels sur {wanted} sont arrivés.", "Lisez le journal du worker."
            )
        time.sleep(0.2)


def _told(demo: Demo, words: str) -> int:
    """How many of the mails that arrived hold these words."""
    mails: list[Any] = [
        message_from_bytes(file.read_bytes(), policy=default) for file in (demo.folder / "mails").glob("*.eml")
    ]
    whole = re.compile(rf"{re.escape(words)}\b")
    return sum(bool(whole.search(mail.get_body(("plain",)).get_content())) for mail in mails)


def operate(demo: Demo) -> None:
    """One server is stopped, one is deleted, at the same time."""
    with demo.stage.phase("operate", "On arrête une machine, on en supprime une"):
        flows = {name: _ask(demo, name, verb) for name, verb in ((STOPPED, "stop"), (DELETED, "delete"))}
        orders.follow(demo.clients, flows, demo.stage)


def _ask(demo: Demo, name: str, verb: str) -> tuple[str, int]:
    service = demo.services[name]
    # Without the time of grace that people have to think again.
    body = {"now": True} if verb == "delete" else None
    answer = demo.clients[service["member"]].call("POST", f"/services/{service['id']}/{verb}", body)
    return service["member"], (answer["flow"] if verb == "delete" else answer)["id"]


def tidy_up(demo: Demo, title: str) -> None:
    """Delete what stands under our names, through the product, so that the next demo finds its quotas free."""
    names = {wish.name for wish in WISHES}
    living = [
        service
        for client in demo.clients.values()
        for service in client.call("GET", "/services?limit=200")["items"]
        if service["name"] in names and service["state"] not in {"deleted", "failed"}
    ]
    if not living:
        return
    with demo.stage.phase("tidy", title):
        for service in living:
            _await_idle(demo, service)
        current = [demo.clients[s["member"]].call("GET", f"/services/{s['id']}") for s in living]
        demo.services |= {s["name"]: s for s in current}
        flows = {s["name"]: _ask(demo, s["name"], "delete") for s in current if s["state"] not in {"deleted", "failed"}}
        orders.follow(demo.clients, flows, demo.stage)


def _await_idle(demo: Demo, service: dict[str, Any]) -> None:
    """Let a flow that an interrupted demo left end first."""
    client = demo.clients[service["member"]]
    live = [
        flow
        for flow in client.call("GET", "/flows?limit=200")["items"]
        if flow["service_id"] == service["id"] and flow["state"] in LIVE
    ]
    for flow in live:
        orders.await_end(client, flow["id"])


def stop(settings: Settings, stage: Stage) -> None:
    """End what `--keep` left running."""
    leave(_make(settings, stage, settings.listen_port))


def leave(demo: Demo) -> None:
    """Stop all that we started; data stays for the next time."""
    with demo.stage.phase("leave", "On éteint"):
        demo.worker.stop()
        demo.portal.stop()
        demo.catcher.stop()
        run_devcloud("down", demo.stage.say)
        if demo.settings.database_url is None:
            postgres.stop(demo.settings.state_dir / "postgres")


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else a port that the kernel picks."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Unavailable("no_free_port", "Aucun port n’est libre.", "Choisissez-en un par CLOCHER_LISTEN_PORT.")
