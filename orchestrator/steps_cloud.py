"""The steps that make, change and remove a service's server, its network card and its public address.

Each one looks for a row, then for the service's tag in the cloud, and adopts what it finds before it makes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.orm import Session

from orchestrator import cloud_network as network
from orchestrator import cloud_routing as routing
from orchestrator import cloud_servers as servers
from orchestrator import ssh
from orchestrator import steps_resources as resources
from orchestrator.cloud import Cloud
from orchestrator.errors import CloudError, CloudRefused, CloudUnavailable
from orchestrator.events import Size
from orchestrator.steps import Run, Write, nothing

SETTLED = ("ACTIVE", "SHUTOFF")  # nothing is being done to a server, and nothing waits for a decision


def check_place(run: Run) -> Write:
    """The member has a project and a network, and the cloud lets us in."""
    network.check_network(run.cloud, run.place["network_id"])
    return nothing


def make_port(run: Run) -> Write:
    """The network card: it has its address at once, so that a public address can lead to it early."""
    port = resources.find(run, "port", network.get_port, network.find_port)
    if port is None:
        place = run.place
        open_to_all = run.specification.get("stack", {}).get("public_ports", ())
        port = network.create_port(
            run.cloud,
            run.facts["name"],
            place["network_id"],
            place["security_group_id"],
            tag=run.tag(),
            doors=[routing.open_door(run.cloud, number) for number in open_to_all],
        )
    recorded, address = resources.recorded(run, "port", port, Size()), port.address

    def write(session: Session) -> None:
        recorded(session)
        resources.change_service(session, run, address=address)

    return write


def make_server(run: Run) -> Write:
    """Ask for the server on its port; it builds while the next steps run. Its meters wait for `launched`."""
    server = resources.find(run, "server", servers.get_server, servers.find_server)
    server_id = server.id if server else _create_server(run)
    return lambda session: resources.keep(session, run, "server", server_id)


def _create_server(run: Run) -> str:
    return servers.create_server(
        run.cloud,
        run.facts["name"],
        tag=run.tag(),
        flavor_id=servers.find_flavor(run.cloud, run.specification["flavor"]),
        image_id=servers.find_image(run.cloud, run.specification["image"]),
        port_id=resources.known(run, "port"),
        keypair=servers.import_keypair(run.cloud, "clocher", ssh.public_key(run.runtime.settings)),
    )


def make_address(run: Run) -> Write:
    """A public address that leads to the port from the call that creates it."""
    found = resources.find(run, "floating_ip", network.get_floating_ip, network.find_floating_ip)
    if found is None:
        external = network.find_network(run.cloud, run.runtime.settings.external_network)
        port = resources.known(run, "port")
        found = network.create_floating_ip(run.cloud, external, port, tag=run.tag())
    recorded, address = resources.recorded(run, "floating_ip", found, Size()), found.address

    def write(session: Session) -> None:
        recorded(session)
        resources.change_service(session, run, public_address=address)

    return write


def wait_until_built(run: Run) -> Write:
    """Wait until Nova runs the server; the event is at Nova's own instant, so that both count the same hours."""
    server_id = resources.known(run, "server")
    server = resources.wait(
        run, lambda: servers.get_server(run.cloud, server_id), lambda found: found.status != "BUILD"
    )
    if server.status != "ACTIVE" or server.launched_at is None:
        raise _not_built(server)
    return lambda session: tell_launched(session, run, server)


def tell_launched(session: Session, run: Run, server: servers.Server) -> None:
    """Write when Nova says that the server began to run; a resize or a rebuild is a new beginning to it."""
    if server.launched_at:
        resources.tell(session, run, "server", "launched", server.launched_at, server_size(run))


def server_size(run: Run) -> Size:
    """What the server is made of by the service's specification, as it was when the flow began."""
    return Size(run.specification["vcpus"], run.specification["ram_mib"])


