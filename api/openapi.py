"""The OpenAPI document: what APIFlask derives from the code, completed with what every call has in common.

Who may (scopes and roles), RFC 9457 problems, validators, request keys, limits, examples: all derived, so that
no view has to say it.
"""

from __future__ import annotations

import re
from typing import Any

from apiflask import APIFlask
from flask import Flask
from pydantic import BaseModel, Field

from api import access
from tenants import roles

TAGS = {
    "Me": "Who asks, and what the token may.",
    "Catalogue": "What can be ordered, and the versions of the offers.",
    "Orders": "Requests of members: placed with a frozen price, decided step by step.",
    "Services": "What orders made, and what may be done with it.",
    "Snapshots": "Services as they were, by hand and on schedule.",
    "Exports": "Leaving with one's data: an application's archive, and the certificate of a deletion.",
    "Upgrades": "Newer versions that the DSI plans, in each member's window of maintenance.",
    "Backups": "Copies of an application's data, encrypted, in the agglomeration's vault.",
    "Flows": "Runs of operations, step by step.",
    "Costs": "What the month costs so far, and the year's budget.",
    "Statements": "Accounts for a month, which prove their sums.",
    "People": "Accounts, their roles, and who stands in for whom.",
    "Tokens": "Keys to this API.",
    "Webhooks": "Who is told of events, and what was sent.",
    "Members": "The communes and bodies that share the cloud (DSI).",
    "Drift": "Guests that are no longer as their plays make them.",
    "Usage": "Until when the cloud was read, and what was done there without us (DSI, finance).",
    "Capacity": "What the cloud has left (DSI).",
    "Policy": "Who must approve which orders.",
    "Prices": "The price book, and tariffs being prepared.",
    "VAT": "Rates, words of the law, unit costs, and what is agreed with each member (finance).",
    "Keys": "The voted keys that share common costs, and what another would have given (finance).",
    "Accounting": "What the platform costs, entry by entry; the unit cost; how members pay (finance).",
    "Periods": "Billing months: draft, check, close (finance).",
    "Announcements": "What the DSI has to say.",
    "Audit": "Who did what, when.",
}
DESCRIPTION = """Everything that the pages can do. Amounts are decimal strings in euros, instants ISO 8601 in UTC.

Lists take `limit` and `after`; the next page is in `next` and in the header `Link`. A POST with an `Idempotency-Key`
is done once: the same request with the same key within a day gets the same answer. Single resources have an `ETag`;
send it back as `If-Match` with a change, which is refused with 412 when it was changed meanwhile. Each token has a
number of requests and changes a minute (`RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset`). An operation
names the scope that a token needs; one's role must allow it too."""
PROBLEMS = {
    "400": "The body is no JSON",
    "401": "The token is missing, unknown, expired or revoked",
    "403": "Role or scope do not allow it, or it is not the caller's turn",
    "404": "It does not exist, or not for the caller",
    "406": "We do not answer in the form that was asked for",
    "409": "It does not fit the present state; the code says why",
    "412": "It was changed since the caller read it",
    "413": "The body is larger than 64 KiB",
    "415": "The body is not JSON",
    "422": "A field, or what was asked for, can't be accepted; `errors` names the fields",
    "429": "Too many requests; `Retry-After` says how long to wait",
    "503": "Something that we need does not answer now; nothing was lost",
}
LIMITS = {
    "RateLimit-Limit": "Requests that a minute allows",
    "RateLimit-Remaining": "How many are left",
    "RateLimit-Reset": "Seconds until the next minute begins",
}
TEXTS = ("text/csv", "application/x-ndjson")  # media types whose answers are text; of others we say nothing
WHOLE = {"schema": {"type": "integer", "minimum": 0}}


class Fault(BaseModel):
    """One field that can't be accepted."""

    parameter: str
    code: str
    sentence: str


class Problem(BaseModel):
    """Why a request was refused. Some codes add facts of their own, such as the quota that was met.

    code: a stable word for programs; detail: a sentence for people; action: what to do next;
    retryable: the same request may succeed later.
    """

    type: str = Field(examples=["urn:clocher:error:quota_exceeded"])
    title: str
    status: int = Field(examples=[409])
    detail: str
    code: str = Field(examples=["quota_exceeded"])
    action: str
    retryable: bool
    errors: list[dict[str, Any]] | None = None


def install(app: APIFlask) -> None:
    """Complete the document of `app`, which is made when it is first asked for."""
    scopes = "; ".join(f"`{name}`: {words['en']}" for name, words in roles.titles("scopes").items())
    said = f"A token of the pages (“Tokens”) or of `clocher tokens make`. Its scopes narrow its roles: {scopes}."
    app.security_schemes = {"token": {"type": "http", "scheme": "bearer", "description": said}}
    app.config["AUTO_SERVERS"] = False  # the document must not say which host it was asked of
    app.description = DESCRIPTION
    app.spec_processor(lambda document: _complete(app, document))


