"""JSON Schemas of types, as the specifications have them."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec


def schemas(kinds: list[Any], template: str = "#/components/schemas/{name}") -> tuple[list[Any], dict[str, Any]]:
    """JSON Schemas (2020-12) for `kinds`, and the components that they refer to by `template`."""
    found, components = msgspec.json.schema_components(kinds, ref_template=template)
    for component in components.values():
        if "description" in component:  # a docstring, which Python dedents from 3.13 on
            component["description"] = inspect.cleandoc(component["description"])
    for name in _SAID.intersection(components):
        _sign_for_accounts(components[name])
    return _portable(list(found)), _portable(components)


_SAID = {"NewMessage", "MessageBody"}
"""Messages to send: `commands.decode` fills in the `user` that an account has left out."""


def _sign_for_accounts(schema: dict[str, Any]) -> None:
    """Say in the schema of a message to send that `user` may be left out."""
    schema["required"].remove("user")
    schema["properties"]["user"] = {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "default": None,
        "description": "An account may leave it out, and has no other name than its own; everybody else needs it.",
    }


def _portable(schema: Any) -> Any:
    """Anchors as ECMA-262 has them, which JSON Schema asks for; Python's $ would let a last newline pass."""
    if isinstance(schema, dict):
        return {name: _portable(each) for name, each in schema.items()}
    if isinstance(schema, list):
        return [_portable(each) for each in schema]
    return schema.replace(r"\A", "^").replace(r"\Z", "$") if isinstance(schema, str) else schema
