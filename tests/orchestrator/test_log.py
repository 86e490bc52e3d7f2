"""What goes into the log of an installation, and what is only noise there."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from orchestrator import log
from orchestrator.settings import Settings


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root, kept = logging.getLogger(), structlog.get_config()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before
    structlog.configure(**kept)


def test_a_request_that_waits_for_a_thread_is_no_news(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(settings)
    logging.getLogger("waitress.queue").warning("Task queue depth is %d", 3)
    logging.getLogger("waitress").warning("but this is")
    told = capsys.readouterr().err
    assert ("Task queue depth" in told, "but this is" in told) == (False, True)
