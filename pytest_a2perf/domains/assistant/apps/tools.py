"""Tools: what agents are offered of an app, with schemas that say what is required."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from pytest_a2perf.domains.assistant.apps.app import App, Audience
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["REQUIRED", "Parameter", "Tool", "tools_of"]

REQUIRED: Any = inspect.Parameter.empty
"""Default of a parameter that has none."""

_ARGUMENT = re.compile(r" {4}(\w+)(?: \([^)]*\))?: (.*)")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a tool."""

    name: str
    annotation: Any
    description: str
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is REQUIRED

    @property
    def adapter(self) -> TypeAdapter[Any]:
        """Checks values, and knows the schema."""
        return _adapter(self.annotation)


@dataclass(frozen=True)
class _Signature:
    description: str
    parameters: tuple[Parameter, ...]
    returns: str


@dataclass(frozen=True)
class Tool:
    """A function of an app, as agents see it.

    Attributes:
        app: the instance.
        function: name of the method.
        call: the bound method.
        write: whether it is meant to change anything.
        audience: who may call it.
        name: what agents call it, ``<app>__<function>``; noise may give it another.
        description: what it does, in words; noise may give it others.
    """

    app: App
    function: str
    call: Callable[..., Any] = field(repr=False)
    write: bool
    audience: frozenset[Audience]
    name: str
    description: str

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its parameters, in order."""
        return _signature(self.call.__func__).parameters  # type: ignore[attr-defined]

    @property
    def returns(self) -> str:
        """What it returns, in words."""
        return _signature(self.call.__func__).returns  # type: ignore[attr-defined]

    def schema(self) -> dict[str, Any]:
        """Return it as a function in OpenAI's format."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": _schema(self.call.__func__),  # type: ignore[attr-defined]
            },
        }

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return all arguments of a call, defaults included.

        Raises:
            ToolError: one is unknown, missing or of the wrong type; names it.
        """
        parameters = self.parameters
        for name in arguments:
            known = [parameter.name for parameter in parameters]
            if name not in known:
                raise ToolError(f"{self.name} has no argument {name!r}{did_you_mean(name, known)}")
        bound = {}
        for parameter in parameters:
            if parameter.name in arguments:
                bound[parameter.name] = self._checked(parameter, arguments[parameter.name])
            elif parameter.required:
                raise ToolError(f"{self.name}: missing argument {parameter.name!r}")
            else:
                bound[parameter.name] = parameter.default
        return bound

    def _checked(self, parameter: Parameter, value: Any) -> Any:
        if value is None and parameter.default is None:
            return None
        try:
            return parameter.adapter.validate_python(value, strict=True)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].removeprefix("Input should be ")
            raise ToolError(
                f"{self.name}: argument {parameter.name!r} should be {reason}, got {value!r}"
            ) from None


def tools_of(app: App, audience: Audience | None = None) -> list[Tool]:
    """Return the tools of an app that somebody may call; None: all of them."""
    return [
        Tool(
            app=app,
            function=name,
            call=method,
            write=mark.write,
            audience=mark.audience,
            name=f"{app.name}__{name}",
            description=_signature(method.__func__).description,  # type: ignore[attr-defined]
        )
        for name, method, mark in app.marked()
        if audience is None or audience in mark.audience
    ]


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


@functools.cache
def _signature(function: Callable[..., Any]) -> _Signature:
    """Read annotations and docstring (Google style) of a method."""
    hints = get_type_hints(function, include_extras=True)
    text = inspect.getdoc(function) or ""
    summary, _, rest = text.partition("\nArgs:\n")
    summary = re.split(r"\n(?:Returns|Raises):\n", summary)[0]
    arguments = re.split(r"\n\n|\n(?=\w)", rest)[0]
    described: dict[str, str] = {}
    name = ""
    for line in arguments.splitlines():
        if match := _ARGUMENT.match(line):
            name = match[1]
            described[name] = match[2]
        elif name:
            described[name] += " " + line.strip()
    returns = re.search(r"\nReturns:\n((?: {4}.*\n?)+)", text)
    parameters = tuple(
        Parameter(name, hints.get(name, Any), described.get(name, ""), parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
    )
    return _Signature(
        " ".join(summary.split()), parameters, " ".join(returns[1].split()) if returns else ""
    )


@functools.cache
def _schema(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = _signature(function).parameters
    properties = {}
    for parameter in parameters:
        schema = dict(parameter.adapter.json_schema())
        if parameter.description:
            schema["description"] = parameter.description
        if not parameter.required and parameter.default is not None:
            schema["default"] = parameter.default
        properties[parameter.name] = schema
    return {
        "type": "object",
        "properties": properties,
        "required": [parameter.name for parameter in parameters if parameter.required],
        "additionalProperties": False,
    }
