"""Nova's driver for guests under systemd-nspawn. Nova loads it as `nova.virt.nspawn.NspawnDriver`.

It keeps nothing in memory: what a guest is lies in its directory, so a restarted nova-compute finds its guests running.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

import nova.conf
from nova import exception
from nova.compute import power_state, task_states
from nova.image import glance
from nova.virt import hardware
from oslo_log import log as logging

from devcloud import guest as guests
from devcloud import guest_cgroup, guest_disks, guest_images, guest_network, plug
from devcloud.guest import Guest, GuestError, Spec
from devcloud.novavirt import translate
from devcloud.novavirt.host import NspawnHost
from devcloud.novavirt.watch import Watch
from devcloud.place import here

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class NspawnDriver(NspawnHost):
    """See nova.virt.driver.ComputeDriver for what each method promises."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi)
        self._number = here().number
        self._images = self._home.parent / "images"
        self._watch = Watch(self.emit_event)

    # --- starting

    def init_host(self, host: str) -> None:
        self._host = host
        for directory in (self._home, self._images):
            directory.mkdir(parents=True, exist_ok=True)
        for guest in self._guests():
            self._watch.follow(guest)

    def process_instances_at_startup(self, context: Any, instances: Any) -> Any:
        """Also take away guests that Nova no longer has: deleted as this process was down."""
        known = {instance.uuid for instance in instances}
        for guest in self._guests():
            if guest.directory.name not in known:
                LOG.warning("removing guest %s: no instance has its id", guest.directory.name)
                self._remove(guest, [])
        return instances

    # --- what there is

    def _guest(self, instance: Any) -> Guest:
        guest = Guest(self._home / instance.uuid)
        if not guest.exists():
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        return guest

    def list_instance_uuids(self) -> list[str]:
        return [guest.directory.name for guest in self._guests()]

    def list_instances(self) -> list[str]:
        return self.list_instance_uuids()

    def instance_exists(self, instance: Any) -> bool:
        return Guest(self._home / instance.uuid).exists()

    def get_info(self, instance: Any, use_cache: bool = True) -> Any:
        guest = self._guest(instance)
        if not guest.is_running():
            state = power_state.SHUTDOWN
        else:
            state = power_state.PAUSED if guest_cgroup.is_frozen(guest.read().group) else power_state.RUNNING
        return hardware.InstanceInfo(state=state, internal_id=instance.uuid)

    def get_console_output(self, context: Any, instance: Any) -> bytes:
        return self._guest(instance).console_tail().encode()

    # --- from nothing to a running guest, and back

    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: str | None,
        allocations: Any,
        network_info: Any = None,
        block_device_info: Any = None,
        power_on: bool = True,
        accel_info: Any = None,
    ) -> None:
        image = self._fetch(context, instance)
        guest = Guest(self._home / instance.uuid)
        shutil.rmtree(guest.directory, ignore_errors=True)
        guest.upper.mkdir(parents=True)
        translate.write_identity(guest.upper, instance, network_info, injected_files, admin_password)
        name = plug.guest_ns(self._number, instance.uuid)
        flavor = instance.flavor
        guest.write(Spec(instance.uuid, name, name, str(image), [], flavor.memory_mb, flavor.vcpus))
        if power_on:
            self._start(guest, network_info, block_device_info)

    def _fetch(self, context: Any, instance: Any) -> Path:
        """The instance's image as a file of ours, downloaded once."""
        if not instance.image_ref:
            raise exception.ImageUnacceptable(
                image_id="", reason="a guest of this cloud boots from an image, not a volume"
            )
        path = self._images / f"{instance.image_ref}.squashfs"
        if not path.exists():
            draft = path.with_suffix(f".{uuid.uuid4().hex}.part")
            try:
                glance.API().download(context, instance.image_ref, dest_path=str(draft))
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
        return path

    def _start(self, guest: Guest, network_info: Any, block_device_info: Any) -> None:
        """Bring up what is under the guest (layers, network, disks), then the guest."""
        spec = guest.read()
        try:
            spec.layers = guest_images.layers(Path(spec.image))
        except guest_images.ImageFormatError as problem:
            raise exception.ImageUnacceptable(image_id=Path(spec.image).stem, reason=str(problem)) from problem
        spec.disks = translate.disks(block_device_info)
        guest.write(spec)
        if not guest.is_running():
            translate.write_resolver(guest.upper, network_info)
        guest_network.connect(self._number, spec.namespace, translate.cards(network_info))
        guests.start(guest)
        self._watch.follow(guest)

    def destroy(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        **_: Any,
    ) -> None:
        ports = [card.port_id for card in translate.cards(network_info)]
        guest = Guest(self._home / instance.uuid)
        guests.kill(guest)
        if destroy_disks:
            self._remove(guest, ports)
        else:
            self._disconnect(guest, instance.uuid, ports)

    cleanup = destroy  # what Nova calls after a build that failed: nothing is where it was

    def _remove(self, guest: Guest, ports: list[str]) -> None:
        """Leave nothing of a guest."""
        guests.kill(guest)
        self._disconnect(guest, guest.directory.name, ports)
        if guest.directory.exists():
            shutil.rmtree(guest.directory)

    def _disconnect(self, guest: Guest, server_id: str, ports: list[str]) -> None:
        for disk in guest.read().disks if guest.exists() else ():
            guest_disks.close_loop(Path(disk.path))
        guest_network.disconnect(self._number, plug.guest_ns(self._number, server_id), ports)

    # --- power

    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        guests.stop(self._guest(instance), timeout)

    def power_on(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        self._start(self._guest(instance), network_info, block_device_info)

    def reboot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        reboot_type: str,
        block_device_info: Any = None,
        bad_volumes_callback: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        guest = self._guest(instance)
        if reboot_type == "SOFT":
            try:
                guests.reboot(guest)
                return
            except GuestError as problem:
                LOG.warning("soft reboot did not do, resetting: %s", problem, instance=instance)
        guests.stop(guest, 0)
        self._start(guest, network_info, block_device_info)

    def resume_state_on_host_boot(
        self, context: Any, instance: Any, network_info: Any, share_info: Any, block_device_info: Any = None
    ) -> None:
        self._start(self._guest(instance), network_info, block_device_info)

    def pause(self, instance: Any) -> None:
        guest_cgroup.freeze(self._guest(instance).read().group, True)

    def unpause(self, instance: Any) -> None:
        guest_cgroup.freeze(self._guest(instance).read().group, False)

    # --- disks and cards

    def default_root_device_name(self, instance: Any, image_meta: Any, root_bdm: Any) -> str:
        return "/dev/vda"

    def attach_volume(
        self,
        context: Any,
        connection_info: Any,
        instance: Any,
        mountpoint: str,
        disk_bus: Any = None,
        device_type: Any = None,
        encryption: Any = None,
    ) -> None:
        guest_disks.attach(self._guest(instance), translate.disk(connection_info, mountpoint))

    def detach_volume(
        self, context: Any, connection_info: Any, instance: Any, mountpoint: str, encryption: Any = None
    ) -> None:
        try:
            guest_disks.detach(self._guest(instance), connection_info["data"]["volume_id"])
        except GuestError as problem:
            raise exception.DeviceDetachFailed(device=mountpoint, reason=str(problem)) from problem

    def extend_volume(self, context: Any, connection_info: Any, instance: Any, requested_size: int) -> None:
        guest_disks.grow(Path(connection_info["data"]["device_path"]))

    def attach_interface(self, context: Any, instance: Any, image_meta: Any, vif: Any) -> None:
        spec = self._guest(instance).read()
        guest_network.add(self._number, spec.namespace, translate.card(vif), default_route=False)

    def detach_interface(self, context: Any, instance: Any, vif: Any) -> None:
        plug.unplug(vif["id"], self._number)

    # --- another size, on the same host

    def migrate_disk_and_power_off(
        self,
        context: Any,
        instance: Any,
        dest: str,
        flavor: Any,
        network_info: Any,
        block_device_info: Any = None,
        timeout: int = 0,
        retry_interval: int = 0,
    ) -> None:
        guests.stop(self._guest(instance), timeout)

    def finish_migration(
        self,
        context: Any,
        migration: Any,
        instance: Any,
        disk_info: Any,
        network_info: Any,
        image_meta: Any,
        resize_instance: bool,
        allocations: Any,
        block_device_info: Any = None,
        power_on: bool = True,
        share_info: Any = None,
    ) -> None:
        self._take_size(instance, network_info, block_device_info, power_on)

    def finish_revert_migration(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        migration: Any,
        block_device_info: Any = None,
        power_on: bool = True,
        share_info: Any = None,
    ) -> None:
        self._take_size(instance, network_info, block_device_info, power_on)

    def confirm_migration(self, context: Any, migration: Any, instance: Any, network_info: Any) -> None:
        """Nothing was left behind: the guest never moved."""

    def _take_size(self, instance: Any, network_info: Any, block_device_info: Any, power_on: bool) -> None:
        guest = self._guest(instance)
        spec = guest.read()
        spec.memory_mib, spec.vcpus = instance.flavor.memory_mb, instance.flavor.vcpus
        guest.write(spec)
        if power_on:
            self._start(guest, network_info, block_device_info)

    def check_instance_shared_storage_local(self, context: Any, instance: Any) -> dict[str, str]:
        """Nova asks before it destroys the disks of a resize that is taken back: here both sides are one directory."""
        return {"directory": str(self._home / instance.uuid)}

    def check_instance_shared_storage_remote(self, context: Any, data: dict[str, str]) -> bool:
        return Path(data["directory"]).exists()

    def check_instance_shared_storage_cleanup(self, context: Any, data: dict[str, str]) -> None:
        """Nothing was made for the question."""

    # --- the guest's files as an image

    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Any) -> None:
        guest, api = self._guest(instance), glance.API()
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        with tempfile.TemporaryDirectory(dir=self._images, prefix="snapshot-") as scratch:
            target = Path(scratch) / "image.squashfs"
            self._pack(guest, target)
            update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
            found = api.get(context, image_id)
            described = {
                "name": found["name"],
                "status": "active",
                "disk_format": "raw",
                "container_format": "bare",
                "properties": found.get("properties", {}),
            }
            with target.open("rb") as data:
                api.update(context, image_id, described, data, purge_props=False)

    def _pack(self, guest: Guest, target: Path) -> None:
        status, spec = guest.status(), guest.read()
        if status:
            guest_images.pack(guest.root, status["supervisor"], target)
        else:
            below = guest_images.layers(Path(spec.image))
            guest_images.pack_layers(guest.upper, guest.directory / "work", below, target)
