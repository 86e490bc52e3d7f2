"""The documentation of the API, rendered by us from its OpenAPI document: no script, nothing from elsewhere."""

from __future__ import annotations

import json
from typing import Any

from apiflask import APIBlueprint
from flask import current_app, render_template
from markupsafe import Markup, escape

from api import auth, openapi
from orchestrator.errors import NotFound

blueprint = APIBlueprint("reference_pages", __name__, url_prefix="/api/docs", enable_openapi=False)
METHODS = ("get", "post", "put", "patch", "delete")


def _document() -> Any:
    return current_app._get_spec("json")  # type: ignore[attr-defined]


@blueprint.get("")
def index() -> str:
    """What holds for every call, and every operation by subject."""
    document = _document()
    by_tag = {name: [one for one in _operations(document) if one["tag"] == name] for name in openapi.TAGS}
    shown = {"tags": openapi.TAGS, "by_tag": by_tag, "url": auth.settings().public_url, "paragraphs": _paragraphs()}
    return render_template("reference/index.html", **shown)


def _paragraphs() -> list[Markup]:
    return [prose(part.replace("\n", " ")) for part in openapi.DESCRIPTION.split("\n\n")]


def prose(text: str) -> Markup:
    """A text whose `words between backquotes` are code."""
    parts = text.split("`")
    made = (f"<code>{escape(part)}</code>" if place % 2 else str(escape(part)) for place, part in enumerate(parts))
    return Markup("".join(made))  # noqa: S704  (each part was escaped)


@blueprint.get("/<subject>")
def subject(subject: str) -> str:
    """Every operation of one subject, whole; or the schemas."""
    document = _document()
    if subject == "schemas":
        return render_template("reference/schemas.html", schemas=_schemas(document), tags=openapi.TAGS)
    name = next((tag for tag in openapi.TAGS if tag.lower() == subject), None)
    if name is None:
        raise NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    found = [_whole(one, document) for one in _operations(document) if one["tag"] == name]
    return render_template("reference/subject.html", name=name, said=openapi.TAGS[name], operations=found)


def _operations(document: Any) -> list[dict[str, Any]]:
    """Every operation: tag, id, method, path, summary, and itself."""
    return [
        {"tag": said["tags"][0], "id": said["operationId"], "method": method.upper(), "path": path,
         "summary": said.get("summary", ""), "said": said}
        for path, methods in document["paths"].items()
        for method, said in methods.items()
        if method in METHODS
    ]  # fmt: skip


def _whole(one: dict[str, Any], document: Any) -> dict[str, Any]:
    said, schemas = one["said"], document["components"]["schemas"]
    body = next(iter(said.get("requestBody", {}).get("content", {}).values()), None)
    parameters = [
        {**row, "kind": kind(row["schema"]), "rule": bounds(row["schema"]), "text": prose(row.get("description", ""))}
        for row in said["parameters"]
    ]
    return {
        **one,
        "text": prose(said["description"]),
        "parameters": parameters,
        "body": body and _table(body["schema"], schemas),
        "example": body and pretty(body["example"]),
        "answers": [_answer(status, answer, document) for status, answer in said["responses"].items()],
        "answer": _answer_example(said, schemas),
        "curl": _curl(one, body),
    }


def _table(schema: Any, schemas: Any) -> dict[str, Any]:
    """A schema as people read it: its name, what it says, its fields."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found = schemas[name] if name else schema
    needed = found.get("required", ())
    fields = [
        {"name": field, "kind": kind(rule), "rule": bounds(rule), "needed": field in needed, "ref": reference(rule)}
        for field, rule in found.get("properties", {}).items()
    ]
    return {"name": name, "text": found.get("description", ""), "fields": fields}


def _schemas(document: Any) -> list[dict[str, Any]]:
    schemas = document["components"]["schemas"]
    return [_table({"$ref": f"#/components/schemas/{name}"}, schemas) for name in sorted(schemas)]


def kind(schema: Any) -> str:
    """The type of a value in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if choice := schema.get("anyOf"):
        return " | ".join(kind(one) for one in choice)
    if schema.get("type") == "array":
        return f"[{kind(schema.get('items', {}))}]"
    said = schema.get("type", "any")
    return f"{said} ({schema['format']})" if "format" in schema else str(said)


def reference(schema: Any) -> str:
    """The schema that a field leads to, if any."""
    for one in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
        if "$ref" in one:
            return str(one["$ref"].rpartition("/")[2])
    return ""


def bounds(schema: Any) -> str:
    """What a value must fulfil."""
    told = [" | ".join(map(str, schema["enum"]))] if "enum" in schema else []
    names = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "default")
    told += [f"{name} {json.dumps(schema[name], ensure_ascii=False)}" for name in names if schema.get(name) is not None]
    told += [bounds(one) for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return ", ".join(one for one in told if one)


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def _answer(status: str, answer: Any, document: Any) -> dict[str, Any]:
    found = answer
    if "$ref" in answer:
        found = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    content = found.get("content", {})
    schema: Any = next((media["schema"] for media in content.values()), {})
    return {"status": status, "text": found["description"], "form": ", ".join(content), "ref": reference(schema)}


def _answer_example(said: Any, schemas: Any) -> str:
    for status, answer in said["responses"].items():
        content = answer.get("content", {}).get("application/json") if status < "300" else None
        if content:
            return pretty(content.get("example", openapi.example(content["schema"], schemas)))
    return ""


def _curl(one: dict[str, Any], body: Any) -> str:
    path = one["path"]
    for row in one["said"]["parameters"]:
        if row["in"] == "path":
            path = path.replace(f"{{{row['name']}}}", str(openapi.example(row["schema"], {})))
    words = ["curl", '-H "Authorization: Bearer $CLOCHER_TOKEN"']
    words += [f"-X {one['method']}"] if one["method"] != "GET" else []
    words += ['-H "Idempotency-Key: $(uuidgen)"'] if one["method"] == "POST" else []
    if body:
        data = json.dumps(body["example"], ensure_ascii=False).replace("'", "’")
        words += ["-H 'Content-Type: application/json'", f"-d '{data}'"]
    return " ".join([*words, f"{auth.settings().public_url}{path}"])
