"""The orchestrator's account can do its work, and no more; other processes can read what happens."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Member, devcloud, eventually

pytestmark = [pytest.mark.cloud, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def member(make_member: Callable[[str], Member]) -> Member:
    return make_member("10.240.1.0/24")


def status_of(cloud: Any, service: str, verb: str, path: str, **body: Any) -> int:
    """The HTTP status of a raw call: the SDK hides some refusals."""
    return int(getattr(getattr(cloud, service), verb)(path, **body).status_code)


def test_it_sets_and_reads_a_members_quotas(connect: Callable[..., Any], member: Member) -> None:
    cloud, project = connect("clocher"), member.project.id
    cloud.compute.update_quota_set(project, cores=7)
    cloud.network.update_quota(project, ports=33, floating_ips=2)
    cloud.block_storage.update_quota_set(project, gigabytes=120)

    assert cloud.compute.get_quota_set(project).cores == 7
    assert (cloud.network.get_quota(project).ports, cloud.network.get_quota(project).floating_ips) == (33, 2)
    assert cloud.block_storage.get_quota_set(project).gigabytes == 120


def test_it_reads_what_all_projects_hold(connect: Callable[..., Any], member: Member, admin: Any) -> None:
    cloud = connect("clocher")
    assert {port.id for port in cloud.network.ports()} == {port.id for port in admin.network.ports()}
    assert member.router.id in {router.id for router in cloud.network.routers()}
    assert list(cloud.compute.usages()) is not None
    assert [host.name for host in cloud.compute.hypervisors()] == ["compute1"]
    list(cloud.compute.servers(all_projects=True))


def test_it_is_not_the_administrator(connect: Callable[..., Any], member: Member, admin: Any) -> None:
    control, domain = connect("clocher"), connect("clocher-domain")
    user = control.session.auth.get_access(control.session).user_id
    admin_role, member_role, operator = (
        admin.identity.find_role(name).id for name in ("admin", "member", "clocher_operator")
    )
    foreign = admin.identity.find_project("service").id

    refusals = {
        "make a flavor": status_of(
            control, "compute", "post", "/flavors", json={"flavor": {"name": "x", "ram": 1, "vcpus": 1, "disk": 1}}
        ),
        "make a project elsewhere": status_of(
            domain, "identity", "post", "/projects", json={"project": {"name": "x", "domain_id": "default"}}
        ),
        "become administrator": status_of(
            domain, "identity", "put", f"/projects/{member.project.id}/users/{user}/roles/{admin_role}"
        ),
        "grant the operator's role": status_of(
            domain, "identity", "put", f"/projects/{member.project.id}/users/{user}/roles/{operator}"
        ),
        "enter another domain's project": status_of(
            domain, "identity", "put", f"/projects/{foreign}/users/{user}/roles/{member_role}"
        ),
        "change a member's network": status_of(
            control, "network", "put", f"/networks/{member.network.id}", json={"network": {"name": "x"}}
        ),
        "publish an image": status_of(control, "image", "post", "/images", json={"visibility": "public"}),
    }
    assert refusals == dict.fromkeys(refusals, 403)


def test_members_do_not_see_each_other(make_member: Callable[[str], Member], member: Member) -> None:
    other = make_member("10.240.2.0/24")
    assert member.network.id not in {network.id for network in other.cloud.network.networks()}
    assert other.cloud.network.find_network(member.network.id) is None


def test_status_tells_what_runs(state: Path, member: Member) -> None:
    shown = json.loads(devcloud("status", "--json").stdout)
    assert shown["ok"]
    assert {"keystone", "glance", "placement", "nova", "neutron", "cinder"} == shown["services"].keys()
    assert all(service["answers"] and service["rss_mib"] > 0 for service in shown["services"].values())
    eventually(
        lambda: any(
            member.network.id[:8] in name for name in json.loads(devcloud("status", "--json").stdout)["networks"]
        ),
        "the member's network is listed",
    )


def test_another_process_reads_notifications(state: Path, member: Member, boot: Callable[..., Any]) -> None:
    server = boot(member)

    def told() -> set[str]:
        with (state / "notifications.jsonl").open() as lines:
            fcntl.flock(lines, fcntl.LOCK_SH)
            notes = [json.loads(line) for line in lines]
        return {
            note["event_type"] for note in notes if note["payload"].get("nova_object.data", {}).get("uuid") == server.id
        }

    assert eventually(lambda: "instance.create.end" in told(), "the server's creation is told")
    member.cloud.compute.delete_server(server)
    assert eventually(lambda: "instance.delete.end" in told(), "the server's end is told")
