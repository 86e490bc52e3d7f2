"""The orders of the demo: three members at once, one refused first, one worker killed in the middle."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from api.client import Client
from api.demo.programs import Program
from api.demo.proof import Key
from api.demo.stage import Stage
from orchestrator.errors import ClocherError, Conflict, Unavailable

LIVE = {"queued", "running", "undoing"}


@dataclass(frozen=True)
class Wish:
    """What a member orders in the demo."""

    member: str
    offer: str
    name: str
    disk_gib: int = 0
    public_address: bool = False


WISHES = (
    Wish("charmelune", "vm-medium", "portail-citoyen", disk_gib=10, public_address=True),
    Wish("noirepine", "vm-small", "site-mairie"),
    Wish("orgelune", "vm-small", "archives"),
)
TOO_MUCH = Wish("noirepine", "vm-large", "trop-grand")  # beyond this member's quota
TO_DECIDE = Wish("charmelune", "vm-xlarge", "calcul")  # an offer that waits for the DSI
KILLED_AT = "archives"  # while this one is made, the worker is killed


def place(client: Client, wish: Wish, key: Key, request_key: str) -> dict[str, Any]:
    """Order by the API; the order."""
    parameters = {
        "name": wish.name,
        "disk_gib": wish.disk_gib,
        "public_address": wish.public_address,
        "ssh_keys": [key.public],
    }
    order: dict[str, Any] = client.call(
        "POST", "/orders", {"offer": wish.offer, "parameters": parameters}, request_key=request_key
    )
    return order


def refused(client: Client, key: Key, request_key: str) -> str:
    """Order too much; the sentence of the refusal. Anything but a refusal for quota is a failure of the demo."""
    try:
        place(client, TOO_MUCH, key, request_key)
    except Conflict as refusal:
        if refusal.code == "quota_exceeded":
            return str(refusal)
        raise
    raise Unavailable("demo_failed", "Une commande au-delà du quota est passée.")


def place_to_decide(client: Client, key: Key, run: str, stage: Stage) -> tuple[int, str]:
    """Order what waits for the DSI; the order's id, and what it is called, otherwise at each run."""
    wish = replace(TO_DECIDE, name=f"{TO_DECIDE.name}-{run}")
    order = place(client, wish, key, f"{run}-{TO_DECIDE.name}")
    if order["state"] != "waiting":
        raise Unavailable("demo_failed", "Une commande qui attend la DSI ne l’a pas attendue.")
    stage.say(f"{wish.member} commande {wish.offer} : la DSI doit l’accepter")
    return order["id"], wish.name


def refuse(judge: Client, order_id: int, stage: Stage) -> None:
    """The DSI says no, and why."""
    judge.call("POST", f"/orders/{order_id}/reject", {"reason": "Une machine moyenne suffit à cet usage."})
    stage.say("la DSI refuse, en disant pourquoi ; la place qui était retenue est rendue")


def place_all(
    clients: Mapping[str, Client], keys: Mapping[str, Key], run: str, stage: Stage
) -> dict[str, dict[str, Any]]:
    """All members order at the same moment; the orders by the name of what was ordered."""
    stage.say(f"refusé, comme il se doit : {refused(clients['noirepine'], keys['noirepine'], f'{run}-trop')}")
    with ThreadPoolExecutor(len(WISHES)) as pool:
        orders = list(pool.map(lambda w: place(clients[w.member], w, keys[w.member], f"{run}-{w.name}"), WISHES))
    for wish, order in zip(WISHES, orders, strict=True):
        stage.say(
            f"{wish.member} commande {wish.name} ({wish.offer}) : {order['monthly']} € par mois".replace(".", ",")
        )
    return {wish.name: order for wish, order in zip(WISHES, orders, strict=True)}


def follow(
    clients: Mapping[str, Client], flows: Mapping[str, tuple[str, int]], stage: Stage, worker: Program | None = None
) -> None:
    """Tell each step of `flows` (name → member, flow id) as it happens until all are done.

    With `worker`, it is killed once, by SIGKILL, while KILLED_AT's server is being built, and started again.
    """
    told: set[tuple[str, str, str]] = set()
    deadline = time.monotonic() + 600
    waiting = dict(flows)
    while waiting:
        if time.monotonic() > deadline:
            raise Unavailable("demo_failed", f"Toujours en cours après dix minutes : {', '.join(waiting)}.")
        for name, (member, flow_id) in list(waiting.items()):
            flow = clients[member].call("GET", f"/flows/{flow_id}")
            _tell(name, flow, told, stage)
            if worker and name == KILLED_AT and _is_building(flow["steps"]):
                worker.stop(signal.SIGKILL)
                stage.say("✗ le processus worker est tué (SIGKILL) en plein travail…")
                worker.start()
                stage.say("… relancé : les opérations reprennent où elles en étaient")
                worker = None
            if flow["state"] not in LIVE:
                _check_done(name, flow)
                del waiting[name]
        time.sleep(0.4)
    if worker:
        raise Unavailable("demo_failed", "Le worker n’a pas pu être tué en plein travail.")


def await_end(client: Client, flow_id: int, timeout: float = 600) -> None:
    """Poll a flow until it is over, well or not."""
    deadline = time.monotonic() + timeout
    while client.call("GET", f"/flows/{flow_id}")["state"] in LIVE:
        if time.monotonic() > deadline:
            raise Unavailable("demo_failed", f"L’opération {flow_id} ne finit pas.", "Voyez : clocher flows watch")
        time.sleep(0.4)


def _tell(name: str, flow: dict[str, Any], told: set[tuple[str, str, str]], stage: Stage) -> None:
    for step in flow["steps"]:
        mark = (name, step["name"], step["state"])
        if step["state"] != "running" and mark not in told:
            told.add(mark)
            stage.say(f"{name:<16} {step['name']:<10} {step['state']}")


def _is_building(steps: Iterable[dict[str, Any]]) -> bool:
    return any(step["name"] in {"build", "attach", "configure"} for step in steps)


def _check_done(name: str, flow: dict[str, Any]) -> None:
    if flow["state"] != "done":
        sentence = flow["error_sentence"] or f"{name} : {flow['state']}"
        raise ClocherError(flow["error_code"] or "demo_failed", sentence, "Lisez le journal du worker.")
