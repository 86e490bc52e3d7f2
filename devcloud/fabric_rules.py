"""nftables text for a network and for a router. Pure functions of the plan; a text replaces all that was loaded before.

A network's bridge shows each frame twice. The `bridge` table knows the ports: it drops what is sent from another's
MAC or address (no spoofing), and marks the packet with the numbers of the ports it comes from and goes to. The `inet`
table, which has connection tracking but sees the bridge as one interface, reads those marks and applies the security
groups, stateful, dropping what no rule allows. A port without a mark is trusted: a router's leg, or a port whose
security the owner turned off. Only IPv4 and ARP pass.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable
from ipaddress import collapse_addresses, ip_interface, ip_network

from devcloud.fabric_plan import Leg, Network, Port, Router, Rule, subnets
from devcloud.plug import port_device

PROTOCOLS = {
    "ipip": "4",
    "ipv6-encap": "41",
    "pgm": "113",
    "vrrp": "112",
    "rsvp": "46",
    "egp": "8",
    "igmp": "2",
    "ospf": "89",
}
WITH_PORTS = {
    "tcp": "tcp",
    "6": "tcp",
    "udp": "udp",
    "17": "udp",
    "sctp": "sctp",
    "132": "sctp",
    "dccp": "dccp",
    "33": "dccp",
    "udplite": "udplite",
    "136": "udplite",
}
ICMP = ("icmp", "1")


def network_rules(instance: int, network: Network) -> str:
    """Everything that nftables must hold in a network's namespace."""
    ports = list(enumerate((port for port in network.ports if port.secured), start=1))
    return "\n".join((_bridge_table(instance, ports), _inet_table(ports, network.groups)))


def _bridge_table(instance: int, ports: list[tuple[int, Port]]) -> str:
    chains = [
        _chain(
            "prerouting",
            "type filter hook prerouting priority -300; policy accept",
            _dispatch("iifname", {f'"{port_device(instance, port.id)}"': f"jump from_{n}" for n, port in ports}),
        ),
        _chain(
            "forward",
            "type filter hook forward priority -200; policy accept",
            _dispatch("oifname", {f'"{port_device(instance, port.id)}"': f"jump to_{n}" for n, port in ports}),
        ),
    ]
    for number, port in ports:
        pairs = _pairs(port)
        chains.append(
            _chain(
                f"from_{number}",
                None,
                [
                    f"meta mark set {number << 16:#x}",
                    *(
                        [
                            f"ether type arp arp saddr ether . arp saddr ip {pairs} accept",
                            f"ether type ip ether saddr . ip saddr {pairs} accept",
                        ]
                        if pairs
                        else []
                    ),
                    "drop",
                ],
            )
        )
        chains.append(_chain(f"to_{number}", None, [f"meta mark set meta mark or {number:#x}"]))
    return _table("bridge", chains)


def _inet_table(ports: list[tuple[int, Port]], groups: dict[str, list[Rule]]) -> str:
    """The security groups. `ct mark` holds the version of the rules that let a connection in.

    A connection of an older version is judged anew at its next packet from the side that opened it, so that a rule
    taken away also ends what it had allowed.
    """
    body = [chain for group, rules in sorted(groups.items()) for chain in _group_chains(group, rules)]
    for number, port in ports:
        names = [f"group_{group.replace('-', '')}" for group in port.groups]
        body.append(_chain(f"out_{number}", None, [*(f"jump {name}_out" for name in names), "drop"]))
        body.append(_chain(f"in_{number}", None, [*(f"jump {name}_in" for name in names), "drop"]))
    inward = _dispatch("meta mark & 0xffff", {f"{n:#x}": f"goto in_{n}" for n, _ in ports})
    outward = _dispatch("meta mark & 0xffff0000", {f"{n << 16:#x}": f"goto out_{n}" for n, _ in ports})
    version = f"{zlib.crc32(repr((ports, sorted(groups.items()))).encode()) | 1:#x}"
    forward = _chain(
        "forward",
        "type filter hook forward priority 0; policy drop",
        [
            f"ct state established,related ct mark {version} accept",
            "ct state established ct direction reply accept",
            "ct state invalid drop",
            *outward,
            "jump inward",
        ],
    )
    inward_chain = _chain("inward", None, [*inward, f"ct mark set {version}", "accept"])
    allow = _chain("allow", None, [f"ct mark set {version}", "accept"])
    return _table("inet", [allow, *body, inward_chain, forward])


def _group_chains(group: str, rules: list[Rule]) -> list[str]:
    name = f"group_{group.replace('-', '')}"
    return [
        _chain(
            f"{name}_out",
            None,
            [f"{m} goto inward" for rule in rules if rule.direction == "egress" for m in _match(rule, "daddr")],
        ),
        _chain(
            f"{name}_in",
            None,
            [f"{m} goto allow" for rule in rules if rule.direction == "ingress" for m in _match(rule, "saddr")],
        ),
    ]


