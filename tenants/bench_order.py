"""How long an order takes: placed → active, against the same cloud calls made one after another with openstacksdk.

Both sides make the same port, volume, server and public address in the same project, ask as often whether something
is ready, and take turns, so that a busy machine slows both. Ansible is left out: it would hide what is compared.
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from dbos import DBOS

from orchestrator import cloud, places, scratch, ssh, sweep, trial, worker
from orchestrator.cloud import Cloud, Tag, translated
from orchestrator.cloud_servers import import_keypair
from orchestrator.database import connect, territory_session
from orchestrator.errors import ClocherError, CloudConflict, CloudError, CloudUnavailable
from orchestrator.places import Ids
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.steps_resources import PAUSE
from orchestrator.tables import Flow, Member, Place, Service
from tenants import catalogue, orders, prices
from tenants.bench_month import BOOK
from tenants.tables import Budget, Offer, Quota

ACTOR = "bench"
OFFER, IMAGE, DISK_GIB = "vm-small", "debian-12", 1
QUOTAS = {"servers": 4, "vcpus": 8, "ram_mib": 16384, "volumes": 4, "disk_gib": 40, "public_addresses": 4}
LOOK_SECONDS = 0.02  # between two looks at whether our order is done


@dataclass(frozen=True)
class Stage:
    """A member in a scratch database, with a place in the cloud."""

    settings: Settings
    engine: sa.Engine
    control: Cloud
    ids: Ids
    member_id: int
    flavor: str


def run(settings: Settings, rounds: int) -> dict[str, Any]:
    """Measure `rounds` orders of each side, after one that warms both up.

    ours, bare: seconds of each; ours_median, bare_median; ratio: ours to bare. All that was made is gone afterwards.
    """
    ours, bare = [], []
    with _stage(settings) as stage, _working(stage):
        for number in range(rounds + 1):
            ours.append(_order(stage, f"ours-{number}"))
            bare.append(_call(stage, f"bare-{number}"))
    medians = statistics.median(ours[1:]), statistics.median(bare[1:])
    return {
        "rounds": rounds,
        "ours": [round(seconds, 3) for seconds in ours[1:]],
        "bare": [round(seconds, 3) for seconds in bare[1:]],
        "ours_median": round(medians[0], 3),
        "bare_median": round(medians[1], 3),
        "ratio": round(medians[0] / medians[1], 3),
    }


@contextmanager
def _stage(settings: Settings) -> Iterator[Stage]:
    # A territory of its own: no other sweeper takes what is made here for its orphans.
    own = settings.model_copy(update={"territory": f"bench-{secrets.token_hex(4)}", "worker_id": ACTOR})
    control = cloud.connect(own)
    site = places.open_site(control)
    walk = places.Walk(site, places.Wanted(own.territory, "Benchmark", trial.a_subnet(settings), (), QUOTAS), act=True)
    try:
        ids = places.visit(walk)
        with scratch.database(own) as alone:
            engine = connect(alone, "owner")
            member_id, flavor = _seed(alone, engine, ids, settings)
            yield Stage(alone, engine, control, ids, member_id, flavor)
            engine.dispose()
    finally:
        _clear(control)
        places.remove(site, own.territory)


def _seed(alone: Settings, engine: sa.Engine, ids: Ids, settings: Settings) -> tuple[int, str]:
    """The member's id and the flavor of what it orders."""
    with territory_session(engine, ACTOR) as session:
        catalogue.load(session)
        prices.apply(session, BOOK, settings.timezone)
        member = Member(slug=ACTOR, name="Bench", kind="commune", siren="000000000", siret="00000000000000")
        session.add(member)
        session.flush()
        session.add(Quota(member_id=member.id, **QUOTAS))
        session.add(Budget(member_id=member.id, year=datetime.now(UTC).year, amount=Decimal(1_000_000)))
        session.add(Place(member_id=member.id, **vars(ids)))
        offer: Offer = catalogue.find(session, OFFER)
        return member.id, offer.flavor


