"""What is done to a service, each told as the sentence that describes it."""

from __future__ import annotations

from functools import partial

from sqlalchemy.orm import Session

from orchestrator import backups, drift, runs, service_secrets, services, usage
from orchestrator import steps_backups as keeping
from orchestrator import steps_cloud as cloud
from orchestrator import steps_copying as copying
from orchestrator import steps_drift as drifting
from orchestrator import steps_entry as entry
from orchestrator import steps_exports as leaving
from orchestrator import steps_guest as guest
from orchestrator import steps_moving as moving
from orchestrator import steps_proving as proving
from orchestrator import steps_restoring as restoring
from orchestrator import steps_sizes as sizes
from orchestrator import steps_snapshots as snapshots
from orchestrator import steps_stack as stack
from orchestrator import steps_upgrading as upgrading
from orchestrator import steps_volumes as volumes
from orchestrator.steps import Run


def create_server(run: Run) -> None:
    """Project ready → volume, port, server asked for → address while it builds → configured → healthy → active.

    A copy is given the data of another service before it is asked whether it is well.
    """
    _build(run)
    if copying.copies(run):
        _bring_over(run)
    if run.specification["play"]:
        _check(run)
    _lead(run)
    run.step("activate", runs.finish_as("active"))


def move_service(run: Run) -> None:
    """Built at its new member's while the old one serves → the old one rests → its last data is carried over → the new
    one is well, serves, and is its member's from that instant on; the old one is deleted.
    """
    _build(run)
    run.step("close", moving.close, undo=moving.reopen)
    run.step("off", entry.tell)
    run.step("count", moving.count)
    run.step("backup", moving.back_up)
    _bring_over(run)
    _check(run)
    _lead(run)
    run.step("activate", runs.finish_as("active", partial(moving.hand_over, run)))


def _bring_over(run: Run) -> None:
    """The data came with the passwords of there: the play puts those of here in their place."""
    run.step("bring", copying.bring_over)
    run.step("adapt", stack.configure)


def _build(run: Run) -> None:
    wanted = run.specification
    run.step("project", cloud.check_place)
    if wanted["disk_gib"]:
        run.step("volume", partial(volumes.make_volume, disk_gib=int(wanted["disk_gib"])), undo=volumes.remove_volume)
    run.step("port", cloud.make_port, undo=cloud.remove_port)
    run.step("server", cloud.make_server, undo=cloud.remove_server)
    if wanted["public_address"]:
        run.step("address", cloud.make_address, undo=cloud.remove_address)
    run.step("build", cloud.wait_until_built)
    if wanted["disk_gib"]:
        run.step("attach", volumes.attach_volume)
    if stack.runs_one(run):
        run.step("secrets", stack.make_secrets, undo=stack.forget_secrets)
    if wanted["play"]:
        run.step("configure", stack.configure, undo=entry.forget if entry.is_entry(run) else None)


def _check(run: Run) -> None:
    """The guest is well, and what runs on it."""
    run.step("health", guest.check_health)
    if stack.runs_one(run):
        run.step("answer", stack.check_health)


def _lead(run: Run) -> None:
    """The web finds the application at its name. No undo: the entry forgets what is no longer there by itself."""
    if entry.has_web(run):
        run.step("routes", entry.lead)
        run.step("url", entry.check_address)


def delete_server(run: Run) -> None:
    """Everything that the service has goes, whatever of it is still there; then its quota is free."""
    for snapshot_id in run.facts.get("snapshots", ()):
        run.step(f"snapshot {snapshot_id}", partial(snapshots.remove_with_service, snapshot_id=snapshot_id))
    if entry.has_web(run):
        run.step("routes", entry.tell)
    run.step("address", cloud.remove_address)
    run.step("server", cloud.remove_server)
    run.step("volume", volumes.remove_volume)
    for role in run.facts.get("volumes", ()):
        if role != volumes.MAIN:
            run.step(f"volume {role}", partial(volumes.remove_volume, role=role))
    run.step("port", cloud.remove_port)
    run.step("release", runs.finish_as("deleted", partial(_forget, run)))


