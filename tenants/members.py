"""Members: from what is declared to what exists. `plan` says what would change; `apply` does it.

A member that is in the database but no longer declared is told, never deleted: its accounts must outlive it.
A member that was made or changed in the pages has them as its master: files leave it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from orchestrator import audit, places
from orchestrator.cloud import Cloud
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, Conflict, NotFound, Text
from orchestrator.places import Change, Ids, Site, Walk, Wanted
from orchestrator.settings import Settings
from orchestrator.tables import Member, Place, Service
from tenants import members_record
from tenants.declarations import Declaration
from tenants.members_record import Known
from tenants.members_subnets import choose

AT_ONCE = 4  # members worked on at the same time
LOCK = 0x6D656D62  # advisory lock: one apply at a time
Tell = Callable[[str], None]


@dataclass(frozen=True)
class MemberPlan:
    """What would change for one member, in the database and in the cloud; or the problem that prevents it."""

    declaration: Declaration
    cidr: str
    origin: str = "declared"
    known: Known | None = None
    database: tuple[Change, ...] = ()
    cloud: tuple[Change, ...] = ()
    problem: ClocherError | None = None

    @property
    def slug(self) -> str:
        return self.declaration.slug

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.database or self.cloud or self.problem)

    def wanted(self, settings: Settings) -> Wanted:
        """The place that this member should have."""
        return Wanted(
            name=places.name_for(settings, self.slug),
            title=self.declaration.name,
            cidr=self.cidr,
            admin_networks=self.declaration.admin_networks,
            quotas=members_record.quotas(self.declaration),
        )


@dataclass(frozen=True)
class Plan:
    """What would change for all. undeclared: slugs of active members that no file declares any more.

    kept: slugs that a file declares but whose master the pages are; they are left as they are.
    """

    members: tuple[MemberPlan, ...]
    undeclared: tuple[str, ...]
    kept: tuple[str, ...] = ()

    @property
    def idle(self) -> bool:
        return all(member.idle for member in self.members)


@dataclass(frozen=True)
class Applied:
    """What was done for one member, and the error that stopped it, if one did."""

    slug: str
    changes: tuple[Change, ...]
    error: ClocherError | None = None


def plan(
    engine: sa.Engine,
    cloud: Cloud,
    declared: Sequence[Declaration],
    *,
    actor: str,
    tell: Tell,
    origin: str = "declared",
    take: Collection[str] = (),
) -> Plan:
    """Compare what is declared in files (or `made` in the pages: origin) with the database and the cloud.

    Changes nothing. What the pages made is left alone by files, but for those that `take` names.
    """
    with territory_session(engine, actor) as session:
        known = members_record.read(session)
    made = {member.slug for member in known.values() if member.values["origin"] == "made"} - {*take}
    left = made if origin == "declared" else set()
    site = places.open_site(cloud)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ours = [declaration for declaration in declared if declaration.slug not in left]
        drafts = [replace(draft, origin=origin) for draft in _with_subnets(site, ours, known, pool)]
        members = tuple(pool.map(lambda draft: _compare(site, draft, known, tell), drafts))
    slugs = {declaration.slug for declaration in declared}
    undeclared = (m.slug for m in known.values() if m.slug not in slugs | made and m.values["state"] == "active")
    return Plan(members, tuple(sorted(undeclared)), tuple(sorted(slugs & left)))


def _with_subnets(
    site: Site, declared: Sequence[Declaration], known: dict[str, Known], pool: ThreadPoolExecutor
) -> list[MemberPlan]:
    """Each member's subnet: the declared one, the one it has, the one the cloud has for it, or a free one."""
    settings = site.cloud.settings
    kept = {slug: member.values["subnet_cidr"] for slug, member in known.items() if member.values["subnet_cidr"]}
    chosen = kept | {declaration.slug: declaration.subnet for declaration in declared if declaration.subnet}
    new = [declaration.slug for declaration in declared if declaration.slug not in chosen]
    found = pool.map(lambda slug: places.find_cidr(site, places.name_for(settings, slug)), new)
    chosen |= {slug: cidr for slug, cidr in zip(new, found, strict=True) if cidr}
    left = [slug for slug in new if slug not in chosen]
    free = choose(settings.member_networks, settings.member_prefix, chosen.values(), len(left))
    chosen |= zip(left, free, strict=True)
    return [MemberPlan(declaration, chosen[declaration.slug]) for declaration in declared]


def _compare(site: Site, draft: MemberPlan, known: dict[str, Known], tell: Tell) -> MemberPlan:
    declaration, before = draft.declaration, known.get(draft.slug)
    same = next((m for m in known.values() if m.values["siret"] == declaration.siret and m.slug != draft.slug), None)
    if same:
        return replace(draft, problem=_renamed(same.slug, draft.slug))
    values = members_record.values(declaration, draft.cidr, draft.origin)
    database = tuple(members_record.differences(before.values if before else {}, values))
    walk = Walk(site, draft.wanted(site.cloud.settings), act=False)
    problem = None
    try:
        walk.changes += _moved(before, places.visit(walk))
    except ClocherError as error:
        problem = error
    tell(f"{draft.slug} : {problem.sentence if problem else 'comparé'}")
    return replace(draft, known=before, database=database, cloud=tuple(walk.changes), problem=problem)


