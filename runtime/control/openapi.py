"""The OpenAPI document, made from the operation table by msgspec's schemas."""

from functools import cache
from inspect import cleandoc
from typing import Any, Final

import msgspec

from everact.runtime import wire
from everact.runtime.operations.base import Operation
from everact.runtime.operations.engines import everact_version
from everact.runtime.operations.table import OPERATIONS
from everact.runtime.wire.refusals import Refusal

_REF: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"

_NOT_YET: Final = {
    "type": "object",
    "properties": {"not_yet": {"const": True}},
    "required": ["not_yet"],
}
_NOTHING: Final = {"type": "object", "maxProperties": 0}


@cache
def document() -> bytes:
    """The document as JSON text."""
    operations = list(OPERATIONS.values())
    codecs = [wire.codec_of(operation.request) for operation in operations]
    types: list[Any] = [Refusal, *(codec.request for codec in codecs)]
    types += [codec.answer for codec in codecs if codec.answer is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(types, schemas, strict=True))
    paths = _fixed_paths()
    for operation, codec in zip(operations, codecs, strict=True):
        answer = schema_of[codec.answer] if codec.answer is not None else _NOTHING
        request = schema_of[codec.request]
        paths[wire.path_of(operation.request)] = _path(
            operation, request, answer, components, schema_of[Refusal]
        )
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "everact",
                "version": everact_version(),
                "description": "The control endpoint of an everact engine.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"token": []}],
        }
    )


def _path(
    operation: Operation,
    request: dict[str, Any],
    answer: dict[str, Any],
    components: dict[str, Any],
    refusal: dict[str, Any],
) -> dict[str, Any]:
    summary, _, description = cleandoc(operation.request.__doc__ or "").partition("\n")
    about = {
        "tags": [operation.name.split(".")[0]],
        "summary": summary,
        "description": description.strip(),
        "responses": _responses(operation, answer, refusal),
    }
    post = about | {
        "operationId": operation.name,
        "requestBody": {"required": True, "content": {_JSON: {"schema": request}}},
    }
    if not operation.reads:
        return {"post": post}
    get = about | {
        "operationId": f"{operation.name}.get",
        "parameters": _parameters(request, components, ""),
    }
    return {"post": post, "get": get}


def _responses(
    operation: Operation, answer: dict[str, Any], refusal: dict[str, Any]
) -> dict[str, Any]:
    media = _EVENTS if operation.streams else _JSON
    schema = {"type": "string"} if operation.streams else answer
    responses: dict[str, Any] = {
        "200": {"description": "The answer.", "content": {media: {"schema": schema}}},
        "default": {
            "description": "The request was refused.",
            "content": {_JSON: {"schema": refusal}},
        },
    }
    if operation.waits:
        responses["202"] = {
            "description": "There is no answer yet: ask again.",
            "content": {_JSON: {"schema": _NOT_YET}},
        }
    return responses


def _parameters(
    schema: dict[str, Any], components: dict[str, Any], prefix: str
) -> list[dict[str, Any]]:
    """The fields of a request as query parameters, those of inner structs dotted."""
    found: list[dict[str, Any]] = []
    described = _resolved(schema, components)
    for name, field in described["properties"].items():
        inner = _resolved(field, components)
        if "properties" in inner:
            found += _parameters(field, components, f"{prefix}{name}.")
            continue
        parameter = {
            "name": prefix + name,
            "in": "query",
            "required": name in described.get("required", ()),
        }
        if _is_text(inner):
            parameter["schema"] = field
        else:
            parameter["content"] = {_JSON: {"schema": field}}
        found.append(parameter)
    return found


def _resolved(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    found = components[reference.rsplit("/", 1)[1]] if reference else schema
    return dict(found)


def _is_text(schema: dict[str, Any]) -> bool:
    options = schema.get("anyOf", [schema])
    return any(o.get("type") == "string" or "enum" in o for o in options)


def _fixed_paths() -> dict[str, Any]:
    def get(summary: str, media: str, schema: Any, more: Any = None) -> dict[str, Any]:
        content = {media: {"schema": schema}}
        responses = {"200": {"description": summary, "content": content}}
        return {
            "get": {
                "tags": ["endpoint"],
                "summary": summary,
                "responses": responses | (more or {}),
            }
        }

    health = {
        "type": "object",
        "properties": {"status": {"type": "string"}, "reason": {"type": "string"}},
        "required": ["status"],
    }
    unready = {
        "503": {
            "description": "It does not take work now; `reason` tells why.",
            "content": {_JSON: {"schema": health}},
        }
    }
    return {
        "/healthz": get("Whether the process answers.", _JSON, health),
        "/readyz": get("Whether the engine takes work.", _JSON, health, unready),
        "/metrics": get("Metrics for Prometheus.", "text/plain", {"type": "string"}),
        "/openapi.json": get("This document.", _JSON, {"type": "object"}),
    }
