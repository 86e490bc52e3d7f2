"""Cinder's driver for volumes that are sparse files. Nova's side (devcloud.guest_disks) puts loop devices on them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from cinder import exception, interface
from cinder.volume import driver, volume_utils
from oslo_config import cfg

from devcloud import guest_disks

CONF = cfg.CONF
GIB = 1 << 30
COPY_SECONDS = 600
TOTAL_GIB = 2000  # what the dev cloud pretends to have; the files are sparse


@interface.volumedriver
class FileVolumeDriver(driver.VolumeDriver):
    """One file per volume in `<state_path>/volumes`, one per snapshot in `<state_path>/snapshots`."""

    VERSION = "1.0"

    def check_for_setup_error(self) -> None:
        for directory in (self._home("volumes"), self._home("snapshots")):
            directory.mkdir(parents=True, exist_ok=True)

    def get_volume_stats(self, refresh: bool = False) -> dict[str, Any]:
        return {
            "volume_backend_name": self.configuration.safe_get("volume_backend_name"),
            "vendor_name": "Clocher",
            "driver_version": self.VERSION,
            "storage_protocol": "file",
            "total_capacity_gb": TOTAL_GIB,
            "free_capacity_gb": TOTAL_GIB,
            "reserved_percentage": 0,
            "thin_provisioning_support": True,
            "thick_provisioning_support": False,
            "max_over_subscription_ratio": "20.0",
            "provisioned_capacity_gb": 0,
            "multiattach": False,
            "QoS_support": False,
            "online_extend_support": True,
        }

    # --- volumes

    def create_volume(self, volume: Any) -> None:
        with self._path(volume).open("xb") as file:
            file.truncate(volume.size * GIB)

    def delete_volume(self, volume: Any) -> None:
        path = self._path(volume)
        guest_disks.close_loop(path)
        path.unlink(missing_ok=True)

    def extend_volume(self, volume: Any, new_size: int) -> None:
        """Grow the file; Nova tells the guest when the volume is attached."""
        with self._path(volume).open("r+b") as file:
            file.truncate(new_size * GIB)

    def create_cloned_volume(self, volume: Any, src_vref: Any) -> None:
        self._copy(self._path(src_vref), self._path(volume), volume.size)

    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        self._copy(self._snapshot_path(snapshot), self._path(volume), volume.size)

    # --- snapshots

    def create_snapshot(self, snapshot: Any) -> None:
        """The volume as it is: of one that is in use, what a power cut would leave."""
        self._copy(self._path(snapshot.volume), self._snapshot_path(snapshot), snapshot.volume_size)

    def delete_snapshot(self, snapshot: Any) -> None:
        self._snapshot_path(snapshot).unlink(missing_ok=True)

    def revert_to_snapshot(self, context: Any, volume: Any, snapshot: Any) -> None:
        self._copy(self._snapshot_path(snapshot), self._path(volume), volume.size)

    # --- images

    def clone_image(
        self, context: Any, volume: Any, image_location: Any, image_meta: Any, image_service: Any
    ) -> tuple[dict[str, Any], bool]:
        """Fill a volume from a raw image; anything else is left to Cinder, which needs qemu-img for it."""
        if image_meta.get("disk_format") != "raw":
            return {}, False
        with self._path(volume).open("wb") as file:
            image_service.download(context, image_meta["id"], file)
            if file.tell() > volume.size * GIB:
                raise exception.ImageUnacceptable(image_id=image_meta["id"], reason=f"larger than {volume.size} GiB")
            file.truncate(volume.size * GIB)
        return {}, True

    def copy_volume_to_image(self, context: Any, volume: Any, image_service: Any, image_meta: Any) -> None:
        self._flush(self._path(volume))
        volume_utils.upload_volume(context, image_service, image_meta, str(self._path(volume)), volume)

    # --- connections

    def ensure_export(self, context: Any, volume: Any) -> None:
        """A file needs no export."""

    def create_export(self, context: Any, volume: Any, connector: Any) -> None:
        """A file needs no export."""

    def remove_export(self, context: Any, volume: Any) -> None:
        """A file needs no export."""

    def initialize_connection(self, volume: Any, connector: Any, **options: Any) -> dict[str, Any]:
        return {
            "driver_volume_type": "clocher_file",
            "data": {"volume_id": volume.id, "device_path": str(self._path(volume)), "access_mode": "rw"},
        }

    def terminate_connection(self, volume: Any, connector: Any, **options: Any) -> None:
        """Nova's side releases the loop device."""

    # --- files

    def _home(self, kind: str) -> Path:
        return Path(CONF.state_path) / kind

    def _path(self, volume: Any) -> Path:
        return self._home("volumes") / str(volume.id)

    def _snapshot_path(self, snapshot: Any) -> Path:
        return self._home("snapshots") / str(snapshot.id)

    def _copy(self, source: Path, target: Path, size: int) -> None:
        """Copy what is written, not the holes, then grow to `size` GiB."""
        self._flush(source)
        try:
            subprocess.run(
                ["cp", "--sparse=always", "--reflink=auto", str(source), str(target)],
                check=True,
                capture_output=True,
                timeout=COPY_SECONDS,
            )
            with target.open("r+b") as file:
                file.truncate(size * GIB)
        except (OSError, subprocess.SubprocessError):
            target.unlink(missing_ok=True)
            raise

    def _flush(self, path: Path) -> None:
        loop = guest_disks.find_loop(path)
        if loop:
            subprocess.run(["blockdev", "--flushbufs", loop], check=True, capture_output=True, timeout=COPY_SECONDS)
