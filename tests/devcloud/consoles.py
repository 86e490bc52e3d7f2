"""Below a failed test, how the consoles of the dev cloud's guests end: what a guest that came late was waiting for."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from devcloud.cloud import guests
from devcloud.place import here

BYTES = 1500


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """A conftest that imports this has it for the tests beside it."""
    report = (yield).get_result()
    if report.failed:
        for guest in guests(here()):
            running = "runs" if guest.is_running() else "is off"
            report.sections.append(
                (f"guest {guest.directory.name} {running}, its console ends", guest.console_tail(BYTES))
            )
