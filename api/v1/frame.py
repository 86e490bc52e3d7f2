"""What every call of the API has around it: one transaction for a change, its key and its condition; validators, links.

A view of `api.v1` parses, makes one call and answers. What it changes is in the transaction that is opened here, with
the answer that its `Idempotency-Key` will bring again: either both are written, or neither.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from decimal import Decimal
from functools import wraps
from io import BytesIO
from typing import Any, cast
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import Flask, Response, current_app, g, make_response, request
from sqlalchemy.orm import Session

from api import access, auth, exporting, language
from orchestrator import sealing
from orchestrator.errors import ClocherError, Forbidden, InvalidInput, Stale
from tenants import orders, request_answers
from tenants.request_answers import Key

PREFIX = "/api/v1/"
SAFE = ("GET", "HEAD", "OPTIONS")
SEAL = "request answers"
View = Callable[..., Any]


class NotAcceptable(ClocherError):
    """We have no such form of it."""

    status = 406


class NotJson(ClocherError):
    """The body is not what we read."""

    status = 415


def install(app: Flask) -> None:
    """Frame every view of the API; after all are registered."""
    for rule in list(app.url_map.iter_rules()):
        if rule.rule.startswith(PREFIX) and access.RULES.get(rule.endpoint) != access.OPEN:
            view = app.view_functions[rule.endpoint]
            if not hasattr(view, "framed"):
                app.view_functions[rule.endpoint] = _framed(view)


def _framed(view: View) -> View:
    @wraps(view)
    def serve(**values: Any) -> Response:
        _check_forms()
        if request.method in SAFE:
            return _validated(make_response(view(**values)))
        door = hasattr(view, "at_the_door")
        with auth.door() if door else auth.scope() as session:
            name = "door_unit" if door else "unit"
            setattr(g, name, session)
            try:
                return _change(session, view, values)
            finally:
                setattr(g, name, None)

    serve.framed = True  # type: ignore[attr-defined]
    return serve


def at_the_door(view: View) -> View:
    """Mark a view that changes people or what proves them (`auth.door`): that is the transaction of its key, too."""
    view.at_the_door = True  # type: ignore[attr-defined]
    return view


def _check_forms() -> None:
    """Refuse what we can't read, and whoever can't read us."""
    kind = exporting.FILES.get(request.path.rpartition(".")[2], "application/json")
    if request.accept_mimetypes and not request.accept_mimetypes.best_match([kind, "application/problem+json"]):
        raise NotAcceptable("not_acceptable", "Nous ne répondons pas sous cette forme.", "Envoyez Accept: */*.")
    if request.method in SAFE:
        return
    if not request.content_length:  # nothing said is an empty object: where every field may be left out, that will do
        request.environ |= {"wsgi.input": BytesIO(b"{}"), "CONTENT_LENGTH": "2", "CONTENT_TYPE": "application/json"}
    else:
        if not request.is_json:
            raise NotJson(
                "invalid_request",
                "Le corps de la requête doit être du JSON.",
                "Envoyez Content-Type: application/json.",
            )
        if not isinstance(request.get_json(), dict):
            raise InvalidInput("invalid_request", "Un objet JSON est attendu.", "Voyez /api/docs.")


def _change(session: Session, view: View, values: dict[str, Any]) -> Response:
    key = _key()
    if key is None:
        if not _needs_key(view):  # without its key it is refused in any case, which is said first
            _check_fresh(session, values)
        return make_response(view(**values))
    box = sealing.box(auth.settings(), SEAL)
    earlier = request_answers.find(session, key, auth.now())
    if earlier is not None:
        again = Response(box.decrypt(earlier.answer), earlier.status, mimetype="application/json")
        again.headers["Idempotency-Replayed"] = "true"
        return again
    _check_fresh(session, values)
    answer = make_response(view(**values))
    if answer.status_code < 400:
        request_answers.keep(session, key, answer.status_code, box.encrypt(answer.get_data()), auth.now())
    return answer


def _needs_key(view: View) -> bool:
    return "headers_data" in inspect.signature(view).parameters


def _key() -> Key | None:
    given = request.headers.get("Idempotency-Key")
    if given is None or request.method != "POST":
        return None
    orders.check_key(given)
    caller: auth.Caller = g.caller
    asker = f"token {caller.token_id}"  # not the account: a narrower token of it may not read a wider one's secrets
    said = json.dumps([request.full_path, request.get_json()], sort_keys=True)
    return Key(caller.member_id, asker, given, hashlib.sha256(said.encode()).digest())


def _check_fresh(session: Session, values: dict[str, Any]) -> None:
    """Raise Stale when the caller read another state (`If-Match`) than there is; others that ask so wait their turn."""
    shown = _resource() if "If-Match" in request.headers else None  # an unreadable one fits nothing
    if shown is None:
        return
    path, endpoint, names = shown
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(path, 9))))
    view: Any = current_app.view_functions[endpoint]
    answer = make_response(view.__wrapped__(**{name: values[name] for name in names}))
    answer.add_etag()
    if not request.if_match.contains(answer.get_etag()[0] or ""):
        raise Stale("stale", "Cela a changé depuis que vous l’avez lu.", "Relisez, puis recommencez si besoin.")


def _resource() -> tuple[str, str, frozenset[str]] | None:
    """What a change is about: the nearest single resource above (or at) its path: path, view and arguments."""
    assert request.url_rule
    shown = resources(current_app).get(request.url_rule.rule)
    if shown is None:
        return None
    rule, endpoint, names = shown
    path = "/".join(request.path.split("/")[: rule.count("/") + 1])
    return path, endpoint, names


def resources(app: Flask) -> dict[str, tuple[str, str, frozenset[str]]]:
    """For each rule of the API: rule, view and arguments of the single resource that it is about, if there is one."""
    kept: dict[str, tuple[str, str, frozenset[str]]] = app.extensions.setdefault("api resources", {})
    if not kept:
        rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith(PREFIX)]
        single = {
            rule.rule: (rule.rule, rule.endpoint, frozenset(rule.arguments))
            for rule in rules
            if "GET" in (rule.methods or ()) and rule.rule.endswith(">")
        }
        for rule in rules:
            parts = rule.rule.split("/")
            above = ("/".join(parts[:count]) for count in range(len(parts), 3, -1))
            found = next((single[path] for path in above if path in single), None)
            if found:
                kept[rule.rule] = found
    return kept


def _validated(answer: Response) -> Response:
    """With a validator; without a body when the caller has it already. With the link to the following page."""
    following = g.get("following")
    if following is not None:
        words = {**request.args.to_dict(), "after": str(following)}
        answer.headers["Link"] = f'<{request.path}?{urlencode(words)}>; rel="next"'
    if answer.status_code == 200 and not answer.is_streamed:
        answer.add_etag()
        if request.if_none_match.contains_weak(answer.get_etag()[0] or ""):
            answer.set_data(b"")
            answer.status_code = 304
            answer.headers.pop("Content-Type", None)
    return answer


def page(items: Iterable[Any], after: int | str | None) -> dict[str, Any]:
    """One page of a list; `after` leads to the next, None at the end."""
    g.following = after
    return {"items": list(items), "next": after}


def cut(rows: Iterable[Any], query: Any, key: Callable[[Any], Any], *, newest_first: bool = True) -> dict[str, Any]:
    """A page of a list that is read whole: the rows beyond `query.after` by `key`, which is unique."""
    ordered = sorted(rows, key=key, reverse=newest_first)
    if query.after is not None:
        ordered = [row for row in ordered if (key(row) < query.after if newest_first else key(row) > query.after)]
    shown = ordered[: query.limit]
    return page(shown, key(shown[-1]) if len(ordered) > len(shown) else None)


def follow(rows: Sequence[dict[str, Any]], query: Any, key: Callable[[Any], Any]) -> dict[str, Any]:
    """A page of a list that is read whole and keeps its order: what comes after the row `query.after`."""
    keys = [key(row) for row in rows]
    start = keys.index(query.after) + 1 if query.after in keys else 0
    if query.after is not None and not start:
        return page([], None)
    shown = rows[start : start + query.limit]
    return page(shown, keys[start + query.limit - 1] if len(rows) > start + query.limit else None)


def file(content: bytes | Iterator[str], name: str) -> Response:
    """A file to keep; its kind is that of its ending."""
    return exporting.download(content, name, exporting.FILES[name.rpartition(".")[2]])


def caller() -> auth.Caller:
    """Who asks; here it is always known."""
    return cast(auth.Caller, g.caller)


def tell(sentence: str | None) -> str | None:
    """A sentence in the caller's language."""
    return None if sentence is None else language.tell(sentence)


