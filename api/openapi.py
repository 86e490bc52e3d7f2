"""The OpenAPI document, as APIFlask derives it from the code, with our errors (RFC 9457) in the place of its own."""

from __future__ import annotations

from typing import Any

from apiflask import APIFlask
from pydantic import BaseModel


class Problem(BaseModel):
    """Why a request was refused. Some codes add facts of their own, such as the quota that was met.

    code: a stable word for programs; detail: a sentence for people; action: what to do next;
    retryable: the same request may succeed later.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    action: str
    retryable: bool


def install(app: APIFlask) -> None:
    """Put the security scheme and the errors into the document of `app`."""
    app.security_schemes = {"token": {"type": "http", "scheme": "bearer", "description": "clocher tokens make"}}
    app.config["AUTO_SERVERS"] = False  # the document must not say which host it was asked of
    app.spec_processor(_tell_problems)


def _tell_problems(document: Any) -> Any:
    schemas = document["components"]["schemas"]
    for unused in ("HTTPError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = Problem.model_json_schema()
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in document["paths"].values():
        for operation in operations.values():
            kept = {status: answer for status, answer in operation["responses"].items() if status < "400"}
            operation["responses"] = {**kept, "default": {"description": "Refused", "content": content}}
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "idempotency-key":
                    parameter["name"] = "Idempotency-Key"
    return document
