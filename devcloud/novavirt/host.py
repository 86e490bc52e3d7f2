"""What the compute host tells Nova of itself. It pretends to be large: quotas shall be the limit, not this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

import nova.conf
import os_resource_classes as orc
from nova.objects import fields
from nova.virt import driver
from nova.virt.node import get_local_node_uuid
from oslo_serialization import jsonutils

from devcloud.guest import Guest

CONF = nova.conf.CONF
VCPUS, MEMORY_MIB, DISK_GB = 64, 262144, 2000
HYPERVISOR_VERSION = 252


class NspawnHost(driver.ComputeDriver):
    """The part of the driver that is about the host and not about one guest."""

    capabilities: ClassVar[dict[str, bool]] = {
        **driver.ComputeDriver.capabilities,
        "supports_attach_interface": True,
        "supports_extend_volume": True,
        "supports_migrate_to_same_host": True,
        "supports_image_type_raw": True,
    }

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi)
        self._home = Path(CONF.instances_path)
        self._host = ""

    def _guests(self) -> list[Guest]:
        return [guest for path in sorted(self._home.iterdir()) if (guest := Guest(path)).exists()]

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        return [self._host]

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        specs = [guest.read() for guest in self._guests()]
        return {
            "uuid": get_local_node_uuid(),
            "vcpus": VCPUS,
            "memory_mb": MEMORY_MIB,
            "local_gb": DISK_GB,
            "vcpus_used": sum(spec.vcpus for spec in specs),
            "memory_mb_used": sum(spec.memory_mib for spec in specs),
            "local_gb_used": 0,
            "disk_available_least": shutil.disk_usage(self._home).free >> 30,
            "hypervisor_type": "nspawn",
            "hypervisor_version": HYPERVISOR_VERSION,
            "hypervisor_hostname": nodename,
            "cpu_info": jsonutils.dumps({"arch": os.uname().machine}),
            "supported_instances": [(fields.Architecture.X86_64, fields.HVType.LXC, fields.VMMode.EXE)],
            "numa_topology": None,
        }

    def update_provider_tree(self, provider_tree: Any, nodename: str, allocations: Any = None) -> None:
        ratios = self._get_allocation_ratios(provider_tree.data(nodename).inventory)
        totals = {orc.VCPU: VCPUS, orc.MEMORY_MB: MEMORY_MIB, orc.DISK_GB: DISK_GB}
        provider_tree.update_inventory(
            nodename,
            {
                name: {
                    "total": total,
                    "min_unit": 1,
                    "max_unit": total,
                    "step_size": 1,
                    "reserved": 0,
                    "allocation_ratio": ratios[name],
                }
                for name, total in totals.items()
            },
        )

    def get_host_uptime(self) -> str:
        return f"up {float(Path('/proc/uptime').read_text().split()[0]):.0f} seconds"

    def get_host_ip_addr(self) -> str:
        return str(CONF.my_ip)

    def get_volume_connector(self, instance: Any) -> dict[str, Any]:
        return {"ip": CONF.my_block_storage_ip, "host": self._host, "initiator": self._host}
