"""A member's place in the cloud: project, network, way out, security group, quotas.

One walk both looks and makes: each part is found by its name, and each difference with what is wanted is written down
and, unless we only look, mended. So what is planned is what is done, and doing it again does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from orchestrator import cloud_projects, cloud_routing
from orchestrator.cloud import Cloud
from orchestrator.cloud_network import find_network
from orchestrator.cloud_projects import Domain
from orchestrator.cloud_routing import Rule
from orchestrator.errors import Conflict, Text
from orchestrator.settings import Settings

T = TypeVar("T")
DOORS = 8  # ports that applications of one member may open to everybody
PLANNED = ""  # stands for the id of what is not there yet


@dataclass(frozen=True)
class Site:
    """What all places share: our control account, the domain of the projects, the external network's id."""

    cloud: Cloud
    domain: Domain
    external_network_id: str


@dataclass(frozen=True)
class Wanted:
    """What a place should be. quotas: by Quota's columns (ram in MiB, disk in GiB); name: of all its parts."""

    name: str
    title: str
    cidr: str
    admin_networks: tuple[str, ...]
    quotas: Mapping[str, int]


@dataclass(frozen=True)
class Change:
    """One difference, in words that people can read; None where there is nothing."""

    field: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        return f"{self.field} " + " → ".join(value for value in (self.old, self.new) if value is not None)


@dataclass(frozen=True)
class Ids:
    """What the place is made of, as `places` keeps it."""

    project_id: str
    network_id: str
    subnet_id: str
    router_id: str
    security_group_id: str


@dataclass
class Walk:
    """One walk over a place. `changes` holds what differed so far, also when the walk fails half-way.

    tell: called with each difference as it is found or mended.
    """

    site: Site
    wanted: Wanted
    act: bool
    changes: list[Change] = field(default_factory=list)
    project_id: str = PLANNED
    tell: Callable[[Change], None] = lambda _: None

    @property
    def settings(self) -> Settings:
        return self.site.cloud.settings

    def look(self, find: Callable[[Cloud], T | None]) -> T | None:
        """Find something in the project, if there is a project."""
        return None if self.project_id == PLANNED else find(self.site.cloud.project(self.project_id))

    def note(self, change: Change) -> None:
        """Write a difference down, and tell it."""
        self.changes.append(change)
        self.tell(change)

    def mend(self, change: Change, make: Callable[[Cloud], T]) -> T | None:
        """Write the difference down; when acting, `make` it go, in the member's project."""
        made = make(self.site.cloud.project(self.project_id)) if self.act else None
        self.note(change)
        return made

    def make(self, what: str, new: str, make: Callable[[Cloud], str]) -> str:
        """Make what is missing; its id, or PLANNED when we only look."""
        return self.mend(Change(what, None, new), make) or PLANNED


def open_site(cloud: Cloud) -> Site:
    """Look up, once, what every place needs."""
    return Site(cloud, cloud_projects.open_domain(cloud), find_network(cloud, cloud.settings.external_network))


def name_for(settings: Settings, slug: str) -> str:
    """How a member's project, and all in it, is named in the cloud."""
    return f"{settings.territory}-{slug}"


def find_cidr(site: Site, name: str) -> str | None:
    """The subnet that a place has in the cloud already, if any."""
    project = cloud_projects.find_project(site.domain, name)
    if project is None or not cloud_projects.is_granted(site.domain, project.id):
        return None
    subnet = cloud_routing.find_subnet(site.cloud.project(project.id), name)
    return subnet.cidr if subnet else None


def compare(site: Site, wanted: Wanted) -> list[Change]:
    """What `make` would do."""
    walk = Walk(site, wanted, act=False)
    visit(walk)
    return walk.changes


def visit(walk: Walk) -> Ids:
    """Go over all parts; `walk.act` decides whether differences are mended or only written down."""
    walk.project_id = _project(walk)
    if not _grant(walk):
        # We may not look inside before the role is ours; the apply that grants it does the rest.
        return Ids(walk.project_id, PLANNED, PLANNED, PLANNED, PLANNED)
    _quotas(walk)
    network_id = _network(walk)
    subnet_id = _subnet(walk, network_id)
    router_id = _router(walk)
    _interface(walk, router_id, subnet_id)
    return Ids(walk.project_id, network_id, subnet_id, router_id, _security_group(walk))


