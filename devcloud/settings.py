"""The services' configuration files. Each function returns one file as {section: {option: value}}."""

from __future__ import annotations

import base64
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from devcloud.place import OFFSETS, REGION, Place, write_private

Sections = dict[str, dict[str, object]]
POLICIES = Path(__file__).with_name("policies")
ENTRY_POINTS = """\
[neutron.ml2.mechanism_drivers]
clocher = devcloud.fabric:ClocherMechanismDriver
[oslo.messaging.notify.drivers]
clocher_jsonl = devcloud.notify:JsonLines
"""
NOTIFY: dict[str, object] = {"driver": "clocher_jsonl"}
# `fake://` carries RPC inside one process, which is why each project runs as one.
IN_PROCESS = "fake://"


def write_settings(place: Place) -> None:
    """Write every configuration file, key and directory that the services start from; repeated at each `up`."""
    for name in (
        "etc",
        "db",
        "log",
        "pid",
        "lock",
        "glance/images",
        "glance/staging",
        "glance/tasks",
        "glance/cache",
        "nova/instances",
        "neutron",
        "cinder/volumes",
        "cinder/coordination",
        "python",
    ):
        place.directory(name).mkdir(parents=True, exist_ok=True)
    place.state.chmod(0o700)
    place.make_secrets()
    for service, sections in SECTIONS.items():
        path = place.config(service)
        path.parent.mkdir(exist_ok=True)
        write_private(path, _ini(sections(place)))
    for service, file in (("glance", "glance-api-paste.ini"), ("nova", "api-paste.ini")):
        shutil.copy(place.venv / "etc" / service / file, place.config(service).parent)
    for service in ("placement", "nova", "neutron", "cinder"):
        shutil.copy(POLICIES / f"{service}.yaml", place.config(service).with_name("policy.yaml"))
    for repository in ("fernet", "credential"):
        _make_keys(place.directory(repository))
    identity = place.directory("nova") / "compute_id"  # nova-compute refuses a second start without it
    if not identity.exists():
        identity.write_text(str(uuid.uuid4()))
    _expose_code(place.directory("python"))
    write_private(place.clouds_file, clouds(place))


def clouds(place: Place) -> str:
    """clouds.yaml: the administrator, and the orchestrator's account scoped to its project or to its domain."""
    control = "project_name: clocher-control\n      project_domain_name: clocher"
    return "clouds:\n" + "".join(
        (
            _cloud(
                place, "devcloud-admin", "admin", "Default", "project_name: admin\n      project_domain_name: Default"
            ),
            _cloud(place, "clocher", "clocher", "clocher", control),
            _cloud(place, "clocher-domain", "clocher", "clocher", "domain_name: clocher"),
        )
    )


def _cloud(place: Place, name: str, user: str, domain: str, scope: str) -> str:
    return f"""\
  {name}:
    auth:
      auth_url: {place.url("keystone")}
      username: {user}
      password: {place.secret(user)}
      user_domain_name: {domain}
      {scope}
    region_name: {REGION}
    identity_api_version: 3
"""


def keystone(place: Place) -> Sections:
    return {
        "DEFAULT": {"transport_url": IN_PROCESS, "log_file": place.directory("log") / "keystone.log"},
        "database": {"connection": place.database("keystone")},
        "identity": {"password_hash_rounds": 4},  # every token costs a hash; here the passwords guard nothing
        "token": {"provider": "fernet", "expiration": 86400},
        "fernet_tokens": {"key_repository": place.directory("fernet")},
        "fernet_receipts": {"key_repository": place.directory("fernet")},
        "credential": {"key_repository": place.directory("credential")},
        "oslo_messaging_notifications": NOTIFY,
        "cache": {"enabled": "true", "backend": "oslo_cache.dict"},
    }


