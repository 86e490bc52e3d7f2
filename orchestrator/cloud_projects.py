"""The members' projects in Keystone, our role in them, and their quotas in Nova, Neutron and Cinder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.cloud import Cloud, translated
from orchestrator.errors import CloudNotFound, Text

ROLE = "member"  # the least role that makes servers, volumes, networks and routers in a project
# The quotas that we set, by the service that keeps them, as the SDK names them.
QUOTAS = {
    "compute": ("instances", "cores", "ram"),
    "block_storage": ("volumes", "snapshots", "gigabytes"),
    "network": (
        "networks",
        "subnets",
        "routers",
        "ports",
        "floating_ips",
        "security_groups",
        "security_group_rules",
    ),
}


@dataclass(frozen=True)
class Domain:
    """The Keystone domain that holds the members' projects, our account in it, and the role it takes in them."""

    cloud: Cloud
    id: str
    user_id: str
    role_id: str


@dataclass(frozen=True)
class Project:
    """One member's project."""

    id: str
    name: str
    description: str
    enabled: bool


def open_domain(cloud: Cloud) -> Domain:
    """The domain of `settings.cloud_domain`, with a token of its own."""
    domain = cloud.domain()
    with translated():
        access = domain.connection.session.auth.get_access(domain.connection.session)
        roles = list(domain.connection.identity.roles(name=ROLE))
    if not roles:
        raise CloudNotFound(
            "cloud_not_found",
            Text("Le rôle « {role} » n’existe pas dans le nuage.", role=ROLE),
            "Créez-le dans Keystone.",
        )
    return Domain(domain, access.domain_id, access.user_id, roles[0].id)


def find_project(domain: Domain, name: str) -> Project | None:
    """The project `name` of the domain; names are unique in a domain."""
    with translated():
        found = list(domain.cloud.connection.identity.projects(domain_id=domain.id, name=name))
    return _project(found[0]) if found else None


def create_project(domain: Domain, name: str, description: str) -> str:
    """Make the project; its id."""
    with translated():
        identity = domain.cloud.connection.identity
        return str(identity.create_project(domain_id=domain.id, name=name, description=description).id)


def update_project(domain: Domain, project_id: str, *, description: str, enabled: bool) -> None:
    """Set what people read about the project, and whether it can be used."""
    with translated():
        domain.cloud.connection.identity.update_project(project_id, description=description, enabled=enabled)


def delete_project(domain: Domain, project_id: str) -> None:
    """Delete the project; CloudNotFound when it is gone already."""
    with translated():
        domain.cloud.connection.identity.delete_project(project_id, ignore_missing=False)


def is_granted(domain: Domain, project_id: str) -> bool:
    """Whether our account has its role in the project."""
    with translated():
        identity = domain.cloud.connection.identity
        return bool(identity.validate_user_has_project_role(project_id, domain.user_id, domain.role_id))


def grant(domain: Domain, project_id: str) -> None:
    """Give our account its role in the project."""
    with translated():
        identity = domain.cloud.connection.identity
        identity.assign_project_role_to_user(project_id, domain.user_id, domain.role_id)


def read_quotas(cloud: Cloud, project_id: str) -> dict[str, int]:
    """The quotas of QUOTAS as they are; ram in MiB, gigabytes in GiB, -1 for no limit."""
    with translated():
        found: dict[str, Any] = {
            "compute": cloud.connection.compute.get_quota_set(project_id),
            "block_storage": cloud.connection.block_storage.get_quota_set(project_id),
            "network": cloud.connection.network.get_quota(project_id),
        }
    return {name: int(found[service][name]) for service, names in QUOTAS.items() for name in names}


def write_quotas(cloud: Cloud, project_id: str, wanted: Mapping[str, int]) -> None:
    """Set those of the quotas that `wanted` names."""
    changes = {service: {name: wanted[name] for name in names if name in wanted} for service, names in QUOTAS.items()}
    with translated():
        if changes["compute"]:
            cloud.connection.compute.update_quota_set(project_id, **changes["compute"])
        if changes["block_storage"]:
            cloud.connection.block_storage.update_quota_set(project_id, **changes["block_storage"])
        if changes["network"]:
            cloud.connection.network.update_quota(project_id, **changes["network"])


def forget_quotas(cloud: Cloud, project_id: str) -> None:
    """Back to the cloud's defaults: nothing is kept of a project that goes."""
    with translated():
        cloud.connection.compute.revert_quota_set(project_id)
        cloud.connection.block_storage.revert_quota_set(project_id)
        cloud.connection.network.delete_quota(project_id)


def _project(found: Any) -> Project:
    return Project(found.id, found.name, found.description or "", bool(found.is_enabled))