@contextmanager
def _working(stage: Stage) -> Iterator[None]:
    """A real worker, in this process."""
    engine = connect(stage.settings, "clocher_worker", pool_size=stage.settings.flows_total + 3)
    runtime = Runtime(stage.settings, engine, stage.control)
    worker.beat(runtime)
    worker.launch(runtime)
    try:
        yield
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=0)
        engine.dispose()


def _order(stage: Stage, name: str) -> float:
    """Seconds from the order to the active service, as a member waits for it; then the service is deleted."""
    parameters = {
        "name": name,
        "image": IMAGE,
        "disk_gib": DISK_GIB,
        "public_address": True,
        "ssh_keys": [ssh.public_key(stage.settings)],
    }
    began = time.perf_counter()
    with territory_session(stage.engine, ACTOR) as session:
        now = datetime.now(UTC)
        order = orders.place(session, stage.member_id, OFFER, parameters, name, now)
        if order.state == "waiting":
            orders.approve(session, order.id, now)
        service = session.get_one(Service, order.service_id)
        service.specification = service.specification | {"play": None}
    _await(stage, order.flow_id)
    seconds = time.perf_counter() - began
    with territory_session(stage.engine, ACTOR) as session:
        flow = Flow(member_id=stage.member_id, service_id=order.service_id, kind="delete_server", requested_by=ACTOR)
        session.add(flow)
    _await(stage, flow.id)
    return seconds


def _await(stage: Stage, flow_id: int | None) -> None:
    """Return when the flow is done; its error when it failed."""
    while True:
        with territory_session(stage.engine, ACTOR) as session:
            flow = session.get_one(Flow, flow_id)
        if flow.state == "done":
            return
        if flow.ended_at:
            raise ClocherError(flow.error_code or flow.state, flow.error_sentence or "", detail=flow.error_detail or "")
        time.sleep(LOOK_SECONDS)


def _call(stage: Stage, name: str) -> float:
    """Seconds for the same calls with bare openstacksdk, each waited for by its own functions; then all is deleted."""
    member = stage.control.project(stage.ids.project_id)
    sdk, tag = member.connection, Tag(stage.settings.territory, str(uuid4()), 0)
    waiting = {"interval": PAUSE, "wait": stage.settings.build_timeout}
    began = time.perf_counter()
    with translated():
        keypair = import_keypair(member, "clocher", ssh.public_key(stage.settings))
        port = sdk.network.create_port(
            name=name,
            network_id=stage.ids.network_id,
            security_group_ids=[stage.ids.security_group_id],
            description=tag.description(),
        )
        volume = sdk.block_storage.create_volume(name=name, size=DISK_GIB, metadata=tag.metadata())
        sdk.block_storage.wait_for_status(volume, "available", **waiting)
        server = sdk.compute.create_server(
            name=name,
            flavor_id=sdk.compute.find_flavor(stage.flavor).id,
            image_id=sdk.image.find_image(IMAGE).id,
            networks=[{"port": port.id}],
            key_name=keypair,
            metadata=tag.metadata(),
        )
        sdk.compute.wait_for_server(server, **waiting)
        external = sdk.network.find_network(stage.settings.external_network)
        sdk.network.create_ip(floating_network_id=external.id, port_id=port.id, description=tag.description())
        sdk.compute.create_volume_attachment(server, volume)
        sdk.block_storage.wait_for_status(volume, "in-use", **waiting)
    seconds = time.perf_counter() - began
    _clear(stage.control)
    return seconds


def _clear(control: Cloud) -> None:
    """Delete all that carries our tag, by the sweeper's own means."""
    deadline = time.monotonic() + control.settings.build_timeout
    while seen := sweep.look(control, control.settings.territory):
        for thing in seen:
            try:
                sweep.DELETE[thing.kind](control.project(thing.project_id), thing.cloud_id)
            except (CloudConflict, CloudError):
                continue  # in use by what goes first, or gone; the next look tells
        if time.monotonic() > deadline:
            raise CloudUnavailable("bench_remains", "Le banc d’essai n’a pas pu tout effacer.", detail=str(seen))
        time.sleep(PAUSE)
