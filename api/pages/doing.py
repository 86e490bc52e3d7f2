"""An act on a service that one button does: its page then says what happens, or why not."""

from __future__ import annotations

from collections.abc import Callable

from flask import flash, redirect, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth
from api.language import show
from orchestrator.errors import ClocherError


def do(service_id: int, act: Callable[[Session], object], done: str) -> Response:
    """Act in one transaction, then go to the service's page with `done` or the refusal. Raises what is not found."""
    try:
        with auth.scope() as session:
            act(session)
    except ClocherError as error:
        if error.status == 404:
            raise
        flash(f"{show(error.sentence)} {show(error.action)}", "danger")
    else:
        flash(done, "success")
    return redirect(url_for("service_pages.one", service_id=service_id))
