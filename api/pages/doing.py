"""An act on a service that one button does: afterwards its page says what happens, or why nothing does."""

from __future__ import annotations

from collections.abc import Callable

from flask import flash, redirect, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from api.language import show
from orchestrator.errors import ClocherError


def do(
    service_id: int, act: Callable[[Session], object], done: str, again: Callable[[Form], str] | None = None
) -> Response | tuple[str, int]:
    """Act in one transaction, then go to the service's page, which says `done`. Raises what is not found.

    again: the page that asked, to say a refusal there; without it the service's page says that too.
    """
    try:
        with auth.scope() as session:
            act(session)
    except ClocherError as error:
        if error.status == 404:
            raise
        if again:
            return again(Form.sent().refused(error)), error.status
        flash(f"{show(error.sentence)} {show(error.action)}", "danger")
    else:
        flash(done, "success")
    return redirect(url_for("service_pages.one", service_id=service_id))