def _project(walk: Walk) -> str:
    domain, wanted = walk.site.domain, walk.wanted
    found = cloud_projects.find_project(domain, wanted.name)
    if found is None:
        made = cloud_projects.create_project(domain, wanted.name, wanted.title) if walk.act else PLANNED
        walk.note(Change("project", None, wanted.name))
        return made
    if (found.description, found.enabled) != (wanted.title, True):
        if walk.act:
            cloud_projects.update_project(domain, found.id, description=wanted.title, enabled=True)
        state = "" if found.enabled else " (désactivé)"
        walk.note(Change("project", found.description + state, wanted.title))
    return found.id


def _grant(walk: Walk) -> bool:
    """Our role in the project; False while we only look and don't have it in a project that is there."""
    if walk.project_id != PLANNED and cloud_projects.is_granted(walk.site.domain, walk.project_id):
        return True
    if walk.act:
        cloud_projects.grant(walk.site.domain, walk.project_id)
        walk.site.cloud.forget(walk.project_id)
    walk.note(Change("role", None, cloud_projects.ROLE))
    return walk.act or walk.project_id == PLANNED


def spare(kept: int) -> dict[str, int]:
    """How many times a member's quota the cloud's own is, where it is more than once.

    kept: snapshots that a service may have; Cinder counts the copies of volumes among the gigabytes. A volume that was
    replaced by a restored one is there until its last snapshot is gone, and a restored one is made before that.
    """
    return {"volumes": 2 + kept, "disk_gib": 2 + 2 * kept}


def cloud_quotas(quotas: Mapping[str, int], kept: int) -> dict[str, int]:
    """A member's quota as the cloud's own: a second wall behind ours, with room for what the place itself needs."""
    return {
        "instances": quotas["servers"],
        "cores": quotas["vcpus"],
        "ram": quotas["ram_mib"],
        "volumes": quotas["volumes"] * spare(kept)["volumes"],
        "snapshots": quotas["volumes"] * kept,
        "gigabytes": quotas["disk_gib"] * spare(kept)["disk_gib"],
        "floating_ips": quotas["public_addresses"],
        # One port a server; the router's interface, DHCP's and a few that are being replaced.
        "ports": quotas["servers"] + 5,
        "networks": 1,
        "subnets": 1,
        "routers": 1,
        "security_groups": 2 + DOORS,  # Neutron's `default` and ours
        "security_group_rules": 100,
    }


def _quotas(walk: Walk) -> None:
    wanted = cloud_quotas(walk.wanted.quotas, walk.site.cloud.settings.snapshots_per_service)
    found = walk.look(lambda _: cloud_projects.read_quotas(walk.site.cloud, walk.project_id)) or {}
    wrong = {name: limit for name, limit in wanted.items() if found.get(name) != limit}
    if wrong and walk.act:
        cloud_projects.write_quotas(walk.site.cloud, walk.project_id, wrong)
    for name, limit in wrong.items():
        walk.note(Change(f"quota.{name}", str(found[name]) if found else None, str(limit)))


def _network(walk: Walk) -> str:
    name = walk.wanted.name
    found = walk.look(lambda cloud: cloud_routing.find_network(cloud, name))
    return found or walk.make("network", name, lambda cloud: cloud_routing.create_network(cloud, name))


def _subnet(walk: Walk, network_id: str) -> str:
    name, cidr, nameservers = walk.wanted.name, walk.wanted.cidr, walk.settings.nameservers
    found = walk.look(lambda cloud: cloud_routing.find_subnet(cloud, name))
    if found is None:
        return walk.make(
            "subnet", cidr, lambda cloud: cloud_routing.create_subnet(cloud, name, network_id, cidr, nameservers)
        )
    if found.cidr != cidr:
        raise Conflict(
            "subnet_kept",
            Text(
                "Le sous-réseau de {name} est {present} dans le nuage et {cidr} ici : il ne change pas une fois créé.",
                name=name,
                present=found.cidr,
                cidr=cidr,
            ),
            Text("Déclarez « subnet: {present} », ou retirez du nuage le réseau de ce membre.", present=found.cidr),
        )
    if found.nameservers != nameservers:
        change = Change("nameservers", ", ".join(found.nameservers) or None, ", ".join(nameservers) or None)
        walk.mend(change, lambda cloud: cloud_routing.update_subnet(cloud, found.id, nameservers))
    return found.id