def _renamed(old: str, new: str) -> Conflict:
    return Conflict(
        "member_renamed",
        Text("« {new} » a le SIRET de « {old} », qui est déjà membre : un slug ne change pas.", new=new, old=old),
        Text("Déclarez-le de nouveau sous « {old} » ; son nom, lui, peut changer.", old=old),
    )


def _moved(known: Known | None, ids: Ids) -> list[Change]:
    """The place that the database should remember, when it has another one or none."""
    place = known.place if known else None
    if place == ids:
        return []
    return [Change("place", place.project_id if place else None, ids.project_id or "à créer")]


def apply(engine: sa.Engine, cloud: Cloud, given: Plan, *, actor: str, tell: Tell) -> tuple[Applied, ...]:
    """Do what the plan says; what fails for one member does not stop the others.

    Raises Conflict `apply_running` when another one is at work. Members that need nothing are left out.
    """
    with _alone(engine):
        site = places.open_site(cloud)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            todo = [member for member in given.members if not member.idle]
            return tuple(pool.map(lambda member: _apply(engine, site, member, actor, tell), todo))


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    # A lock of the connection, not of a transaction: none may be open while we talk to the cloud.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(sa.text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
            raise Conflict(
                "apply_running",
                "Une autre application des déclarations est en cours.",
                "Attendez qu’elle finisse, puis recommencez.",
            )
        try:
            yield
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})


def _apply(engine: sa.Engine, site: Site, member: MemberPlan, actor: str, tell: Tell) -> Applied:
    if member.problem:
        tell(f"{member.slug} : laissé tel quel, {member.problem.sentence}")
        return Applied(member.slug, (), member.problem)
    walk = Walk(
        site, member.wanted(site.cloud.settings), act=True, tell=lambda change: tell(f"{member.slug} : {change}")
    )
    written: tuple[Change, ...] = ()
    try:
        member_id = _write(engine, member, actor)
        written = member.database
        _settle(engine, member_id, member, walk, actor)
    except ClocherError as error:
        tell(f"{member.slug} : échec, {error.sentence}")
        return Applied(member.slug, (*written, *walk.changes), error)
    tell(f"{member.slug} : fait, {len(written) + len(walk.changes)} changements")
    return Applied(member.slug, (*written, *walk.changes))


def _write(engine: sa.Engine, member: MemberPlan, actor: str) -> int:
    if member.known and not member.database:
        return member.known.id
    new = members_record.values(member.declaration, member.cidr, member.origin)
    try:
        with territory_session(engine, actor) as session:
            member_id = members_record.write(session, member.slug, new)
            action = "member.update" if member.known else "member.create"
            _record(session, action, member.slug, member_id, member.database)
            return member_id
    except IntegrityError as error:
        raise Conflict(
            "member_conflict",
            Text(
                "Les données de « {slug} » ont changé entre-temps, ou un autre membre a son SIRET ou son réseau.",
                slug=member.slug,
            ),
            "Relancez « clocher members plan ».",
            detail=str(error.orig),
        ) from error


def _settle(engine: sa.Engine, member_id: int, member: MemberPlan, walk: Walk, actor: str) -> None:
    """Make the place and remember it; what was done is in the audit trail even if it stops half-way."""
    ids, error = None, ""
    try:
        ids = places.visit(walk)
    except ClocherError as failure:
        error = failure.code
        raise
    finally:
        moved = ids is not None and ids != (member.known.place if member.known else None)
        if walk.changes or moved or error:
            with territory_session(engine, actor) as session:
                if ids and moved:
                    members_record.write_place(session, member_id, ids)
                _record(session, "place.apply", member.slug, member_id, walk.changes, error)


def _record(
    session: Session, action: str, slug: str, member_id: int, changes: Sequence[Change], error: str = ""
) -> None:
    detail: dict[str, Any] = {"changes": [asdict(change) for change in changes]}
    audit.record(
        session, action, f"member {slug}", member_id=member_id, detail=detail | ({"error": error} if error else {})
    )


def remove(engine: sa.Engine, cloud: Cloud, slug: str, *, actor: str) -> bool:
    """Take a member's place out of the cloud; the member and its accounts stay. False when it had no place.

    Raises NotFound for an unknown member, Conflict while it has living services.
    """
    with territory_session(engine, actor) as session:
        member = find(session, slug)
        living = sa.select(sa.func.count()).where(
            Service.member_id == member.id, Service.state.not_in(("deleted", "failed"))
        )
        if session.scalar(living):
            raise Conflict(
                "member_has_services", Text("« {slug} » a encore des services.", slug=slug), "Supprimez-les d’abord."
            )
    gone = places.remove(places.open_site(cloud), places.name_for(cloud.settings, slug))
    with territory_session(engine, actor) as session:
        session.execute(sa.delete(Place).where(Place.member_id == member.id))
        audit.record(session, "place.remove", f"member {slug}", member_id=member.id)
    return gone


def find(session: Session, slug: str) -> Member:
    """The member `slug`; NotFound `unknown_member` when there is none."""
    member = session.scalar(sa.select(Member).where(Member.slug == slug))
    if member is None:
        raise NotFound("unknown_member", Text("Aucun membre « {slug} ».", slug=slug), "Voyez « clocher members list ».")
    return member