def _match(rule: Rule, field: str) -> list[str]:
    """The rule as an nftables match; none when it names a group without members."""
    parts = ["meta nfproto ipv4"]
    if rule.remotes is not None:
        remotes = _collapse(rule.remotes)
        if not remotes:
            return []
        parts.append(f"ip {field} {_set(remotes)}")
    if rule.protocol in ICMP:
        parts.append("meta l4proto icmp")
        if rule.low is not None:
            parts.append(f"icmp type {rule.low}")
        if rule.high is not None:
            parts.append(f"icmp code {rule.high}")
    elif rule.protocol in WITH_PORTS and rule.low is not None:
        high = rule.high if rule.high is not None else rule.low
        parts.append(f"{WITH_PORTS[rule.protocol]} dport {rule.low}-{high}")
    elif rule.protocol not in (None, "any", "0"):
        parts.append(f"meta l4proto {PROTOCOLS.get(rule.protocol, rule.protocol)}")
    return [" ".join(parts)]


def router_rules(router: Router, external: str) -> str:
    """NAT of a router; `external` is the name of its outer leg. It filters nothing, as Neutron's own: who may come in,
    the edge and the security groups say.
    """
    inside = subnets(router.legs)
    before, after = [], []
    if router.floating:
        before.append(
            f"dnat to ip daddr map {{ {', '.join(f'{public} : {fixed}' for public, fixed in router.floating)} }}"
        )
    if router.gateway and router.gateway.addresses:
        own = str(ip_interface(router.gateway.addresses[0]).ip)
        if inside:
            # a guest that calls a floating IP of its own network must get the answer from that address
            after.append(f'oifname != "{external}" ct status dnat ip saddr {_set(inside)} snat to {own}')
        if router.floating:
            after.append(
                f'oifname "{external}" snat to ip saddr map '
                f"{{ {', '.join(f'{fixed} : {public}' for public, fixed in router.floating)} }}"
            )
        if inside and router.snat:
            after.append(f'oifname "{external}" ip saddr {_set(inside)} snat to {own}')
    return _table(
        "ip",
        [
            _chain("prerouting", "type nat hook prerouting priority -100; policy accept", before),
            _chain("postrouting", "type nat hook postrouting priority 100; policy accept", after),
        ],
    )


def edge_rules(name: str, bridge: str, cidr: str, admitted: Collection[str]) -> str:
    """The host's part: guests reach the world behind its address. It forwards nothing to members' prefixes but what
    comes from the public addresses that were admitted.
    """
    others = f" ip saddr != {_set(admitted)}" if admitted else ""
    return _table(
        "ip",
        [
            _chain(
                "forward",
                "type filter hook forward priority 0; policy accept",
                [f'iifname "{bridge}" oifname "{bridge}" ip daddr != {cidr}{others} drop'],
            ),
            _chain(
                "postrouting",
                "type nat hook postrouting priority 100; policy accept",
                [f'ip saddr {cidr} oifname != "{bridge}" masquerade'],
            ),
        ],
        name,
    )


def gateway_addresses(leg: Leg, router: Router) -> tuple[str, ...]:
    """All addresses of the outer leg: the router's own, and each floating IP."""
    return (*leg.addresses, *(f"{public}/32" for public, _ in router.floating))


def _pairs(port: Port) -> str:
    """The (MAC, address) pairs as a set of nftables; empty when there is none."""
    by_mac: dict[str, list[str]] = {}
    for mac, address in port.pairs:
        by_mac.setdefault(mac, []).append(address)
    pairs = [f"{mac} . {address}" for mac, addresses in by_mac.items() for address in _collapse(addresses)]
    return _set(pairs) if pairs else ""


def _collapse(addresses: Iterable[str]) -> list[str]:
    """IPv4 only, and without overlaps, which nftables refuses in a set."""
    networks = (ip_network(address, strict=False) for address in addresses if ":" not in address)
    return [str(network) for network in collapse_addresses(networks)]


def _set(values: Iterable[str]) -> str:
    return f"{{ {', '.join(values)} }}"


def _dispatch(key: str, verdicts: dict[str, str]) -> list[str]:
    if not verdicts:
        return []
    return [f"{key} vmap {{ {', '.join(f'{value} : {verdict}' for value, verdict in verdicts.items())} }}"]


def _chain(name: str, hook: str | None, rules: list[str]) -> str:
    lines = [*([f"{hook};"] if hook else []), *rules]
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _table(family: str, chains: list[str], name: str = "clocher") -> str:
    """The text that replaces the table whole; the first line lets the deletion succeed when there is none yet."""
    return f"table {family} {name}\ndelete table {family} {name}\ntable {family} {name} {{\n{''.join(chains)}}}\n"