def _router(walk: Walk) -> str:
    name, external = walk.wanted.name, walk.site.external_network_id
    found = walk.look(lambda cloud: cloud_routing.find_router(cloud, name))
    if found is None:
        return walk.make("router", name, lambda cloud: cloud_routing.create_router(cloud, name, external))
    if found.external_network_id != external:
        change = Change("gateway", found.external_network_id, walk.settings.external_network)
        walk.mend(change, lambda cloud: cloud_routing.update_router(cloud, found.id, external))
    return found.id


def _interface(walk: Walk, router_id: str, subnet_id: str) -> None:
    if PLANNED in (router_id, subnet_id) or not walk.look(
        lambda cloud: cloud_routing.is_connected(cloud, router_id, subnet_id)
    ):
        change = Change("interface", None, walk.wanted.cidr)
        walk.mend(change, lambda cloud: cloud_routing.connect(cloud, router_id, subnet_id))


def rules(wanted: Wanted, settings: Settings) -> set[Rule]:
    """Who may reach a member's servers: its own, the management, its administrators, and everybody for the web.

    The management reaches every TCP port that a guest itself opens: there it asks whether applications are well, and it
    is root in the guest anyway.
    """
    allowed = {Rule("ingress", remote=wanted.cidr), Rule("egress"), Rule("egress", ethertype="IPv6")}
    for network in settings.management_networks:
        allowed |= {Rule("ingress", "tcp", remote=network), Rule("ingress", "icmp", remote=network)}
    allowed |= {Rule("ingress", "tcp", 22, network) for network in wanted.admin_networks}
    return allowed | {Rule("ingress", "tcp", 80), Rule("ingress", "tcp", 443)}


def _security_group(walk: Walk) -> str:
    name = walk.wanted.name
    found = walk.look(lambda cloud: cloud_routing.find_security_group(cloud, name))
    if found is None:
        change = Change("security_group", None, name)
        found = walk.mend(change, lambda cloud: cloud_routing.create_security_group(cloud, name))
    group_id, there = (found.id, found.rules) if found else (PLANNED, ())
    allowed = rules(walk.wanted, walk.settings)
    missing = sorted(allowed - {rule for _, rule in there}, key=str)
    if missing and walk.act:
        cloud_routing.add_rules(walk.site.cloud.project(walk.project_id), group_id, missing)
    for absent in missing:
        walk.note(Change("rule", None, str(absent)))
    for rule_id, rule in there:
        if rule not in allowed:
            _remove_rule(walk, rule_id, str(rule or rule_id))
    return group_id


def _remove_rule(walk: Walk, rule_id: str, what: str) -> None:
    walk.mend(Change("rule", what, None), lambda cloud: cloud_routing.remove_rule(cloud, rule_id))


def remove(site: Site, name: str) -> bool:
    """Take a place out of the cloud, with its project; False when there was none.

    Refused by the cloud (CloudConflict) while a server or a port is still in the network.
    """
    project_id = enter(site, name)
    if project_id is None:
        return False
    _remove_network(site.cloud.project(project_id), name)
    cloud_projects.forget_quotas(site.cloud, project_id)
    cloud_projects.delete_project(site.domain, project_id)
    site.cloud.forget(project_id)
    return True


def enter(site: Site, name: str) -> str | None:
    """The id of a place's project, which is ours to act in from now on; None when there is none."""
    project = cloud_projects.find_project(site.domain, name)
    if project is None:
        return None
    if not cloud_projects.is_granted(site.domain, project.id):
        cloud_projects.grant(site.domain, project.id)
        site.cloud.forget(project.id)
    return project.id


def _remove_network(cloud: Cloud, name: str) -> None:
    router, subnet = cloud_routing.find_router(cloud, name), cloud_routing.find_subnet(cloud, name)
    if router:
        if subnet and cloud_routing.is_connected(cloud, router.id, subnet.id):
            cloud_routing.disconnect(cloud, router.id, subnet.id)
        cloud_routing.delete_router(cloud, router.id)
    network_id = cloud_routing.find_network(cloud, name)
    if network_id:
        cloud_routing.delete_network(cloud, network_id)
    cloud_routing.delete_doors(cloud)
    group = cloud_routing.find_security_group(cloud, name)
    if group:
        cloud_routing.delete_security_group(cloud, group.id)
