"""What carries mails: an SMTP server, or a folder when none is set."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import structlog

from orchestrator.errors import ClocherError, Unavailable
from orchestrator.settings import Settings
from tenants.mails import Carry

log = structlog.get_logger()

PERMANENT = 500  # SMTP codes from here on say that trying again does not help


def choose(settings: Settings) -> Carry:
    """How this installation's mails leave; said in the log."""
    if settings.smtp_host:
        return lambda mail: by_smtp(settings, mail)
    folder = settings.state_dir / "mails"
    log.warning("no mail server is set: mails are kept as files", folder=str(folder))
    return lambda mail: into_folder(folder, mail)


def into_folder(folder: Path, mail: EmailMessage) -> None:
    """Keep a mail as a file that mail programs open; the same mail again is the same file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = str(mail["Message-ID"]).strip("<>").partition("@")[0]
    draft = folder / f".{name}"
    draft.touch(mode=0o600)
    draft.write_bytes(mail.as_bytes(policy=SMTP))
    draft.rename(folder / f"{name}.eml")


def by_smtp(settings: Settings, mail: EmailMessage) -> None:
    """Hand a mail to the SMTP server. Raises Unavailable mail_server_unavailable, or ClocherError mail_refused."""
    try:
        with _connect(settings) as server:
            if settings.smtp_user and settings.smtp_password:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            server.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        [(code, said)] = error.recipients.values()
        raise _refused(code, said) from error
    except smtplib.SMTPSenderRefused as error:
        raise _unavailable(error) from error  # our own address: nothing is wrong with this receiver
    except smtplib.SMTPDataError as error:
        raise _refused(error.smtp_code, error.smtp_error) from error
    except (smtplib.SMTPException, OSError) as error:
        raise _unavailable(error) from error


def _connect(settings: Settings) -> smtplib.SMTP:
    assert settings.smtp_host
    where = (settings.smtp_host, settings.smtp_port)
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(*where, timeout=settings.smtp_timeout, context=ssl.create_default_context())
    server = smtplib.SMTP(*where, timeout=settings.smtp_timeout)
    if settings.smtp_security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def _refused(code: int, said: bytes | str) -> ClocherError:
    told = f"{code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"
    if code >= PERMANENT:
        return ClocherError("mail_refused", "Le serveur de messagerie refuse ce courriel.", detail=told)
    return Unavailable("mail_server_unavailable", "Le serveur de messagerie ne prend pas ce courriel.", detail=told)


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(
        "mail_server_unavailable", "Le serveur de messagerie ne répond pas.", "Vérifiez CLOCHER_SMTP_*.",
        detail=f"{type(error).__name__}: {error}",
    )  # fmt: skip
