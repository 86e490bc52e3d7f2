"""The second factor: time-based codes (RFC 6238) and ten recovery codes. All at the door.

The secret is sealed with a key of the installation, bound to its account. A code is good once; recovery codes are kept
only as keyed digests and are good once each.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime

import pyotp
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, Unauthenticated
from orchestrator.settings import Settings
from tenants.tables_identity import Account, Credential, RecoveryCode

PERIOD = 30  # seconds
DRIFT = 1  # periods that a telephone's clock may be early or late
CODES, LENGTH = 10, 12  # recovery codes, and their characters
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that look alike


def begin(session: Session, account: Account, settings: Settings) -> str:
    """Keep a new secret for an account, not in force before a code confirms it; the address that a QR code shows.

    Raises second_factor_kept when one is in force.
    """
    if is_on(session, account.id):
        raise Conflict("second_factor_kept", "La double authentification est déjà active.", "Retirez-la d’abord.")
    secret = pyotp.random_base32()
    sealed = _seal(settings, account.id, secret)
    session.execute(
        insert(Credential).values(account_id=account.id, totp_secret=sealed)
        .on_conflict_do_update(index_elements=["account_id"], set_={"totp_secret": sealed, "totp_step": None})
    )  # fmt: skip
    return pyotp.TOTP(secret).provisioning_uri(name=account.email, issuer_name="Clocher")


def address(session: Session, account: Account, settings: Settings) -> str | None:
    """What the QR code of a secret that waits for its confirmation shows; None when there is none."""
    credential = session.get(Credential, account.id)
    if credential is None or credential.totp_secret is None or credential.totp_since is not None:
        return None
    secret = _unseal(settings, account.id, credential.totp_secret)
    return pyotp.TOTP(secret).provisioning_uri(name=account.email, issuer_name="Clocher")


def confirm(session: Session, account_id: int, code: str, at: datetime, settings: Settings) -> list[str]:
    """Put the waiting secret in force; the recovery codes, which nobody can show again. Raises wrong_code."""
    credential = session.get(Credential, account_id, with_for_update=True)
    if credential is None or credential.totp_secret is None or credential.totp_since is not None:
        raise Conflict("second_factor_kept", "Rien n’attend d’être confirmé.", "Revenez à votre compte.")
    _use(credential, code, at, settings)
    credential.totp_since = at
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    codes = ["".join(secrets.choice(LETTERS) for _ in range(LENGTH)) for _ in range(CODES)]
    session.add_all(RecoveryCode(account_id=account_id, digest=_digest(settings, code)) for code in codes)
    session.flush()
    audit.record(session, "account.second_factor", f"account {account_id}", detail={"on": True})
    return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes]


def is_on(session: Session, account_id: int) -> bool:
    """Whether signing in with a password asks an account for a code."""
    credential = session.get(Credential, account_id)
    return credential is not None and credential.totp_since is not None


def check(session: Session, account_id: int, code: str, at: datetime, settings: Settings) -> None:
    """Use up a code, or a recovery code. Raises wrong_code."""
    credential = session.get(Credential, account_id, with_for_update=True, populate_existing=True)
    if credential is None or credential.totp_since is None:
        raise _wrong()
    if len(_plain(code)) != LENGTH:
        _use(credential, code, at, settings)
        return
    kept = sa.delete(RecoveryCode).where(
        RecoveryCode.account_id == account_id, RecoveryCode.digest == _digest(settings, _plain(code))
    )
    if session.execute(kept.returning(RecoveryCode.account_id)).first() is None:
        raise _wrong()
    audit.record(session, "account.recovery_code", f"account {account_id}")


def since(session: Session, account_id: int) -> datetime | None:
    """Since when an account has a second factor; the DSI may know this, and nothing else of what proves people."""
    return session.scalar(sa.select(Credential.totp_since).where(Credential.account_id == account_id))


def codes_left(session: Session, account_id: int) -> int:
    """How many recovery codes an account has not used yet."""
    query = sa.select(sa.func.count()).select_from(RecoveryCode).where(RecoveryCode.account_id == account_id)
    return session.scalar(query) or 0


def take_off(session: Session, account_id: int) -> None:
    """End an account's second factor: by its owner at the door, or by the DSI for whoever lost the telephone."""
    nothing = {"totp_secret": None, "totp_since": None, "totp_step": None}
    session.execute(sa.update(Credential).where(Credential.account_id == account_id).values(**nothing))
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    audit.record(session, "account.second_factor", f"account {account_id}", detail={"on": False})


def _use(credential: Credential, code: str, at: datetime, settings: Settings) -> None:
    assert credential.totp_secret
    totp = pyotp.TOTP(_unseal(settings, credential.account_id, credential.totp_secret), interval=PERIOD)
    now = int(at.timestamp()) // PERIOD
    for step in range(now - DRIFT, now + DRIFT + 1):
        # Each step once (RFC 6238, 5.2): a code that was watched being typed is of no use.
        if step > (credential.totp_step or 0) and hmac.compare_digest(totp.generate_otp(step), _plain(code)):
            credential.totp_step = step
            return
    raise _wrong()


def _wrong() -> Unauthenticated:
    return Unauthenticated("wrong_code", "Ce code est inexact ou a déjà servi.", "Attendez le suivant et tapez-le.")


def _plain(code: str) -> str:
    return "".join(character for character in code.lower() if character.isascii() and character.isalnum())


def _digest(settings: Settings, code: str) -> bytes:
    return hmac.new(settings.derive("recovery codes"), code.encode(), hashlib.sha256).digest()


def _seal(settings: Settings, account_id: int, secret: str) -> bytes:
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(settings.derive("second factor")).encrypt(nonce, secret.encode(), str(account_id).encode())


def _unseal(settings: Settings, account_id: int, sealed: bytes) -> str:
    opener = AESGCM(settings.derive("second factor"))
    try:
        return opener.decrypt(sealed[:12], sealed[12:], str(account_id).encode()).decode()
    except InvalidTag as error:
        raise InvalidInput(
            "secret_key_changed",
            "La clé de l’installation a changé.",
            "La DSI doit retirer la double authentification.",
        ) from error
