"""Which private subnet a new member gets: the first of the pool that overlaps nobody's."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from orchestrator.errors import Conflict, Text


def choose(pool: str, prefix: int, taken: Iterable[str], count: int) -> list[str]:
    """`count` free subnets of length `prefix` in `pool`, lowest first. Raises Conflict when the pool is used up."""
    used = [IPv4Network(network) for network in taken]
    free: list[str] = []
    for candidate in IPv4Network(pool).subnets(new_prefix=prefix):
        if len(free) == count:
            break
        if not any(candidate.overlaps(network) for network in used):
            free.append(str(candidate))
    if len(free) < count:
        raise Conflict(
            "no_free_subnet",
            Text(
                "Le réseau {pool} n’a plus de sous-réseau /{prefix} libre pour un nouveau membre.",
                pool=pool,
                prefix=prefix,
            ),
            "Agrandissez CLOCHER_MEMBER_NETWORKS, ou déclarez un « subnet » pour ce membre.",
        )
    return free
