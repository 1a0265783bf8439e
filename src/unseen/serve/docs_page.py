"""The API's description as one page without scripts, from the same document that programs read."""

from __future__ import annotations

from html import escape
from typing import Any

_METHODS = ("get", "post", "delete")


def docs_page(openapi: dict[str, Any]) -> str:
    """HTML of an OpenAPI document."""
    parts = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>{_operation(operation)}</section>"
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
        if method in _METHODS
    ]
    schemas = "".join(
        f"<section id='{escape(name)}'><h2>{escape(name)}</h2><p>{escape(schema.get('description', ''))}</p>"
        f"{_properties(schema)}</section>"
        for name, schema in openapi.get("components", {}).get("schemas", {}).items()
    )
    title = escape(openapi["info"]["title"])
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<main><h1>{title}</h1><p>{escape(openapi['info'].get('description', ''))} "
        f"The same for programs: <a href='/openapi.json'>/openapi.json</a>.</p>{''.join(parts)}{schemas}</main></html>"
    )


def _operation(operation: dict[str, Any]) -> str:
    rows = [
        (f"{p['name']} ({p['in']})", p.get("description", ""), _type(p["schema"]))
        for p in operation.get("parameters", ())
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        rows.append(("body", kind, _type(content["schema"])))
        rows += [
            (name, found.get("description", ""), _type(found))
            for name, found in content["schema"].get("properties", {}).items()
        ]
    replies = [
        (status, reply["description"], _replied(reply)) for status, reply in sorted(operation["responses"].items())
    ]
    return f"<p>{escape(operation.get('description', ''))}</p>{_table(rows)}<h3>Replies</h3>{_table(replies)}"


def _replied(reply: dict[str, Any]) -> str:
    return ", ".join(f"{escape(kind)} {_type(found['schema'])}" for kind, found in reply.get("content", {}).items())


def _properties(schema: dict[str, Any]) -> str:
    return _table([(name, "", _type(found)) for name, found in schema.get("properties", {}).items()])


def _table(rows: list[tuple[str, str, str]]) -> str:
    """Rows of a name, a text and HTML."""
    cells = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td><td>{c}</td></tr>" for a, b, c in rows)
    return f"<table>{cells}</table>" if cells else ""


def _type(schema: dict[str, Any]) -> str:
    """A schema in a word or two, linked where it has a name."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "enum" in schema:
        return escape(", ".join(map(str, schema["enum"])))
    kind = schema.get("type", "anything")
    return escape(" or ".join(kind) if isinstance(kind, list) else kind)
