"""Notifications for other processes: an oslo.messaging driver that appends one JSON document per line to a file."""

from __future__ import annotations

import fcntl
import json
from typing import Any

from oslo_messaging.notify import notifier

from devcloud.place import here


class JsonLines(notifier.Driver):
    """Writes `<state>/notifications.jsonl`; a reader that holds the file's flock never sees half a line."""

    def notify(self, ctxt: Any, msg: dict[str, Any], priority: str, retry: Any) -> None:
        line = json.dumps({"priority": priority, **msg}, default=str) + "\n"
        with here().notifications.open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.write(line)
