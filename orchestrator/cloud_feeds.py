"""Where the cloud's notifications come from: a file with one JSON document a line, or the message queue of the cloud.

The only importer of oslo.messaging, which is needed for a queue only (`pip install clocher[notifications]`). Whatever
is read twice, after a restart or by two workers, is kept once.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog

from orchestrator import cloud_notifications, notifications
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, InvalidInput, Unavailable
from orchestrator.reconcile import ACTOR
from orchestrator.steps import Runtime
from orchestrator.tables_reconcile import CloudFeed

log = structlog.get_logger()

FILE, QUEUE = "file", "queue"
AT_ONCE = 4 * 2**20  # bytes of the file
# The exchanges of OpenStack's services, as each names its own unless its configuration says otherwise.
EXCHANGES = ("nova", "cinder", "neutron", "glance", "openstack")
POOL = "clocher"  # a queue of our own: who else listens still gets everything
PAUSE = 2.0  # seconds before the queue gives again what could not be kept


def run(runtime: Runtime) -> int:
    """The duty: read what is new in the file, if it is one, then judge what is kept; how many facts that added.

    Without the hourly comparison nothing is read: notifications can be lost, and only it would see that.
    """
    url = runtime.settings.notifications_url
    if url is None or not runtime.settings.cloud_reading_minutes:
        return 0
    if (parts := urlsplit(url.get_secret_value())).scheme == FILE:
        while read_file(runtime, Path(unquote(parts.path))):
            pass
    return notifications.judge(runtime)


def read_file(runtime: Runtime, path: Path) -> bool:
    """Keep the next lines of the file, from where the last reading ended; whether there may be more of them.

    A file that is another one, or was cut, is read from its beginning. Raises Unavailable notifications_unreadable.
    """
    with territory_session(runtime.engine, ACTOR) as session:
        feed = session.get(CloudFeed, FILE)
        before = (feed.file, feed.position) if feed else ("", 0)
    file, start, block = _block(path, *before)
    lines = block[: block.rfind(b"\n") + 1]
    if not lines:
        return False
    with territory_session(runtime.engine, ACTOR) as session:
        notifications.keep(session, FILE, filter(None, map(_message, lines.splitlines())), datetime.now(UTC))
        feed = session.get_one(CloudFeed, FILE, with_for_update=True, populate_existing=True)
        if (feed.file, feed.position) == before:  # else another worker has read on meanwhile
            feed.file, feed.position = file, start + len(lines)
    return len(block) == AT_ONCE


def _block(path: Path, file: str, position: int) -> tuple[str, int, bytes]:
    """Which file it is, where in it was begun, and what follows."""
    try:
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH)  # its writer holds the other one: a line is whole
            status = os.fstat(handle.fileno())
            mark = f"{status.st_dev}:{status.st_ino}"
            start = position if mark == file and position <= status.st_size else 0
            handle.seek(start)
            return mark, start, handle.read(AT_ONCE)
    except FileNotFoundError:
        return file, position, b""  # the cloud has told nothing yet
    except OSError as error:
        raise Unavailable(
            "notifications_unreadable", "Le fichier des notifications du nuage est illisible.",
            "Corrigez ses droits ou CLOCHER_NOTIFICATIONS_URL.", detail=str(error),
        ) from error  # fmt: skip


def _message(line: bytes) -> Mapping[str, Any] | None:
    try:
        read = json.loads(line)
    except ValueError as error:
        log.warning("notification not understood", detail=str(error))
        return None
    return read if isinstance(read, dict) else None


def listen(runtime: Runtime) -> None:
    """The duty, for a queue: keep what it gives, for as long as the worker runs.

    Raises InvalidInput notifications_not_installed when oslo.messaging is missing.
    """
    settings = runtime.settings
    url = settings.notifications_url
    if url is None or not settings.cloud_reading_minutes or urlsplit(url.get_secret_value()).scheme == FILE:
        return
    listener(runtime, url.get_secret_value()).start()
    threading.Event().wait()  # a worker that ends takes this thread with it


def listener(runtime: Runtime, url: str) -> Any:
    """What listens to a queue, not started yet."""
    try:
        messaging, config = import_module("oslo_messaging"), import_module("oslo_config.cfg")
    except ImportError as error:
        raise InvalidInput(
            "notifications_not_installed", "Pour lire la file de messages du nuage, il manque oslo.messaging.",
            "Lancez « pip install clocher[notifications] ».", detail=str(error),
        ) from error  # fmt: skip
    options, own = config.ConfigOpts(), runtime.settings.notifications_config
    options([], project=POOL, default_config_files=[str(own)] if own else [], default_config_dirs=[])
    targets = [
        messaging.Target(topic=topic, exchange=exchange)
        for topic in runtime.settings.notifications_topics
        for exchange in EXCHANGES
    ]
    transport = messaging.get_notification_transport(options, url=url)
    return messaging.get_notification_listener(
        transport, targets, [Endpoint(runtime, messaging)], executor="threading", allow_requeue=True, pool=POOL
    )


class Endpoint:
    """Keeps what a queue gives, in oslo.messaging's way: a method for each priority that is listened to."""

    def __init__(self, runtime: Runtime, messaging: Any) -> None:
        self.runtime, self.again = runtime, messaging.NotificationResult.REQUEUE
        self.filter_rule = messaging.NotificationFilter(event_type="|".join(map(_whole, cloud_notifications.ACTS)))

    def info(self, _context: Any, _publisher: str, event_type: str, payload: Any, metadata: Mapping[str, Any]) -> Any:
        """Keep one; the queue gives it again when that failed."""
        message = {**metadata, "event_type": event_type, "payload": payload}
        try:
            with territory_session(self.runtime.engine, ACTOR) as session:
                notifications.keep(session, QUEUE, [message], datetime.now(UTC))
        except ClocherError as error:
            log.warning("notification not kept", code=error.code, detail=error.detail)
            time.sleep(PAUSE)
            return self.again
        return None


def _whole(event_type: str) -> str:
    return f"{re.escape(event_type)}$"
