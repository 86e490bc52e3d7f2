"""`python -m devcloud.bootstrap identity|resources`: what a fresh cloud holds, made through its own APIs.

`identity` needs keystone only; `resources` needs every service. Both can be repeated.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import openstack

from devcloud.place import ACCOUNTS, REGION, Place, here

TYPES = {
    "glance": "image",
    "placement": "placement",
    "nova": "compute",
    "neutron": "network",
    "cinder": "block-storage",
}
# name → vCPU, MiB, GB
FLAVORS = {
    "s1.small": (1, 1024, 10),
    "s1.medium": (2, 4096, 20),
    "s1.large": (4, 8192, 40),
    "s1.xlarge": (8, 16384, 80),
}
IMAGE = "debian-12"


def make_identity(cloud: Any, place: Place) -> None:
    """The services' accounts, the catalogue, and the orchestrator's account."""
    identity = cloud.identity
    service_project = identity.find_project("service") or identity.create_project(name="service", domain_id="default")
    for name in ACCOUNTS:
        user = _make_user(cloud, place, name, "default")
        for role in ("admin", "service"):
            identity.assign_project_role_to_user(service_project, user, identity.find_role(role))
    for name in ACCOUNTS:
        _publish(identity, place, name)
    make_orchestrator(cloud, place)


def make_orchestrator(cloud: Any, place: Place) -> None:
    """A domain for the members' projects, and an account that manages it without being the cloud's administrator.

    `manager` on the domain is Keystone's own domain-manager persona; `clocher_operator` on the control project is what
    devcloud/policies grants the rest to. docs/cloud-account.md tells an operator the same.
    """
    identity = cloud.identity
    domain = identity.find_domain("clocher") or identity.create_domain(name="clocher")
    user = _make_user(cloud, place, "clocher", domain.id)
    control = identity.find_project("clocher-control", domain_id=domain.id) or identity.create_project(
        name="clocher-control", domain_id=domain.id, description="Holds no resource: the scope of Clocher's own account"
    )
    operator = identity.find_role("clocher_operator") or identity.create_role(name="clocher_operator")
    identity.assign_domain_role_to_user(domain, user, identity.find_role("manager"))
    for role in (operator, identity.find_role("reader")):
        identity.assign_project_role_to_user(control, user, role)


def make_resources(cloud: Any, place: Place, image: Path) -> None:
    """Flavors, the Debian image, the external network, the volume type."""
    for name, (vcpus, ram, disk) in FLAVORS.items():
        if not cloud.compute.find_flavor(name):
            cloud.compute.create_flavor(name=name, vcpus=vcpus, ram=ram, disk=disk)
    if not cloud.block_storage.find_type("standard"):
        cloud.block_storage.create_type(name="standard", extra_specs={"volume_backend_name": "standard"})
    _make_default_rules(cloud.network)
    _make_public_network(cloud.network, place)
    if not cloud.image.find_image(IMAGE):
        cloud.image.create_image(
            IMAGE,
            filename=str(image),
            disk_format="raw",
            container_format="bare",
            visibility="public",
            os_distro="debian",
            os_version="12",
            os_admin_user="debian",
            validate_checksum=False,
            md5="",
            sha256="",
        )


def _make_default_rules(network: Any) -> None:
    """What a new security group holds: all outward; and in the default group, inward from its own members.

    Neutron's migrations seed these; tables made from its models come without.
    """
    if next(iter(network.default_security_group_rules()), None):
        return
    for family in ("IPv4", "IPv6"):
        network.create_default_security_group_rule(
            direction="egress", ether_type=family, used_in_default_sg=True, used_in_non_default_sg=True
        )
        network.create_default_security_group_rule(
            direction="ingress",
            ether_type=family,
            remote_group_id="PARENT",
            used_in_default_sg=True,
            used_in_non_default_sg=False,
        )


def _make_public_network(network: Any, place: Place) -> None:
    public = network.find_network("public") or network.create_network(
        name="public", is_router_external=True, provider_network_type="flat", provider_physical_network="public"
    )
    if not network.find_subnet("public", network_id=public.id):
        network.create_subnet(
            name="public",
            network_id=public.id,
            ip_version=4,
            cidr=place.external_cidr,
            gateway_ip=place.external_gateway,
            is_dhcp_enabled=False,
        )


def _make_user(cloud: Any, place: Place, name: str, domain: str) -> Any:
    found = cloud.identity.find_user(name, domain_id=domain)
    return found or cloud.identity.create_user(name=name, password=place.secret(name), domain_id=domain)


def _publish(identity: Any, place: Place, name: str) -> None:
    service = identity.find_service(name) or identity.create_service(name=name, type=TYPES[name])
    known = {endpoint.interface for endpoint in identity.endpoints(service_id=service.id)}
    for interface in {"public", "internal", "admin"} - known:
        identity.create_endpoint(service_id=service.id, interface=interface, region_id=REGION, url=place.url(name))


def main() -> None:
    place = here()
    with openstack.connect(cloud="devcloud-admin") as cloud:
        if sys.argv[1] == "identity":
            make_identity(cloud, place)
        else:
            make_resources(cloud, place, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
