"""The demo's mail server keeps what it gets, to be read: one file for each mail. `python -m aiosmtpd` runs it."""

from __future__ import annotations

from argparse import ArgumentParser
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from tenants import postman


class Catcher:
    """Keeps mails in a folder; none leaves the machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def from_cli(cls, parser: ArgumentParser, *given: str) -> Catcher:
        """What the server's command makes of its last argument."""
        if len(given) != 1:
            parser.error("Give the folder.")
        return cls(Path(given[0]))

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """A mail is there."""
        mail: Any = message_from_bytes(cast(bytes, envelope.content), policy=default)
        postman.into_folder(self.folder, mail)
        return "250 OK"