def _not_built(server: servers.Server) -> CloudError:
    if "No valid host" in server.fault:
        return no_capacity(server.fault)
    return CloudError(
        "server_not_built",
        "Le nuage n’a pas pu construire le serveur.",
        "Recommencez ; si cela se répète, prévenez la DSI.",
        detail=server.fault or f"server {server.id} is {server.status}",
    )


def no_capacity(detail: str) -> CloudRefused:
    """The error for a size for which no host has room."""
    return CloudRefused(
        "cloud_no_capacity",
        "Le nuage n’a plus assez de place pour ce serveur.",
        "Choisissez une taille plus petite ou demandez à la DSI quand il y en aura.",
        detail=detail,
    )


def remove_server(run: Run) -> Write:
    """Delete the server and wait until Nova no longer knows it; its host keys are worth nothing then."""
    ssh.forget(run.runtime.settings, UUID(run.facts["ref"]))
    return resources.remove(run, "server", servers.find_server, servers.get_server, servers.delete_server)


def remove_address(run: Run) -> Write:
    """Give the public address back."""
    removed = resources.remove(
        run, "floating_ip", network.find_floating_ip, network.get_floating_ip, network.delete_floating_ip
    )

    def write(session: Session) -> None:
        removed(session)
        resources.change_service(session, run, public_address=None)

    return write


def remove_port(run: Run) -> Write:
    """Delete the network card."""
    return resources.remove(run, "port", network.find_port, network.get_port, network.delete_port)


def stop_server(run: Run) -> Write:
    """Stop the server and wait until it is off."""
    return _switch(run, servers.stop_server, "SHUTOFF")


def start_server(run: Run) -> Write:
    """Start the server and wait until it runs."""
    return _switch(run, servers.start_server, "ACTIVE")


def reboot_server(run: Run) -> Write:
    """Restart the server, as asked or by pulling the plug, and wait until it runs; one that was cut is done again.

    A server that did not come up is tried again, then always the hard way: that is what mends it.
    """
    server_id, hard = resources.known(run, "server"), bool(run.parameters.get("hard"))
    server = at_rest(run, server_id)
    # One that is off, or in error, only comes back the hard way.
    servers.reboot_server(run.cloud, server_id, hard=hard or server.status != "ACTIVE")
    server = at_rest(run, server_id)
    if server.status != "ACTIVE":
        error = in_error(server)
        raise CloudUnavailable(error.code, error.sentence, error.action, detail=error.detail)
    return nothing


def name_server(run: Run) -> Write:
    """Give the server its new name in the cloud."""
    servers.name_server(run.cloud, resources.known(run, "server"), run.parameters["name"])
    return nothing


def unname_server(run: Run) -> Write:
    """Give the server its former name back."""
    servers.name_server(run.cloud, resources.known(run, "server"), run.facts["name"])
    return nothing


def _switch(run: Run, ask: Callable[[Cloud, str], None], wanted: str) -> Write:
    server_id = resources.known(run, "server")
    server = at_rest(run, server_id)
    if server.status != wanted:
        ask(run.cloud, server_id)
        server = at_rest(run, server_id, {wanted, "ERROR"})
    if server.status != wanted:
        raise in_error(server)
    return nothing


def at_rest(run: Run, server_id: str, statuses: set[str] | None = None) -> servers.Server:
    """The server, once Nova does nothing to it, in one of the statuses if they are given."""
    return resources.wait(
        run,
        lambda: servers.get_server(run.cloud, server_id),
        lambda found: found.task_state is None and (statuses is None or found.status in statuses),
    )


def in_error(server: servers.Server) -> CloudError:
    """The error for a server that did not come to the state that was asked for."""
    return CloudError(
        "server_in_error",
        "Le nuage n’a pas pu changer l’état du serveur.",
        "Prévenez la DSI.",
        detail=server.fault or f"server {server.id} is {server.status}",
    )
