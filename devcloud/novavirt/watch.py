"""Tell Nova at once when a guest switches itself off; else it would learn it at its next periodic look."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from typing import Any

from nova.virt import event

from devcloud.guest import Guest


class Watch:
    """One thread that waits for the end of the supervisors of all guests."""

    def __init__(self, emit: Callable[[Any], None]) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._followed: dict[int, Guest] = {}
        self._poll = select.epoll()
        threading.Thread(target=self._run, name="guest-watch", daemon=True).start()

    def follow(self, guest: Guest) -> None:
        """Emit an event when the guest, if it runs, has ended."""
        status = guest.status()
        if status is None:
            return
        try:
            descriptor = os.pidfd_open(status["supervisor"])
        except ProcessLookupError:
            self._tell(guest)
            return
        with self._lock:
            self._followed[descriptor] = guest
        self._poll.register(descriptor, select.EPOLLIN | select.EPOLLONESHOT)

    def _run(self) -> None:
        while True:
            for descriptor, _ in self._poll.poll():
                with self._lock:
                    guest = self._followed.pop(descriptor)
                self._poll.unregister(descriptor)
                os.close(descriptor)
                self._tell(guest)

    def _tell(self, guest: Guest) -> None:
        """A guest that is gone was deleted by Nova itself; one that runs was started again."""
        if guest.exists() and not guest.is_running():
            self._emit(event.LifecycleEvent(guest.directory.name, event.EVENT_LIFECYCLE_STOPPED))