def _forget(run: Run, session: Session) -> None:
    """Nothing is left that opens the application, nor its backups, nor leads to it."""
    service_secrets.forget(session, run.owner.service_id)
    backups.forget(session, run.owner.service_id)
    drift.forget(session, run.owner.service_id)
    entry.forget(run)(session)


def stop_server(run: Run) -> None:
    """The server stops; its meters go on at the price of a stopped one. Visitors of an application are told first."""
    if entry.has_web(run):
        run.step("routes", entry.tell)
    run.step("stop", cloud.stop_server)
    run.step("rest", runs.finish_as("stopped"))


def start_server(run: Run) -> None:
    """The server runs again, with the volumes that it was given or lost while it was off."""
    run.step("start", cloud.start_server)
    if run.specification["play"]:
        run.step("mount", guest.mount_volumes)
        _check(run)
    if entry.has_web(run):
        run.step("routes", entry.tell)
    run.step("activate", runs.finish_as("active"))


def reboot_server(run: Run) -> None:
    """The server restarts, by its own system or (`hard`) by pulling the plug."""
    run.step("reboot", cloud.reboot_server)
    if run.specification["play"]:
        _check(run)
    run.step("activate", runs.finish_as(None))


def resize_server(run: Run) -> None:
    """The server takes its new size, proves itself and keeps it; else it has the former one back."""
    run.step("resize", sizes.take_size, undo=sizes.give_size_back)
    if guest.answers(run):
        _check(run)
    run.step("confirm", sizes.keep_size)
    run.step("activate", sizes.finish)


def rename_server(run: Run) -> None:
    """Host name in the guest, name in the cloud, name of the service; an application's address goes with it."""
    name = run.parameters["name"]
    if run.specification["play"]:
        run.step("hostname", guest.rename, undo=guest.restore_name)
        run.step("health", partial(guest.check_health, hostname=name))
    run.step("name", cloud.name_server, undo=cloud.unname_server)

    if entry.has_web(run):
        run.step("rename", entry.take_name, undo=entry.give_name_back)
        run.step("readdress", partial(stack.configure, name=name), undo=stack.configure)
        run.step("answer", stack.check_health)
        _lead(run)

    def change(session: Session) -> None:
        services.rename(session, run.owner.service_id, name, flow_id=run.flow_id)

    run.step("activate", runs.finish_as(None, change))


def add_volume(run: Run) -> None:
    """A new volume, attached and, unless the server is off, mounted at `/srv/<role>`."""
    wanted = run.parameters
    role, gib = wanted["role"], int(wanted["disk_gib"])
    remove = partial(volumes.remove_volume, role=role)
    run.step("volume", partial(volumes.make_volume, role=role, disk_gib=gib), undo=remove)
    run.step("attach", partial(volumes.attach_volume, role=role), undo=partial(volumes.detach_volume, role=role))
    if guest.answers(run):
        run.step("mount", guest.mount_volumes, undo=partial(guest.mount_volumes, without=role))

    def change(session: Session) -> None:
        volumes.specify(session, run, role, gib, wanted.get("name"))

    run.step("activate", runs.finish_as(None, change))


def grow_volume(run: Run) -> None:
    """The volume grows, then its file system in the guest; one that is off does that when it starts."""
    run.step("extend", volumes.extend_volume)
    if guest.answers(run):
        run.step("mount", guest.mount_volumes)
    run.step("activate", runs.finish_as(None))


def remove_volume(run: Run) -> None:
    """The guest lets go of the volume, which is then detached and deleted with its data."""
    role = run.parameters["role"]
    run.step("check", volumes.check_free)
    if guest.answers(run):
        run.step("unmount", partial(guest.unmount_volume, role=role), undo=guest.mount_volumes)
    run.step("detach", partial(volumes.detach_volume, role=role), undo=partial(volumes.attach_volume, role=role))
    run.step("volume", partial(volumes.remove_volume, role=role))
    run.step("activate", runs.finish_as(None, lambda session: volumes.specify(session, run, role, 0)))


