"""`python -m devcloud.serve SERVICE`: run one OpenStack project in one process, on its loopback port.

nova is API, conductor, scheduler and compute together, cinder is API, scheduler and volume, because the `fake://`
transport carries RPC inside a process only. No eventlet: plain threads, served by waitress.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
import uuid
from collections.abc import Callable
from typing import Any

import waitress

from devcloud import processes, sqlite
from devcloud.place import OFFSETS, Place, here

NO_CELL = "00000000-0000-0000-0000-000000000000"
KEEP: list[Any] = []  # services that must not be collected


def keystone(place: Place) -> Any:
    os.environ["OS_KEYSTONE_CONFIG_DIR"] = str(place.config("keystone").parent)
    from keystone.common.rbac_enforcer.enforcer import RBACEnforcer
    from keystone.wsgi.api import application

    # Policies are loaded at a first request; two first requests at once would find half of them, and refuse. So load
    # them here, and in neutron and cinder below (the others do so themselves).
    RBACEnforcer.suppress_deprecation_warnings = True
    assert RBACEnforcer()._enforcer
    return application


def glance(place: Place) -> Any:
    os.environ["OS_GLANCE_CONFIG_DIR"] = str(place.config("glance").parent)
    from glance.wsgi.api import application

    return application


def placement(place: Place) -> Any:
    os.environ["OS_PLACEMENT_CONFIG_DIR"] = str(place.config("placement").parent)
    from placement.wsgi import init_application

    return init_application()


def neutron(place: Place) -> Any:
    os.environ["OS_NEUTRON_CONFIG_DIR"] = str(place.config("neutron").parent)
    os.environ["OS_NEUTRON_CONFIG_FILES"] = "neutron.conf"
    from neutron import policy
    from neutron.wsgi.api import application

    policy.init()
    return application


def nova(place: Place) -> Any:
    os.environ["OS_NOVA_CONFIG_DIR"] = str(place.config("nova").parent)
    os.environ["OS_NOVA_CONFIG_FILES"] = "api-paste.ini;nova.conf"
    os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
    from nova import monkey_patch

    monkey_patch.patch(backend="threading")
    import nova.virt
    import os_vif

    from devcloud import novavirt

    nova.virt.__path__.extend(novavirt.__path__)  # nova looks compute_driver up below nova.virt only
    from nova.api.openstack import wsgi_app

    wsgi_app.init_global_data([str(place.config("nova"))], "osapi_compute", "nova-api")
    os_vif.initialize()
    _map_cells(place)
    _skip_allocation_scan()
    for other in OFFSETS.keys() - {"nova"}:  # as it starts, nova-compute asks them for what its guests need
        processes.wait(place, other)
    for binary in ("nova-conductor", "nova-scheduler", "nova-compute"):
        KEEP.append(_start_nova(binary))
    threading.Thread(target=_discover_hosts, daemon=True).start()
    return wsgi_app.init_application("osapi_compute", "nova-api")


def _start_nova(binary: str) -> Any:
    from nova import service
    from nova.compute import rpcapi as compute
    from nova.conductor import rpcapi as conductor
    from nova.scheduler import rpcapi as scheduler

    topics = {
        "nova-conductor": {"topic": conductor.RPC_TOPIC},
        "nova-scheduler": {"topic": scheduler.RPC_TOPIC},
        "nova-compute": {"topic": compute.RPC_TOPIC, "topic_alt": compute.RPC_TOPIC_ALT},
    }
    started = service.Service.create(binary=binary, **topics[binary])
    started.start()
    return started


def _map_cells(place: Place) -> None:
    """cell0 (where failed builds lie) and the one cell; what `nova-manage cell_v2` would write."""
    from nova import context, objects

    admin = context.get_admin_context()
    known = {cell.name for cell in objects.CellMappingList.get_all(admin)}
    if "cell0" not in known:
        objects.CellMapping(
            admin,
            uuid=NO_CELL,
            name="cell0",
            transport_url="none:///",
            database_connection=place.database("nova_cell0"),
        ).create()
    if "cell1" not in known:
        objects.CellMapping(
            admin,
            uuid=str(uuid.uuid4()),
            name="cell1",
            transport_url="fake://",
            database_connection=place.database("nova"),
        ).create()


def _skip_allocation_scan() -> None:
    """At each claim nova-compute asks placement for every instance's allocations, one GET each under a lock.

    That serves drivers that reshape providers or use PCI. Ours does neither, and the time to boot stays constant.
    """
    from nova.scheduler.client import report

    report.SchedulerReportClient.get_allocations_for_provider_tree = lambda self, context, nodename: {}


def _discover_hosts() -> None:
    from nova import context
    from nova.objects import host_mapping

    host_mapping.discover_hosts(context.get_admin_context())


def cinder(place: Place) -> Any:
    os.environ["OS_CINDER_DISABLE_EVENTLET_PATCHING"] = "1"
    sys.argv = ["cinder", "--config-file", str(place.config("cinder"))]
    from cinder import monkey_patch

    monkey_patch.patch()
    from cinder.wsgi import wsgi

    application = wsgi.initialize_application()
    from cinder import policy, service
    from oslo_config import cfg

    policy.init()
    _report_every_service(service.Service)
    backend = cfg.CONF.enabled_backends[0]
    cfg.CONF.register_opt(cfg.StrOpt("backend_host"), group=backend)
    volumes = service.Service.create(
        host=f"{cfg.CONF.host}@{backend}", service_name=backend, binary="cinder-volume", coordination=True
    )
    scheduler = service.Service.create(binary="cinder-scheduler")
    for started in (volumes, scheduler):  # in this order: the scheduler waits for the first report of the volumes
        started.start()
        KEEP.append(started)
    return application


def _report_every_service(service: Any) -> None:
    """cinder keeps the id for the heartbeat in a class attribute: of two services in a process only one would report,

    and the other would count as down after `service_down_time`.
    """
    report, lock = service.report_state, threading.Lock()

    def report_own_state(self: Any) -> Any:
        with lock:
            service.service_id = self.origin_service_id
            return report(self)

    service.report_state = report_own_state


SERVICES: dict[str, Callable[[Place], Any]] = {
    "keystone": keystone,
    "glance": glance,
    "placement": placement,
    "nova": nova,
    "neutron": neutron,
    "cinder": cinder,
}


def main() -> None:
    place, service = here(), sys.argv[1]
    sys.argv = [service]
    sqlite.tune()
    try:
        server = waitress.create_server(
            SERVICES[service](place),
            host="127.0.0.1",
            port=place.port(service),
            threads=12,
            connection_limit=1000,
            channel_timeout=600,
        )
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # the services' own threads would keep a broken process alive
    server.run()


if __name__ == "__main__":
    main()
