"""A place in the cloud for trying something in guests of its own; all of it is gone afterwards."""

from __future__ import annotations

import ipaddress
import random
import secrets
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from orchestrator import cloud, cloud_network, cloud_servers, cloud_volumes, places, readiness, ssh, sweep
from orchestrator.cloud import Cloud, Tag
from orchestrator.errors import CloudConflict, CloudError, Conflict, WaitedTooLong
from orchestrator.places import Site
from orchestrator.settings import Settings
from orchestrator.ssh import Guest

PAUSE_SECONDS = 0.5
QUOTAS = {"servers": 9, "vcpus": 64, "ram_mib": 131_072, "volumes": 9, "disk_gib": 9_000, "public_addresses": 0}


@dataclass(frozen=True)
class Trial:
    """A project with a network. settings: with a territory of its own, so that all that is made here is known by it."""

    settings: Settings
    project: Cloud
    ids: places.Ids


@dataclass(frozen=True)
class Machine:
    """A guest that answers, with its data volume as plays are told of it."""

    guest: Guest
    volumes: tuple[dict[str, object], ...]


@contextmanager
def opened(settings: Settings, name: str | None = None, avoid: Iterable[str] = ()) -> Iterator[Trial]:
    """A place of its own, taken out of the cloud afterwards with all that is in it.

    name: what a trial of this name that was killed left behind goes first. avoid: subnets that it must not have.
    """
    territory = name or f"trial-{secrets.token_hex(4)}"
    own = _apart(settings, territory)
    site = places.open_site(cloud.connect(own))
    _take_down(site)
    try:
        wanted = places.Wanted(territory, "Trial", a_subnet(settings, avoid), (), QUOTAS)
        ids = places.visit(places.Walk(site, wanted, act=True))
        yield Trial(own, site.cloud.project(ids.project_id), ids)
    finally:
        _take_down(site)


def remove(settings: Settings, name: str) -> None:
    """Take the trial of this name out of the cloud, if there is one."""
    _take_down(places.open_site(cloud.connect(_apart(settings, name))))


def _apart(settings: Settings, territory: str) -> Settings:
    folder = settings.state_dir / "trials" / territory
    apart = {"territory": territory, "state_dir": folder, "clouds_file": settings.openstack_config}
    return settings.model_copy(update=apart)


def _take_down(site: Site) -> None:
    own = site.cloud.settings
    project_id = places.enter(site, own.territory)
    if project_id is not None:
        _clear(own, site.cloud.project(project_id), project_id)
        places.remove(site, own.territory)
    shutil.rmtree(own.state_dir, ignore_errors=True)


def a_subnet(settings: Settings, avoid: Iterable[str] = ()) -> str:
    """One of the members' subnets, from the end of the pool, which is taken last."""
    taken = [ipaddress.IPv4Network(one) for one in avoid]
    pool = list(ipaddress.IPv4Network(settings.member_networks).subnets(new_prefix=settings.member_prefix))
    free = [one for one in pool[-max(1, len(pool) // 4) :] if not any(one.overlaps(other) for other in taken)]
    if not free:
        raise Conflict("no_subnet", "Il ne reste pas de réseau pour un essai.", "Agrandissez CLOCHER_MEMBER_NETWORKS.")
    return str(random.choice(free))  # noqa: S311  (nothing to guess)


def _clear(settings: Settings, project: Cloud, project_id: str) -> None:
    """Delete all that carries the trial's tag; what something else still uses goes in a later round."""

    def gone() -> bool:
        seen = sweep.look_into(project, project_id, settings.territory)
        for thing in seen:
            try:
                sweep.DELETE[thing.kind](project, thing.cloud_id)
            except CloudError:
                continue
        return not seen

    _until(gone, settings.build_timeout, "an empty place")


def build(trial: Trial, name: str, flavor: str, disk_gib: int, image: str = "debian-12") -> Machine:
    """A server with a volume of so many GiB (0: none), once it answers on SSH."""
    return finish(trial, begin(trial, name, flavor, disk_gib, image))


@dataclass(frozen=True)
class Begun:
    """A machine that the cloud is making. guest: as it will be; disk_gib: of its volume, 0 where it has none."""

    guest: Guest
    server_id: str
    volume_id: str
    disk_gib: int


def begin(trial: Trial, name: str, flavor: str, disk_gib: int, image: str = "debian-12") -> Begun:
    """Ask for what `build` makes, without waiting for it: the cloud makes several at a time."""
    project, ids, ref = trial.project, trial.ids, uuid.uuid4()
    tag = Tag(trial.settings.territory, str(ref), 0)
    volume = cloud_volumes.create_volume(project, name, disk_gib, tag=tag) if disk_gib else None
    port = cloud_network.create_port(project, name, ids.network_id, ids.security_group_id, tag=tag)
    server = cloud_servers.create_server(
        project, name, tag=tag, flavor_id=cloud_servers.find_flavor(project, flavor),
        image_id=cloud_servers.find_image(project, image), port_id=port.id,
        keypair=cloud_servers.import_keypair(project, "clocher", ssh.public_key(trial.settings)),
    )  # fmt: skip
    return Begun(Guest(port.address, name, ref), server, volume.id if volume else "", disk_gib)


def finish(trial: Trial, begun: Begun) -> Machine:
    """Wait until what was asked for is there and answers."""
    project, seconds, volume = trial.project, trial.settings.build_timeout, begun.volume_id
    _until(lambda: _built(project, begun.server_id), seconds, "a running server")
    if volume:
        _until(lambda: cloud_volumes.get_volume(project, volume).status == "available", seconds, "a volume")
        cloud_servers.attach_volume(project, begun.server_id, volume)
    readiness.wait_for_ssh(begun.guest.address, trial.settings.ssh_timeout)
    return Machine(begun.guest, ({"id": volume, "mount": "/data", "gib": begun.disk_gib},) if volume else ())


def _built(project: Cloud, server_id: str) -> bool:
    found = cloud_servers.get_server(project, server_id)
    if found.status == "ERROR":
        raise CloudConflict("server_not_built", "Le nuage n’a pas pu construire le serveur.", detail=found.fault)
    return found.status == "ACTIVE" and found.task_state is None


def _until(reached: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise WaitedTooLong("trial_stuck", "L’essai n’avance plus.", readiness.AGAIN, detail=f"no {what}")
        time.sleep(PAUSE_SECONDS)
