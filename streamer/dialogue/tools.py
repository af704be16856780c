"""Tools that a language model may use: an action with a JSON Schema of its arguments."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field, field_validator

from streamer.dialogue.chat import ToolCall
from streamer.dialogue.rules import Action, Strict

__all__ = ["Tool", "arguments_of", "declaration"]

NOTHING: dict[str, Any] = {"type": "object", "properties": {}}


class Tool(Strict):
    """One tool. ``{name}`` in the action's texts is the argument of that name."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = Field(min_length=1, description="when and for what the model may use it")
    parameters: dict[str, Any] = NOTHING
    """JSON Schema of an object."""
    do: Action
    timeout: float = Field(5.0, gt=0, le=60)
    """Seconds."""

    @field_validator("parameters")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        if schema.get("type") != "object":
            raise ValueError("the parameters are a schema of type object")
        try:
            import jsonschema
        except ImportError:
            return schema  # said when the node starts
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise ValueError(f"this is no JSON Schema: {error.message}") from None
        return schema


def declaration(tool: Tool) -> dict[str, Any]:
    """As the API wants it."""
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}


def arguments_of(call: ToolCall, tool: Tool) -> dict[str, str]:
    """The checked arguments as texts. Raises ValueError in words that the model understands."""
    import jsonschema

    try:
        value = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        raise ValueError("the arguments are not JSON") from None
    try:
        jsonschema.Draft202012Validator(tool.parameters).validate(value)
    except jsonschema.ValidationError as error:
        where = "/".join(map(str, error.absolute_path))
        raise ValueError(f"{where + ': ' if where else ''}{error.message[:200]}") from None
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in value.items()}
