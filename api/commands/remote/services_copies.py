"""`clocher --url … services` for test copies and moves; as `api.commands.services_copies` does it here."""

from __future__ import annotations

from api.commands.remote import client, read
from api.commands.services_copies import Wish, clone_command, move_command, refresh_command
from api.v1.schemas import FlowOut, OrderOut


def _look(service_id: int, wish: Wish) -> Wish:
    found: Wish = client().call("POST", f"/services/{service_id}/copies/preview", _said(wish))
    return found


def _order(service_id: int, wish: Wish, request_key: str | None) -> Wish:
    path = f"/services/{service_id}/copies"
    return read(OrderOut, client().call("POST", path, _said(wish), request_key=request_key))


def _look_move(service_id: int, wish: Wish) -> Wish:
    asked = {name: value for name, value in _said(wish).items() if name != "ssh_keys"}
    found: Wish = client().call("POST", f"/services/{service_id}/move/preview", asked)
    return found


def _move(service_id: int, wish: Wish, request_key: str | None) -> Wish:
    path = f"/services/{service_id}/move"
    return read(OrderOut, client().call("POST", path, _said(wish), request_key=request_key))


def _said(wish: Wish) -> Wish:
    return {name: value for name, value in wish.items() if value is not None}


def _refresh(service_id: int) -> Wish:
    return read(FlowOut, client().call("POST", f"/services/{service_id}/refresh"))


COMMANDS = (clone_command(_look, _order), refresh_command(_refresh), move_command(_look_move, _move))