def add_address(run: Run) -> None:
    """A public address that leads to the server."""
    run.step("address", cloud.make_address, undo=cloud.remove_address)
    run.step("activate", runs.finish_as(None, partial(_specify, run, public_address=True)))


def remove_address(run: Run) -> None:
    """The public address is given back."""
    run.step("address", cloud.remove_address)
    run.step("activate", runs.finish_as(None, partial(_specify, run, public_address=False)))


def replace_keys(run: Run) -> None:
    """The member's account opens with these keys, and no others."""
    if run.specification["play"]:
        run.step("keys", guest.write_keys, undo=guest.restore_keys)
    run.step("activate", runs.finish_as(None, partial(_specify, run, ssh_keys=run.parameters["ssh_keys"])))


def snapshot_server(run: Run) -> None:
    """The guest writes all to its disks; then the server's own and each data volume are kept as they are."""
    _keep(run)
    run.step("ready", snapshots.finish)


def _keep(run: Run) -> None:
    if guest.answers(run):
        run.step("flush", guest.flush)
    for role in run.facts["volumes"]:
        run.step(
            f"keep {role}",
            partial(snapshots.make_volume_snapshot, volume=role),
            undo=partial(snapshots.remove_volume_snapshot, volume=role),
        )
    run.step("image", snapshots.make_image, undo=snapshots.remove_image)


def delete_snapshot(run: Run) -> None:
    """All that the snapshot is made of goes."""
    run.step("mark", snapshots.begin_removal)
    run.step("parts", partial(snapshots.remove_parts, snapshot_id=run.parameters["snapshot_id"]))
    run.step("release", snapshots.finish_removal)


def restore_server(run: Run) -> None:
    """The server is made anew from the snapshot, then configured as the service is today.

    Its data volumes stay, but for those (`volumes`) that are to be as they were too. What is there today is kept
    first where that was wished (`safety_id`).
    """
    run.step("check", snapshots.check_ready)
    if run.parameters.get("safety_id"):
        _keep(run)
        run.step("ready", snapshots.mark_ready)
    roles = run.parameters.get("volumes", [])
    if roles:
        _restore_volumes(run, roles)
    else:
        run.step("rebuild", snapshots.rebuild_server)
    if run.specification["play"]:
        run.step("configure", stack.configure)
        if roles:  # programs that began before their volumes were mounted
            run.step("reboot", cloud.reboot_server)
        _check(run)
    run.step("activate", lambda run: runs.finish_as(None, restoring.settle(run, roles=roles))(run))


def _restore_volumes(run: Run, roles: list[str]) -> None:
    """Server and volumes change while the server is off: no program of the guest stands in the way."""
    for role in roles:
        copy = partial(restoring.copy_volume, role=role)
        run.step(f"copy {role}", copy, undo=partial(volumes.remove_volume, role=restoring.new_role(run, role)))
    run.step("stop", cloud.stop_server, undo=cloud.start_server)
    for role in roles:
        detach, attach = partial(volumes.detach_volume, role=role), partial(volumes.attach_volume, role=role)
        run.step(f"detach {role}", detach, undo=attach)
    for role in roles:
        new = restoring.new_role(run, role)
        attach, detach = partial(volumes.attach_volume, role=new), partial(volumes.detach_volume, role=new)
        run.step(f"attach {role}", attach, undo=detach)
    run.step("replace", partial(restoring.change_places, roles=roles), undo=partial(restoring.change_back, roles=roles))
    run.step("rebuild", partial(snapshots.rebuild_server, status="SHUTOFF"))
    run.step("start", cloud.start_server, undo=cloud.stop_server)


