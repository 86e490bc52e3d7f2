"""The dev clouds of the tests: one for each process that works with the cloud, so that none sees another's.

They have networks of their own: a demo that is kept running (instance 0) is not disturbed.
"""

from __future__ import annotations

import os

NUMBERS = (1, 2)


def variables(number: int) -> dict[str, str]:
    """What a command must find in its environment to work with the dev cloud of that number."""
    return {
        "CLOCHER_DEVCLOUD_INSTANCE": str(number),
        "CLOCHER_MANAGEMENT_NETWORKS": f'["198.18.{number}.1/32"]',
        "CLOCHER_MEMBER_NETWORKS": f"10.{80 + 16 * number}.0.0/16",
    }


def take_mine() -> None:
    """In a process of pytest-xdist that is given a cloud: the one with its own number."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and "CLOCHER_DEVCLOUD_INSTANCE" in os.environ:
        os.environ.update(variables(NUMBERS[int(worker.removeprefix("gw")) % len(NUMBERS)]))
