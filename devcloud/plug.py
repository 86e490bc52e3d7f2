"""Plug a guest's network card into its Neutron network.

Every Neutron network is a network namespace of its own with one bridge `br0` in it; a guest's port is a veth pair
between that bridge and the guest's namespace. Nova's process plugs, the fabric (in Neutron's process) filters:
until the fabric has loaded a port's rules, the network's default is to drop, so a port is never open by accident.
Standard library only: nova's driver, the fabric and the command all import this module.
"""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BRIDGE = "br0"
NETNS_DIR = Path("/run/netns")
LOCK = Path("/run/lock/clocher-devcloud-plug")
TIMEOUT = 20  # seconds that one `ip` or `nft` may take


class PlugError(RuntimeError):
    """`ip` or `nft` refused what we asked; the message holds its words."""


def prefix(instance: int) -> str:
    """The start of every host object's name of this instance."""
    return f"clo{instance}"


def network_ns(instance: int, network_id: str) -> str:
    """The namespace that holds a network's bridge."""
    return f"{prefix(instance)}-net-{network_id[:8]}"


def router_ns(instance: int, router_id: str) -> str:
    """The namespace of a router."""
    return f"{prefix(instance)}-rtr-{router_id[:8]}"


def guest_ns(instance: int, server_id: str) -> str:
    """The namespace of a guest."""
    return f"{prefix(instance)}-vm-{server_id[:8]}"


def port_device(instance: int, port_id: str) -> str:
    """The bridge's side of a port's veth (15 characters at most: the kernel's limit)."""
    return f"c{instance}p{port_id.replace('-', '')[:10]}"


def run(*command: str, text: str | None = None) -> str:
    """Run a command, feed it `text`, return its output; PlugError when it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        raise PlugError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def namespaces(start: str) -> list[str]:
    """Names of the network namespaces that begin with `start`."""
    if not NETNS_DIR.is_dir():
        return []
    return sorted(path.name for path in NETNS_DIR.iterdir() if path.name.startswith(start))


def devices(namespace: str) -> list[str]:
    """Names of the interfaces in a namespace."""
    lines = run("ip", "-n", namespace, "-o", "link", "show").splitlines()
    return [line.split(": ")[1].partition("@")[0] for line in lines]


@contextmanager
def locked() -> Iterator[None]:
    """One change at a time, among all processes of this machine."""
    with LOCK.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def make_namespace(name: str) -> bool:
    """Make a namespace with its loopback up; False when it was there."""
    if (NETNS_DIR / name).exists():
        return False
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    return True


# The kernel shows bridged packets to the `inet` chains of this namespace only with nf_call_iptables on the bridge;
# dropping by default here is what keeps a port shut until the fabric has loaded the rules of its security groups.
CLOSED = """
table inet clocher {
  chain forward {
    type filter hook forward priority 0; policy drop;
  }
}
"""


def make_network(instance: int, network_id: str) -> str:
    """Make a network's namespace and bridge if missing; returns the namespace. Call it under `locked()`."""
    namespace = network_ns(instance, network_id)
    if make_namespace(namespace):
        run("ip", "netns", "exec", namespace, "nft", "-f", "-", text=CLOSED)
    if BRIDGE not in devices(namespace):
        run(
            "ip",
            "-n",
            namespace,
            "link",
            "add",
            BRIDGE,
            "type",
            "bridge",
            "nf_call_iptables",
            "1",
            "nf_call_ip6tables",
            "1",
        )
        run("ip", "-n", namespace, "link", "set", BRIDGE, "up")
    return namespace


def plug(instance_no: int, network_id: str, port_id: str, mac: str, guest_ns: str, mtu: int = 1500) -> str:
    """Join a port to its network and to the guest's namespace, which must exist.

    Returns the interface's name in the guest (`eth0`, `eth1`…, in the order of plugging), up, with the port's MAC and
    no address: addresses are the caller's. Called again for a port that is plugged there, it changes nothing.
    """
    device = port_device(instance_no, port_id)
    with locked():
        namespace = make_network(instance_no, network_id)
        inside = devices(guest_ns)
        if device in devices(namespace):
            name = _peer(namespace, device, guest_ns)
            if name:
                return name
            run("ip", "-n", namespace, "link", "delete", device)
        name = next(f"eth{i}" for i in range(64) if f"eth{i}" not in inside)
        run(
            "ip",
            "-n",
            namespace,
            "link",
            "add",
            device,
            "mtu",
            str(mtu),
            "type",
            "veth",
            "peer",
            "name",
            name,
            "address",
            mac,
            "mtu",
            str(mtu),
            "netns",
            guest_ns,
        )
        run("ip", "-n", guest_ns, "link", "set", name, "up")
        run("ip", "-n", namespace, "link", "set", device, "master", BRIDGE, "up")
    return name


def unplug(port_id: str, instance_no: int | None = None) -> None:
    """Remove a port's veth wherever it is; nothing to do when it is not plugged."""
    with locked():
        for number in range(10) if instance_no is None else (instance_no,):
            device = port_device(number, port_id)
            for namespace in namespaces(f"{prefix(number)}-net-"):
                if device in devices(namespace):
                    run("ip", "-n", namespace, "link", "delete", device)


def _peer(namespace: str, device: str, guest: str) -> str | None:
    """The name of `device`'s other end if that end is in `guest`."""
    other = run("ip", "netns", "exec", namespace, "cat", f"/sys/class/net/{device}/iflink").strip()
    for line in run("ip", "-n", guest, "-o", "link", "show").splitlines():
        index, name = line.split(": ")[:2]
        if index == other:
            return name.partition("@")[0]
    return None
