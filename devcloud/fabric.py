"""Neutron's networks made real: the mechanism driver, and the thread that keeps the kernel equal to the database."""

from __future__ import annotations

import threading
import time
from typing import Any

from neutron_lib import constants, context
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins import constants as plugin_constants
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api
from oslo_log import log

from devcloud.fabric_apply import Applier
from devcloud.fabric_plan import Plan, Reader
from devcloud.place import here

LOG = log.getLogger(__name__)
# Asking SQLite whether another connection has committed takes microseconds, and misses no kind of change.
LOOK_SECONDS = 0.1
RETRY_SECONDS = 2.0


class ClocherMechanismDriver(api.MechanismDriver):
    """Binds every port at once: there is no agent to wait for. The fabric makes it work within a second."""

    def initialize(self) -> None:
        threading.Thread(target=follow, name="fabric", daemon=True).start()

    @property
    def connectivity(self) -> str:
        return portbindings.CONNECTIVITY_L2

    def bind_port(self, context: Any) -> None:
        segment = context.segments_to_bind[0]
        context.set_binding(
            segment[api.ID],
            portbindings.VIF_TYPE_OVS,
            {portbindings.CAP_PORT_FILTER: True},
            status=constants.PORT_STATUS_ACTIVE,
        )


def follow() -> None:
    """Apply every change of neutron's database, for ever. What fails is logged and tried again."""
    place = here()
    reader, applier = Reader(place.directory("db") / "neutron.db"), Applier(place)
    seen = None
    while True:
        version = reader.version()
        if version == seen:
            time.sleep(LOOK_SECONDS)
            continue
        try:
            plan = reader.read()
            applier.apply(plan)
            report(plan)
            seen = version
        except Exception:
            LOG.exception("the fabric could not be brought to its plan; trying again")
            time.sleep(RETRY_SECONDS)


def report(plan: Plan) -> None:
    """Let neutron's API say of floating IPs and router ports what the fabric has made of them."""
    if not (plan.floating_active or plan.floating_down or plan.ports_down):
        return
    admin, core = context.get_admin_context(), directory.get_plugin()
    routing = directory.get_plugin(plugin_constants.L3)
    for floating in plan.floating_active:
        routing.update_floatingip_status(admin, floating, constants.FLOATINGIP_STATUS_ACTIVE)
    for floating in plan.floating_down:
        routing.update_floatingip_status(admin, floating, constants.FLOATINGIP_STATUS_DOWN)
    for port in plan.ports_down:
        core.update_port_status(admin, port, constants.PORT_STATUS_ACTIVE)
