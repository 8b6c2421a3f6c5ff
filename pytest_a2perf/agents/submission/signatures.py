"""The signatures that submissions use: A2Perf's README, template and code each want another."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["ENV", "OBSERVATION", "POLICY", "PREPROCESSED", "SPEC", "Role", "bind", "taken", "takes"]


@dataclass(frozen=True, slots=True)
class Role:
    """A value that is handed to a function.

    Attributes:
        names: that its parameter may have; the first is A2Perf's own.
        required: the function must take it.
        spread: a function that only has ``**kwargs`` gets it, too.
    """

    names: tuple[str, ...]
    required: bool = True
    spread: bool = True


ENV = Role(("env", "environment"), required=False, spread=False)
OBSERVATION = Role(("observation", "obs"))
SPEC = Role(("time_step_spec",), required=False)
POLICY = Role(("policy", "model", "agent"))
PREPROCESSED = Role(("preprocessed_observation", "observation", "obs"))

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_IN_ORDER = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def bind(
    function: Callable[..., Any], *roles: Role, options: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """Return a function of the roles' values, in order, that calls ``function`` as it wants.

    A value goes to the parameter that has one of its role's names, else to the first parameter
    without a default that is left, in order.

    Args:
        function: of the submission.
        roles: of the values.
        options: more arguments, by name.

    Raises:
        AgentError: a required value or an option has no parameter, or a parameter no value.
    """
    options = dict(options or {})
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C, without a signature
        return lambda *values: function(*values, **options)
    kinds = {parameter.kind for parameter in parameters.values()}
    open_ended = inspect.Parameter.VAR_KEYWORD in kinds
    by_role = _assign(parameters, roles, options, open_ended=open_ended)
    if inspect.Parameter.VAR_POSITIONAL in kinds and len(by_role) < len(roles):
        return lambda *values: function(*values, **options)
    missing = [role for role in roles if role.required and role not in by_role]
    if missing:
        raise _misfit(function, parameters, f"takes no {missing[0].names[0]}", roles)
    if not open_ended:
        for name in options:
            if name not in parameters:
                hint = did_you_mean(name, set(parameters) - set(by_role.values()))
                raise AgentError(f"{_name(function)}() has no option {name!r}{hint}")
    for parameter in parameters.values():
        wanted = parameter.kind in {*_BY_NAME, *_IN_ORDER} and parameter.default is parameter.empty
        if wanted and parameter.name not in {*by_role.values(), *options}:
            raise AgentError(
                f"{_name(function)}() needs {parameter.name!r}: set agent_options.{parameter.name}"
            )
    nameless = {name for name in parameters if parameters[name].kind not in _BY_NAME}
    in_order = [roles.index(role) for role, name in by_role.items() if name in nameless]
    keywords = {name: roles.index(role) for role, name in by_role.items() if name not in nameless}
    return lambda *values: function(
        *[values[index] for index in in_order],
        **{name: values[index] for name, index in keywords.items()},
        **options,
    )


def takes(
    function: Callable[..., Any], *roles: Role, options: Mapping[str, Any] | None = None
) -> bool:
    """Whether `bind` would hand the last role's value on to a function."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C, without a signature
        return True
    kinds = {parameter.kind for parameter in parameters.values()}
    open_ended = inspect.Parameter.VAR_KEYWORD in kinds
    found = _assign(parameters, roles, options or {}, open_ended=open_ended)
    return roles[-1] in found or inspect.Parameter.VAR_POSITIONAL in kinds


def taken(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the options that a function takes."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C, without a signature
        return {}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(options)
    return {name: value for name, value in options.items() if name in parameters}


def _assign(
    parameters: Mapping[str, inspect.Parameter],
    roles: Collection[Role],
    options: Collection[str],
    *,
    open_ended: bool,
) -> dict[Role, str]:
    """Return the parameter of each role that has one."""
    named = {name for name, parameter in parameters.items() if parameter.kind in _BY_NAME}
    found: dict[Role, str] = {}
    for role in roles:
        for name in role.names:
            if name in named and name not in options and name not in found.values():
                found[role] = name
                break
    free = [
        parameter
        for name, parameter in parameters.items()
        if parameter.kind in _IN_ORDER and name not in options and name not in found.values()
    ]
    for role in roles:
        if role in found:
            continue
        fits = [one for one in free if role.required or one.default is one.empty]
        if fits:
            found[role] = fits[0].name
            free.remove(fits[0])
        elif open_ended and role.spread:
            found[role] = role.names[0]
    return found


def _misfit(
    function: Callable[..., Any], parameters: Mapping[str, Any], what: str, roles: Collection[Role]
) -> AgentError:
    wanted = ", ".join(role.names[0] for role in roles if role.required)
    name, has = _name(function), ", ".join(parameters)
    return AgentError(f"{name}({has}) {what}; A2Perf calls {name}({wanted})")


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