def renew_secret(run: Run) -> None:
    """The application opens with a new secret, which may then be read; else it keeps the one it had."""
    run.step("secret", stack.propose_secret, undo=stack.withdraw_secret)
    run.step("configure", partial(stack.configure, renewed=run.parameters["secret"]), undo=stack.configure)
    _check(run)
    run.step("activate", runs.finish_as(None, partial(stack.adopt_secret, run)))


def change_parameters(run: Run) -> None:
    """The application is brought to its new answers where it is and proves itself; else it has the former ones back."""
    new = upgrading.as_wanted(run)
    new.step("configure", stack.configure, undo=stack.configure)
    _check(new)
    run.step("activate", runs.finish_as(None, partial(_specify, run, **run.parameters["wanted"])))


def check_drift(run: Run) -> None:
    """The guest is compared with its play, which changes nothing; what differs is written down."""
    run.step("compare", drifting.compare)
    run.step("activate", runs.finish_as(None))


def repair_drift(run: Run) -> None:
    """The guest's play is run again, and the guest is compared with it once more: that proves the repair."""
    run.step("configure", stack.configure)
    _check(run)
    run.step("compare", drifting.compare)
    run.step("activate", runs.finish_as(None))


def backup_service(run: Run) -> None:
    """The application puts a copy of its data into the vault, which then erases what need not be kept any longer."""
    run.step("vault", keeping.check_vault)
    run.step("count", keeping.count)
    run.step("backup", keeping.make)
    run.step("prune", keeping.prune)
    run.step("activate", runs.finish_as(None))


def restore_service(run: Run) -> None:
    """The application's data is what it was when it was backed up; what was written since is lost."""
    run.step("vault", keeping.check_backup)
    run.step("restore", keeping.bring_back)
    # What was set since that backup still holds: answers, passwords, for what the entry leads to certificates.
    run.step("configure", stack.configure)
    _check(run)
    run.step("activate", runs.finish_as("active"))


def restore_files(run: Run) -> None:
    """A machine's files come back beside those that are there."""
    run.step("vault", keeping.check_backup)
    run.step("restore", keeping.bring_back)
    run.step("activate", runs.finish_as(None))


def upgrade_service(run: Run) -> None:
    """Kept as it is → brought to its new version → healthy → of that version; else brought back to what was kept."""
    _keep(run)
    run.step("ready", snapshots.mark_ready)
    new = upgrading.as_wanted(run)
    new.step("secrets", stack.make_secrets)
    new.step("upgrade", partial(upgrading.tried, act=upgrading.upgrade), undo=upgrading.go_back)
    new.step("health", partial(upgrading.tried, act=guest.check_health))
    new.step("answer", partial(upgrading.tried, act=stack.check_health))
    run.step("activate", runs.finish_as(None, partial(_specify, run, **run.parameters["wanted"])))


def prove_backup(run: Run) -> None:
    """The backup is restored in a guest of its own, which is gone afterwards; the proof is dated on the backup."""
    run.step("vault", keeping.check_backup)
    run.step("trial", proving.try_out, undo=proving.give_up)
    run.step("activate", runs.finish_as(None))


def export_service(run: Run) -> None:
    """The application hands its data out, which becomes one archive that its member takes along."""
    run.step("export", leaving.hand_out)
    run.step("fetch", leaving.fetch, undo=leaving.discard)
    run.step("activate", runs.finish_as(None))


def count_service(run: Run) -> None:
    """The application counts what it holds of its trade; nothing else is done to it."""
    run.step("count", usage.count)
    run.step("activate", runs.finish_as(None))


def tend_vault(run: Run) -> None:
    """The vault lets in who is its client today, and deletes the repositories of those that are gone."""
    run.step("clients", keeping.let_clients_in)
    run.step("forget", keeping.forget_clients)
    run.step("activate", runs.finish_as(None))


def _specify(run: Run, session: Session, **changes: object) -> None:
    services.change_specification(session, run.owner.service_id, changes, flow_id=run.flow_id)