def glance(place: Place) -> Sections:
    store = place.directory("glance")
    return {
        "DEFAULT": {
            "transport_url": IN_PROCESS,
            "log_file": place.directory("log") / "glance.log",
            "enabled_backends": "files:file",
            "enabled_import_methods": "[]",
            "worker_self_reference_url": place.url("glance"),
            "image_cache_dir": store / "cache",
        },
        "database": {"connection": place.database("glance")},
        "glance_store": {"default_backend": "files"},
        "files": {"filesystem_store_datadir": store / "images"},
        "os_glance_staging_store": {"filesystem_store_datadir": store / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": store / "tasks"},
        "keystone_authtoken": _authtoken(place, "glance"),
        "paste_deploy": {"flavor": "keystone"},
        "oslo_concurrency": _lock(place),
        "oslo_messaging_notifications": NOTIFY,
    }


def placement(place: Place) -> Sections:
    return {
        "DEFAULT": {"log_file": place.directory("log") / "placement.log"},
        "placement_database": {"connection": place.database("placement")},
        "keystone_authtoken": _authtoken(place, "placement"),
        "api": {"auth_strategy": "keystone"},
        "oslo_policy": {"policy_file": place.config("placement").with_name("policy.yaml")},
    }


def nova(place: Place) -> Sections:
    as_cinder_user = {k: v for k, v in _account(place, "nova").items() if k != "region_name"}
    return {
        "DEFAULT": {
            **_common(place, "nova"),
            "host": "compute1",
            "compute_driver": "nspawn.NspawnDriver",
            "instances_path": place.directory("nova") / "instances",
            "my_ip": "127.0.0.1",
            "allow_resize_to_same_host": "true",
            # the driver itself plugs a port, so there is no agent's event to wait for
            "vif_plugging_timeout": 0,
            "vif_plugging_is_fatal": "false",
            "resume_guests_state_on_host_boot": "true",
            "sync_power_state_interval": 15,
            "concurrency_backend": "threading",
            # one process answers for all services: let a busy one not look dead
            "service_down_time": 300,
            "report_interval": 60,
            "update_resources_interval": 300,
            "max_concurrent_builds": 0,
            "reserved_host_memory_mb": 0,
            "initial_cpu_allocation_ratio": 4.0,
        },
        "api": {"auth_strategy": "keystone"},
        "api_database": {"connection": place.database("nova_api")},
        "database": {"connection": place.database("nova")},
        "scheduler": {"discover_hosts_in_cells_interval": 60, "workers": 1},
        "filter_scheduler": {"track_instance_changes": "false"},
        "conductor": {"workers": 1},
        "keystone_authtoken": _authtoken(place, "nova"),
        "service_user": {**_account(place, "nova"), "send_service_user_token": "true"},
        "placement": _account(place, "nova"),
        "neutron": _account(place, "nova"),
        "cinder": {**as_cinder_user, "os_region_name": REGION, "catalog_info": "block-storage::publicURL"},
        "glance": {"api_servers": place.url("glance")},
        "notifications": {"notification_format": "versioned", "notify_on_state_change": "vm_and_task_state"},
        "oslo_messaging_notifications": NOTIFY,
        "oslo_concurrency": _lock(place),
        "oslo_policy": {"policy_file": "policy.yaml"},
        "quota": {"driver": "nova.quota.DbQuotaDriver"},
    }


def neutron(place: Place) -> Sections:
    return {
        "DEFAULT": {
            **_common(place, "neutron"),
            "core_plugin": "ml2",
            "service_plugins": "router",
            "enable_traditional_dhcp": "false",
            "dhcp_agent_notification": "false",
            "notify_nova_on_port_status_changes": "true",
            "notify_nova_on_port_data_changes": "true",
            "api_paste_config": place.venv / "etc" / "neutron" / "api-paste.ini",
            "rpc_workers": 0,
            "rpc_state_report_workers": 0,
            # a vxlan tunnel would take 50 bytes; our bridges take none, so guests get 1500
            "global_physnet_mtu": 1550,
        },
        "database": {"connection": place.database("neutron")},
        "keystone_authtoken": _authtoken(place, "neutron"),
        "nova": _account(place, "neutron"),
        "placement": _account(place, "neutron"),
        "ml2": {
            "type_drivers": "flat,vxlan",
            "tenant_network_types": "vxlan",
            "mechanism_drivers": "clocher",
            "extension_drivers": "port_security",
            "physical_network_mtus": "public:1500",
        },
        "ml2_type_flat": {"flat_networks": "public"},
        "ml2_type_vxlan": {"vni_ranges": "1:100000"},
        "oslo_concurrency": _lock(place),
        "oslo_messaging_notifications": NOTIFY,
        "oslo_policy": {"policy_file": "policy.yaml"},
    }


def cinder(place: Place) -> Sections:
    return {
        "DEFAULT": {
            **_common(place, "cinder"),
            "enabled_backends": "files",
            "default_volume_type": "standard",
            "glance_api_servers": place.url("glance"),
            "api_paste_config": place.venv / "etc" / "cinder" / "api-paste.ini",
            "resource_query_filters_file": place.venv / "etc" / "cinder" / "resource_filters.json",
            "my_ip": "127.0.0.1",
            "service_down_time": 300,
            "report_interval": 60,
            "scheduler_driver_init_wait_time": 1,
        },
        "files": {"volume_driver": "devcloud.volume.FileVolumeDriver", "volume_backend_name": "standard"},
        "database": {"connection": place.database("cinder")},
        "keystone_authtoken": _authtoken(place, "cinder"),
        "service_user": {**_account(place, "cinder"), "send_service_user_token": "true"},
        "nova": _account(place, "cinder"),
        "coordination": {"backend_url": f"file://{place.directory('cinder') / 'coordination'}"},
        "oslo_concurrency": _lock(place),
        "oslo_messaging_notifications": NOTIFY,
        "oslo_policy": {"policy_file": "policy.yaml"},
    }


SECTIONS: dict[str, Callable[[Place], Sections]] = {
    "keystone": keystone,
    "glance": glance,
    "placement": placement,
    "nova": nova,
    "neutron": neutron,
    "cinder": cinder,
}
assert SECTIONS.keys() == OFFSETS.keys()


def _common(place: Place, service: str) -> dict[str, object]:
    return {
        "transport_url": IN_PROCESS,
        "log_file": place.directory("log") / f"{service}.log",
        "state_path": place.directory(service),
        "host": "clocher",
    }


def _account(place: Place, user: str) -> dict[str, object]:
    return {
        "auth_type": "password",
        "auth_url": place.url("keystone"),
        "username": user,
        "password": place.secret(user),
        "user_domain_name": "Default",
        "project_name": "service",
        "project_domain_name": "Default",
        "region_name": REGION,
    }


def _authtoken(place: Place, user: str) -> dict[str, object]:
    return {
        **_account(place, user),
        "www_authenticate_uri": place.url("keystone"),
        "service_token_roles": "service",
        "service_token_roles_required": "true",
    }


def _lock(place: Place) -> dict[str, object]:
    return {"lock_path": place.directory("lock")}


def _ini(sections: Sections) -> str:
    blocks = (
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
        for name, options in sections.items()
    )
    return "\n".join(blocks)


def _make_keys(repository: Path) -> None:
    """Two Fernet keys, in the layout that keystone reads: 0 is staged, the highest signs."""
    repository.mkdir(mode=0o700, exist_ok=True)
    for name in ("0", "1"):
        if not (repository / name).exists():
            write_private(repository / name, base64.urlsafe_b64encode(os.urandom(32)).decode())


def _expose_code(directory: Path) -> None:
    """A folder for PYTHONPATH that has this package and its entry points, and nothing else of the repository."""
    link = directory / "devcloud"
    if not link.is_symlink():
        link.symlink_to(Path(__file__).parent)
    metadata = directory / "clocher_devcloud-0.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: clocher-devcloud\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