def path_of(rule: str) -> str:
    """A Flask rule as OpenAPI writes it."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule)


def _endpoints(app: Flask) -> dict[tuple[str, str], str]:
    return {
        (path_of(rule.rule), method.lower()): rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def _complete(app: Flask, document: Any) -> Any:
    document["tags"] = [{"name": name, "description": said} for name, said in TAGS.items()]
    components = document["components"]
    schemas = components["schemas"]
    for unused in ("HTTPError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = Problem.model_json_schema()
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {
        f"Problem{status}": {"description": said, "content": content, **_waiting(status)}
        for status, said in PROBLEMS.items()
    }
    components["headers"] = {name: {"description": said, **WHOLE} for name, said in LIMITS.items()}
    endpoints = _endpoints(app)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete_operation(app, operation, path, method, endpoints[path, method], schemas)
    return document


def _waiting(status: str) -> dict[str, Any]:
    if status not in ("429", "503"):
        return {}
    return {"headers": {"Retry-After": {"description": "Seconds to wait", **WHOLE}}}


def _complete_operation(
    app: Flask, operation: Any, path: str, method: str, endpoint: str, schemas: dict[str, Any]
) -> None:
    from api.v1 import frame  # the views import this package's neighbours

    rule = access.RULES[endpoint]
    act = roles.acts().get(rule)
    operation["operationId"] = endpoint.replace(".", "_")
    operation["security"] = [{"token": [act.scope] if act else []}]
    may = f"Act `{rule}`, scope `{act.scope}`; roles: {', '.join(sorted(act.roles))}." if act else "Any role."
    operation["description"] = f"{operation.get('description', '')}\n\n{may}".strip()
    about = {path_of(shown) for shown, *_ in frame.resources(app).values()}
    single = method == "get" and path in about
    conditional = method != "get" and any(path == one or path.startswith(f"{one}/") for one in about)
    _say_parameters(operation, path, method, conditional)
    refuses = "409" in operation["responses"]
    _say_answers(operation, method, endpoint, single)
    _say_problems(operation, path, method, conditional, refuses)
    body = operation.get("requestBody")
    if body:
        [media] = body["content"].values()
        body["required"] = bool(_resolve(media["schema"], schemas).get("required"))
        _exemplify(body["content"], schemas)


def _say_parameters(operation: Any, path: str, method: str, conditional: bool) -> None:
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "header":
            parameter["name"] = "Idempotency-Key"
        elif parameter["in"] == "path":
            _say_path(parameter)
    named = {parameter["name"] for parameter in parameters}
    if method == "post" and "Idempotency-Key" not in named:
        said = "The same request with the same key within a day is done once and gets the same answer."
        parameters.append(_header("Idempotency-Key", said, {"minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"}))
    if conditional:
        said = "The `ETag` of what was read; when it was changed since, nothing is done (412)."
        parameters.append(_header("If-Match", said, {}))
    if method == "get":
        parameters.append(_header("If-None-Match", "The `ETag` of what one has; 304 when it is still so.", {}))


def _say_path(parameter: Any) -> None:
    if parameter["schema"].get("type") == "integer":
        parameter["schema"] |= {"minimum": 1, "maximum": 2**31 - 1, "examples": [1]}
    elif parameter["name"] == "month":
        parameter["schema"] |= {"pattern": "^20[0-9]{2}-(0[1-9]|1[0-2])$", "examples": ["2026-10"]}
    else:
        parameter["schema"] |= {"pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 40, "examples": ["brevaux"]}


def _header(name: str, said: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": False, "description": said, "schema": {"type": "string", **more}}


def _say_answers(operation: Any, method: str, endpoint: str, single: bool) -> None:
    kept = {status: answer for status, answer in operation["responses"].items() if status < "400"}
    for status, answer in kept.items():
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in LIMITS}
        if single or (method == "get" and status == "200"):
            answer["headers"]["ETag"] = {"description": "What to send as If-Match", "schema": {"type": "string"}}
        if said := re.match(r"An? ([a-z]+/[a-z.+-]+) file", answer.get("description", "")):
            answer["content"] = {said[1]: {"schema": {"type": "string"} if said[1] in TEXTS else {}}}
        if status == "204":
            answer.pop("content", None)
    operation["responses"] = kept
    if method == "get":
        kept["304"] = {"description": "It is still as `If-None-Match` says"}


def _say_problems(operation: Any, path: str, method: str, conditional: bool, refuses: bool) -> None:
    """refuses: the view itself says that it answers 409, though it only reads."""
    takes_body, changes = "requestBody" in operation, method != "get"
    query = any(parameter["in"] == "query" for parameter in operation["parameters"])
    wanted = {
        "400": takes_body,
        "401": True,
        "403": True,
        "404": "{" in path or query or takes_body,
        "406": True,
        "409": changes or refuses,
        "412": conditional,
        "413": takes_body,
        "415": changes,
        "422": changes or query or "{" in path,
        "429": True,
        "503": True,
    }
    for status, said in wanted.items():
        if said:
            operation["responses"][status] = {"$ref": f"#/components/responses/Problem{status}"}


def _resolve(schema: Any, schemas: dict[str, Any]) -> Any:
    return schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _exemplify(content: Any, schemas: dict[str, Any]) -> None:
    for media in content.values():
        media.setdefault("example", example(media["schema"], schemas))


def example(schema: Any, schemas: dict[str, Any]) -> Any:
    """A value that a schema would accept, made of its examples, defaults and types."""
    schema = _resolve(schema, schemas)
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    if "example" in schema or "default" in schema:
        return schema.get("example", schema.get("default"))
    if choice := schema.get("anyOf") or schema.get("allOf"):
        return example(choice[0], schemas)
    return _by_type(schema, schemas)


def _by_type(schema: Any, schemas: dict[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return {name: example(one, schemas) for name, one in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema["items"], schemas)] if schema.get("items") else []
    if kind == "string":
        formats = {"date-time": "2026-11-23T14:05:00Z", "date": "2026-11-23",
                   "uuid": "6f1ed002-ab5c-4a4f-9f2e-0c2f6f1d8f3a"}  # fmt: skip
        return formats.get(schema.get("format", ""), "…")
    return {"integer": max(1, schema.get("minimum", 1)), "number": 1, "boolean": False}.get(kind or "")
