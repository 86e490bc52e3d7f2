"""A member's place in the real cloud: made once, found again, mended when somebody changed it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestrator import cloud, cloud_projects, cloud_routing, places
from orchestrator.cloud_routing import Rule
from orchestrator.errors import CloudError, CloudUnavailable, Conflict, InvalidInput
from orchestrator.places import Change, Ids, Site, Walk, Wanted
from orchestrator.settings import Settings
from tests.orchestrator.conftest import CLOUDS

QUOTAS = {"servers": 2, "vcpus": 4, "ram_mib": 4096, "volumes": 1, "disk_gib": 20, "public_addresses": 1}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    settings = Settings(state_dir=tmp_path_factory.mktemp("places"), clouds_file=CLOUDS, _env_file=None)
    return places.open_site(cloud.connect(settings))


@pytest.fixture(scope="module")
def wanted(site: Site) -> Iterator[Wanted]:
    name = f"places-{uuid.uuid4().hex[:8]}"
    cidr = f"10.{random.randint(200, 229)}.{random.randint(0, 255)}.0/24"
    yield Wanted(name, "Ville d’essai", cidr, ("203.0.113.0/28",), QUOTAS)
    places.remove(site, name)


@pytest.fixture
def ids(site: Site, wanted: Wanted) -> Ids:
    return places.visit(Walk(site, wanted, act=True))


def _mended(site: Site, wanted: Wanted) -> list[Change]:
    """What is planned; done, it is what was planned, and there is nothing left to plan."""
    planned = places.compare(site, wanted)
    walk = Walk(site, wanted, act=True)
    places.visit(walk)
    assert walk.changes == planned
    assert places.compare(site, wanted) == []
    return planned


@pytest.mark.cloud
def test_a_place_is_made_once(site: Site, wanted: Wanted) -> None:
    fields = {change.field for change in places.compare(site, wanted)}
    assert {
        "project",
        "role",
        "quota.instances",
        "network",
        "subnet",
        "router",
        "interface",
        "security_group",
        "rule",
    } <= (fields)
    made = places.visit(Walk(site, wanted, act=True))
    assert all(vars(made).values())
    again = Walk(site, wanted, act=True)
    assert places.visit(again) == made
    assert again.changes == []
    assert places.find_cidr(site, wanted.name) == wanted.cidr


@pytest.mark.cloud
def test_a_quota_changed_by_hand_is_mended(site: Site, wanted: Wanted, ids: Ids) -> None:
    cloud_projects.write_quotas(site.cloud, ids.project_id, {"cores": 99, "gigabytes": 7, "floating_ips": 9})
    assert set(_mended(site, wanted)) == {
        Change("quota.cores", "99", "4"), Change("quota.gigabytes", "7", "1240"),
        Change("quota.floating_ips", "9", "1"),
    }  # fmt: skip


@pytest.mark.cloud
def test_rules_changed_by_hand_are_mended(site: Site, wanted: Wanted, ids: Ids) -> None:
    project = site.cloud.project(ids.project_id)
    group = cloud_routing.find_security_group(project, wanted.name)
    assert group is not None
    ssh = Rule("ingress", "tcp", 22, "203.0.113.0/28")
    cloud_routing.remove_rule(project, next(rule_id for rule_id, rule in group.rules if rule == ssh))
    open_door = Rule("ingress", "tcp", 3306)
    cloud_routing.add_rules(project, group.id, [open_door])
    assert _mended(site, wanted) == [Change("rule", None, str(ssh)), Change("rule", str(open_door), None)]


@pytest.mark.cloud
def test_a_router_cut_off_is_connected_again(site: Site, wanted: Wanted, ids: Ids) -> None:
    project = site.cloud.project(ids.project_id)
    cloud_routing.disconnect(project, ids.router_id, ids.subnet_id)
    project.connection.network.update_router(ids.router_id, external_gateway_info={})
    assert _mended(site, wanted) == [
        Change("gateway", None, "public"), Change("interface", None, wanted.cidr),
    ]  # fmt: skip


@pytest.mark.cloud
def test_a_new_name_reaches_the_project(site: Site, wanted: Wanted, ids: Ids) -> None:
    renamed = replace(wanted, title="Ville nouvelle")
    assert _mended(site, renamed) == [Change("project", wanted.title, "Ville nouvelle")]


@pytest.mark.cloud
def test_a_subnet_is_kept(site: Site, wanted: Wanted, ids: Ids) -> None:
    with pytest.raises(Conflict) as refused:
        places.compare(site, replace(wanted, cidr="10.255.0.0/24"))
    assert refused.value.code == "subnet_kept"
    assert wanted.cidr in refused.value.sentence


@pytest.mark.cloud
def test_two_of_a_name_are_for_a_person(site: Site, wanted: Wanted, ids: Ids) -> None:
    project = site.cloud.project(ids.project_id)
    cloud_projects.write_quotas(site.cloud, ids.project_id, {"security_groups": 3})
    twin = project.connection.network.create_security_group(name=wanted.name)
    try:
        with pytest.raises(CloudError) as refused:
            places.compare(site, wanted)
        assert refused.value.code == "cloud_ambiguous"
    finally:
        cloud_routing.delete_security_group(project, twin.id)


@pytest.mark.cloud
def test_our_account_is_not_the_clouds_administrator(site: Site, ids: Ids) -> None:
    scopes = (site.cloud, site.domain.cloud, site.cloud.project(ids.project_id))
    roles = [set(scope.connection.session.auth.get_access(scope.connection.session).role_names) for scope in scopes]
    assert all("admin" not in names for names in roles)
    assert "member" in roles[2]
    with pytest.raises(CloudError), cloud.translated():
        site.cloud.connection.compute.create_flavor(name="places-free", ram=1, vcpus=1, disk=1)
    with pytest.raises(CloudError), cloud.translated():
        site.domain.cloud.connection.identity.create_domain(name="places-free")


@pytest.mark.cloud
def test_a_place_goes_whole(site: Site) -> None:
    name = f"places-{uuid.uuid4().hex[:8]}"
    wanted = Wanted(name, "Éphémère", f"10.230.{random.randint(0, 255)}.0/24", (), QUOTAS)
    places.visit(Walk(site, wanted, act=True))
    assert places.remove(site, name)
    assert cloud_projects.find_project(site.domain, name) is None
    assert not places.remove(site, name)


def test_rules_open_no_more_than_said(settings: Settings) -> None:
    own = settings.model_copy(update={"management_networks": ("192.0.2.0/24",)})
    wanted = Wanted("n", "t", "10.1.0.0/24", ("203.0.113.0/28",), QUOTAS)
    everybody = {rule.port for rule in places.rules(wanted, own) if rule.direction == "ingress" and rule.remote is None}
    assert everybody == {80, 443}
    assert {rule.remote for rule in places.rules(wanted, own) if rule.port == 22} == {"203.0.113.0/28"}
    every_port = {
        rule.remote for rule in places.rules(wanted, own)
        if rule.direction == "ingress" and rule.protocol == "tcp" and rule.port is None
    }  # fmt: skip
    assert every_port == {"192.0.2.0/24"}


def test_a_cloud_that_is_down_is_told(settings: Settings) -> None:
    path = settings.state_dir / "clouds.yaml"
    auth = "auth: {auth_url: 'http://127.0.0.1:9/v3', username: u, password: p, project_name: p}"
    path.write_text(f"clouds: {{clocher: {{{auth}, region_name: r}}}}")
    down = cloud.connect(settings.model_copy(update={"clouds_file": path}))
    with pytest.raises(CloudUnavailable) as refused:
        places.open_site(down)
    assert refused.value.exit_status == 75


def test_a_missing_clouds_file_is_told(settings: Settings) -> None:
    with pytest.raises(InvalidInput) as refused:
        cloud.connect(settings)
    assert refused.value.code == "cloud_not_configured"
