"""The steps that give a server another size: taken, proved in the guest, then kept, or else given back."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from orchestrator import cloud_servers as servers
from orchestrator import runs, services
from orchestrator import steps_cloud as machine
from orchestrator import steps_guest as guest
from orchestrator import steps_resources as resources
from orchestrator.events import Size
from orchestrator.steps import Run, Write, nothing

TAKEN = "VERIFY_RESIZE"  # Nova's word for a new size that nobody has confirmed yet


def take_size(run: Run) -> Write:
    """Ask Nova for the new size and wait until the server has it, not yet confirmed."""
    _resize(run, run.parameters["flavor"])
    return nothing


def _resize(run: Run, flavor: str) -> None:
    server_id = resources.known(run, "server")
    server = machine.at_rest(run, server_id)
    if server.flavor == flavor:
        return
    servers.resize_server(run.cloud, server_id, servers.find_flavor(run.cloud, flavor))
    server = machine.at_rest(run, server_id)
    if server.flavor == flavor and server.status in (TAKEN, *machine.SETTLED):
        return
    # Nova gives up on a size for which it finds no host, and leaves the server as it was.
    raise machine.no_capacity(server.fault) if server.status in machine.SETTLED else machine.in_error(server)


def keep_size(run: Run) -> Write:
    """Confirm the new size."""
    server = _confirm(run)
    return lambda session: machine.tell_launched(session, run, server)


def _confirm(run: Run) -> servers.Server:
    server_id = resources.known(run, "server")
    if machine.at_rest(run, server_id).status == TAKEN:
        servers.confirm_resize(run.cloud, server_id)
    server = machine.at_rest(run, server_id, {*machine.SETTLED, "ERROR"})
    if server.status not in machine.SETTLED:
        raise machine.in_error(server)
    return server


def give_size_back(run: Run) -> Write:
    """The server as it was: what is not confirmed is reverted, what is gets its former size by another resize."""
    server_id, before = resources.known(run, "server"), run.specification["flavor"]
    server = machine.at_rest(run, server_id)
    if server.status == TAKEN and server.flavor != before:
        servers.revert_resize(run.cloud, server_id)
    elif server.flavor != before:
        _resize(run, before)
        _confirm(run)
    server = machine.at_rest(run, server_id, {*machine.SETTLED, "ERROR"})
    if server.status not in machine.SETTLED:
        raise machine.in_error(server)
    if guest.answers(run):
        guest.expect(run)
    return lambda session: machine.tell_launched(session, run, server)


def finish(run: Run) -> Write:
    """The service is of the new size, and its meters count it, from this instant."""
    at, wanted = datetime.now(UTC), run.parameters
    keys = ("offer", "offer_version", "flavor", "vcpus", "ram_mib")

    def change(session: Session) -> None:
        size = Size(vcpus=wanted["vcpus"], ram_mib=wanted["ram_mib"])
        resources.tell(session, run, "server", "resized", at, size)
        changes = {key: wanted[key] for key in keys}
        services.change_specification(session, run.owner.service_id, changes, flow_id=run.flow_id)

    return runs.finish_as(None, change)(run)
