"""Networks keep members apart, routers and floating IPs work from the host, security groups are enforced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from .conftest import Member, Run, address_of, allow, eventually, port_of

pytestmark = [pytest.mark.cloud, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
EFFECT_SECONDS = 3  # a change reaches the kernel within about one


@dataclass
class Town:
    """Two guests of one member and one of another, all reachable by SSH from the host."""

    ours: Member
    theirs: Member
    here: Any
    beside: Any
    away: Any


@pytest.fixture(scope="module")
def town(make_member: Callable[[str], Member], boot: Callable[..., Any]) -> Town:
    ours, theirs = make_member("10.241.1.0/24"), make_member("10.241.2.0/24")
    made = Town(ours, theirs, boot(ours), boot(ours), boot(theirs))
    for member in (ours, theirs):
        allow(member)
    return made


def hears(run: Run, address: str, command: str = "true") -> bool:
    return run(address, command).returncode == 0


def pings(run: Run, origin: Any, target: str, options: str = "") -> bool:
    """Does an echo go from a guest to an address and back? Python's own socket: the image has no ping."""
    script = (
        "import socket,struct,sys\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_RAW,1); s.settimeout(0.7)\n"
        "b=struct.pack('!BBHHH',8,0,0,7,1); c=sum(struct.unpack('!4H',b)); c=~((c>>16)+(c&65535))&65535\n"
        f"{options}\n"
        f"s.sendto(struct.pack('!BBHHH',8,0,c,7,1),('{target}',0))\n"
        "while s.recv(99)[20]!=0: pass\n"
    )
    return run(address_of(origin), f'sudo python3 -c "{script}"').returncode == 0


def test_the_host_reaches_a_guest_by_its_fixed_address(town: Town, run_in: Run) -> None:
    assert eventually(lambda: hears(run_in, address_of(town.here)), "SSH on the fixed address")


def test_a_floating_ip_leads_to_its_guest(town: Town, run_in: Run) -> None:
    cloud = town.ours.cloud
    public = cloud.network.create_ip(
        floating_network_id=cloud.network.find_network("public").id, port_id=port_of(town.ours, town.here).id
    )
    name = run_in(address_of(town.here), "hostname").stdout
    assert eventually(lambda: run_in(public.floating_ip_address, "hostname").stdout, "SSH on the floating IP") == name
    assert eventually(lambda: cloud.network.get_ip(public.id).status == "ACTIVE", "the floating IP is ACTIVE")
    assert public.floating_ip_address in str(
        eventually(
            lambda: (found := cloud.compute.get_server(town.here.id).addresses) and "floating" in str(found) and found,
            "Nova shows the floating IP",
        )
    )

    cloud.network.delete_ip(public)
    eventually(lambda: not hears(run_in, public.floating_ip_address), "the address is dead", EFFECT_SECONDS * 3)


def test_guests_reach_the_world_through_their_router(town: Town, run_in: Run) -> None:
    edge = town.ours.router.external_gateway_info["external_fixed_ips"][0]["ip_address"].rpartition(".")[0] + ".1"
    assert eventually(lambda: pings(run_in, town.here, edge), "the provider's gateway answers a guest")
    assert run_in(address_of(town.here), "sudo apt-get update -qq", seconds=60).returncode == 0


def test_members_cannot_reach_each_other(town: Town, run_in: Run) -> None:
    allow(town.theirs, protocol="icmp", port_range_min=None, port_range_max=None)
    assert eventually(lambda: hears(run_in, address_of(town.away)), "the host reaches the other member's guest")
    assert not pings(run_in, town.here, address_of(town.away))


def test_rules_open_and_close_for_running_guests(town: Town, run_in: Run) -> None:
    target = address_of(town.beside)
    assert not pings(run_in, town.here, target), "nothing comes in that no rule allows, from a neighbour either"
    rule = allow(
        town.ours, protocol="icmp", port_range_min=None, port_range_max=None, remote_group_id=town.ours.group.id
    )
    eventually(lambda: pings(run_in, town.here, target), "a rule for the group opens", EFFECT_SECONDS)
    town.ours.cloud.network.delete_security_group_rule(rule)
    eventually(lambda: not pings(run_in, town.here, target), "the rule taken away closes", EFFECT_SECONDS)


def test_a_rule_names_its_ports_and_sources(town: Town, run_in: Run) -> None:
    source, target = address_of(town.here), address_of(town.beside)
    serve = "nohup python3 -m http.server {port} >/dev/null 2>&1 & echo"
    for port in (8080, 8081):
        eventually(lambda port=port: hears(run_in, target, serve.format(port=port)), "a server in the guest")

    def fetches(port: int) -> bool:
        call = f"python3 -c \"import urllib.request as u; u.urlopen('http://{target}:{port}', timeout=1)\""
        return run_in(source, call).returncode == 0

    rule = allow(town.ours, port_range_min=8080, port_range_max=8080, remote_ip_prefix=f"{source}/32")
    eventually(lambda: fetches(8080), "the named port opens to the named source", EFFECT_SECONDS * 2)
    assert not fetches(8081)
    town.ours.cloud.network.delete_security_group_rule(rule)
    allow(town.ours, port_range_min=8080, port_range_max=8080, remote_ip_prefix="192.0.2.7/32")
    eventually(lambda: not fetches(8080), "another source's rule does not open it", EFFECT_SECONDS * 2)


def test_a_guest_cannot_take_anothers_address(town: Town, run_in: Run) -> None:
    cloud, port = town.ours.cloud, port_of(town.ours, town.here)
    rule = allow(town.ours, protocol="icmp", port_range_min=None, port_range_max=None)
    target, foreign = address_of(town.beside), "10.241.1.250"
    device = run_in(address_of(town.here), f"sudo ip addr add {foreign}/24 dev eth0; echo done")
    assert device.returncode == 0
    bound = f"s.bind(('{foreign}',0))"
    eventually(lambda: pings(run_in, town.here, target), "the own address passes", EFFECT_SECONDS)
    eventually(lambda: not pings(run_in, town.here, target, bound), "a foreign one does not", EFFECT_SECONDS)

    cloud.network.update_port(port, allowed_address_pairs=[{"ip_address": foreign}])
    eventually(lambda: pings(run_in, town.here, target, bound), "an allowed address pair passes", EFFECT_SECONDS)
    cloud.network.update_port(port, allowed_address_pairs=[])
    eventually(lambda: not pings(run_in, town.here, target, bound), "and no more", EFFECT_SECONDS)

    cloud.network.update_port(port, security_groups=[], port_security_enabled=False)
    eventually(lambda: pings(run_in, town.here, target, bound), "without port security all passes", EFFECT_SECONDS)
    cloud.network.update_port(port, port_security_enabled=True, security_groups=[town.ours.group.id])
    run_in(address_of(town.here), f"sudo ip addr del {foreign}/24 dev eth0")
    cloud.network.delete_security_group_rule(rule)