def tell_all(sentences: Iterable[str]) -> list[str]:
    """Sentences in the caller's language."""
    return [language.tell(sentence) for sentence in sentences]


def told(found: Any) -> dict[str, Any]:
    """The fields of a dataclass (one level), its sentences in the caller's language."""
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return {name: language.tell(value) if isinstance(value, str) else value for name, value in values.items()}


def refusal(error: ClocherError | None) -> dict[str, str] | None:
    """What stands in the way, in the caller's language."""
    if error is None:
        return None
    return {"code": error.code, "sentence": language.tell(error.sentence), "action": language.tell(error.action)}


def estimated(seen: Any) -> dict[str, Any]:
    """What a new service would cost and take (`tenants.estimates.Estimated`), in the caller's language."""
    return {
        "name": seen.parameters["name"], "estimate": seen.estimate, "steps": seen.steps,
        "limits": [told(limit) for limit in seen.limits], "refused": refusal(seen.refused),
    }  # fmt: skip


def plain(value: Any) -> Any:
    """A value of any depth as JSON holds it: amounts are texts."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return format(value, "f") if isinstance(value, Decimal) else value


def refuse_members() -> None:
    """For what only those may ask who act for the whole territory."""
    if g.caller.member_id is not None:
        raise Forbidden("territory_only", "Cela est réservé à l’agglomération.", "Adressez-vous à la DSI.")
