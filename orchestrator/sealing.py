"""Sealing: what must be read again is kept encrypted under a key of the installation, so that a copy of the database
alone opens nothing."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet

from orchestrator.settings import Settings


def box(settings: Settings, purpose: str) -> Fernet:
    """What seals (`encrypt`) and opens (`decrypt`) for one purpose."""
    return Fernet(base64.urlsafe_b64encode(settings.derive(purpose)))
