"""Read and check scenario files; every problem names file, line and key, and the way out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pytest_a2perf.domains.registry import get_domain
from pytest_a2perf.errors import A2PerfError, ScenarioError, UnknownNameError
from pytest_a2perf.gates.condition import GateSpec
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.scenarios.lines import KeyPath, key_lines, nearest_line
from pytest_a2perf.scenarios.models import Scenario, ScenarioFile
from pytest_a2perf.suggest import did_you_mean

__all__ = ["check_scenario", "describe_errors", "load_scenarios"]

_SYNTAX_LINE = re.compile(r" \(at line (\d+), column \d+\)")


def load_scenarios(path: Path, shown: str | None = None) -> list[tuple[Scenario, int]]:
    """Read a scenario file.

    Args:
        path: the file.
        shown: its name in messages; default: the path.

    Returns:
        The scenarios and the line on which each begins.

    Raises:
        ScenarioError: the file cannot be read, parsed or validated; all problems, one a line.
    """
    shown = shown or str(path)
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{shown}:1: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        match = _SYNTAX_LINE.search(str(error))
        line = match[1] if match else str(text.count("\n") + 1)
        message = _SYNTAX_LINE.sub("", str(error))
        raise ScenarioError(f"{shown}:{line}: not valid TOML: {message}") from error
    lines = key_lines(text)
    try:
        file = ScenarioFile.model_validate(data)
    except ValidationError as error:
        problems = describe_errors(error, ScenarioFile, data)
    else:
        scenarios = [_with_system(scenario, file.system) for scenario in file.scenario]
        problems = list(_check_file(file, scenarios))
    if problems:
        # What the file says of the system is wrong for each of its scenarios, and told once.
        problems = list(dict.fromkeys(problems))
        located = [(nearest_line(lines, path), path, message) for path, message in problems]
        raise ScenarioError(
            "\n".join(
                f"{shown}:{line}: {_where(path, data)}{message}"
                for line, path, message in sorted(located, key=lambda problem: problem[0])
            )
        )
    return [
        (scenario, nearest_line(lines, ("scenario", index)))
        for index, scenario in enumerate(scenarios)
    ]


def check_scenario(scenario: Scenario) -> Iterator[tuple[KeyPath, str]]:
    """Yield what the types cannot tell: unknown domains, options, metrics, wrong units."""
    try:
        domain = get_domain(scenario.domain)
    except UnknownNameError as error:
        yield ("domain",), str(error)
        return
    if scenario.phase not in domain.phases:
        yield (
            ("phase",),
            f"domain {domain.name!r} cannot run phase {scenario.phase!r}"
            + did_you_mean(scenario.phase, domain.phases),
        )
    try:
        domain.options.model_validate(scenario.options)
    except ValidationError as error:
        for path, message in describe_errors(error, domain.options, scenario.options):
            yield ("options", *path), message
    else:
        for key, message in domain.check(scenario):
            yield tuple(key.split(".")), message
    yield from _check_system(scenario, _system_model(scenario))
    for name, gate in scenario.gates.items():
        for message in _check_gate(name, gate):
            yield ("gates", name), message


def describe_errors(
    error: ValidationError, model: type[BaseModel], data: Any
) -> list[tuple[KeyPath, str]]:
    """Turn pydantic's errors into ``(path, message)`` in the product's own words."""
    problems: dict[KeyPath, str] = {}
    for detail in error.errors(include_url=False):
        path = _written_path(tuple(detail["loc"]), data)
        context = detail.get("ctx", {})
        if detail["type"] == "too_short" and detail["input"]:
            continue  # pydantic does not count the scenarios that have errors of their own
        match detail["type"]:
            case "extra_forbidden":
                valid = _valid_keys(model, path)
                message = f"unknown key {path[-1]!r}{did_you_mean(str(path[-1]), valid)}"
            case "missing":
                message = f"missing key {detail['loc'][-1]!r}"
            case "literal_error":
                given = detail["input"]
                message = f"expected {context['expected']}, got {given!r}"
                message += did_you_mean(str(given), re.findall(r"'([^']+)'", context["expected"]))
            case "value_error":
                message = str(context["error"])
            case "too_short" if path == ("scenario",):
                message = "expected at least one [[scenario]]"
            case _:
                text = detail["msg"].removeprefix("Input ")
                message = f"expected a value that {text}, got {detail['input']!r}"
                message = message.replace("that should be", "that is")
        # A union fails once for each member; its messages belong together.
        if path in problems and message not in problems[path]:
            message = f"{problems[path]}; or {message.removeprefix('expected ')}"
        problems[path] = message
    return list(problems.items())


def _system_model(scenario: Scenario) -> type[BaseModel] | None:
    """Return the model of ``[system]``, where the scenario's domain measures a system."""
    try:
        return getattr(get_domain(scenario.domain), "system", None)
    except UnknownNameError:
        return None  # which is a problem of its own


def _with_system(scenario: Scenario, system: dict[str, Any]) -> Scenario:
    """Add what the file says of the system to what the scenario says."""
    if not system or _system_model(scenario) is None:
        return scenario
    return scenario.model_copy(update={"system": {**system, **scenario.system}})


def _check_system(
    scenario: Scenario, model: type[BaseModel] | None
) -> Iterator[tuple[KeyPath, str]]:
    if model is None:
        if scenario.system:
            yield ("system",), f"domain {scenario.domain!r} measures no system"
        return
    try:
        model.model_validate(scenario.system)
    except ValidationError as error:
        for path, message in describe_errors(error, model, scenario.system):
            yield ("system", *path), message


def _check_file(file: ScenarioFile, scenarios: Sequence[Scenario]) -> Iterator[tuple[KeyPath, str]]:
    if file.system and not any(map(_system_model, scenarios)):
        yield ("system",), "no scenario of this file measures a system"
    names: dict[str, int] = {}
    for index, scenario in enumerate(scenarios):
        if scenario.name in names:
            yield (
                ("scenario", index, "name"),
                f"{scenario.name!r} stands twice in this file; names must be unique",
            )
        names[scenario.name] = index
        own = file.scenario[index].system
        for path, message in check_scenario(scenario):
            of_file = path[0] == "system" and len(path) > 1 and path[1] not in own
            yield (path if of_file else ("scenario", index, *path)), message


def _check_gate(name: str, gate: GateSpec) -> Iterable[str]:
    try:
        metric = resolve(name)
    except (UnknownNameError, A2PerfError) as error:
        return [str(error)]
    tolerance = gate.tolerance
    if tolerance is not None and metric.direction == "none" and gate.better is None:
        return [f"{name} may be better higher or lower: say better = 'higher' or 'lower'"]
    if name.startswith("reported."):
        return []
    own = metric.unit or "plain numbers"
    if (
        tolerance is not None
        and not tolerance.relative
        and tolerance.unit not in (None, metric.unit)
    ):
        return [f"{name} is in {own}, the tolerance in {tolerance.unit}"]
    return [
        f"{name} is in {own}, but the limit is in {condition.unit or '%'}"
        for condition in gate.conditions
        if condition.unit is not None and condition.unit != metric.unit
    ]


def _written_path(location: KeyPath, data: Any) -> KeyPath:
    """Cut a pydantic location to what the user wrote: no union tags, no missing keys."""
    path: KeyPath = ()
    for part in location:
        try:
            data = data[part]
        except (LookupError, TypeError):
            continue  # the tag of a union
        path = (*path, part)
    return path


def _valid_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys of the table in which a key stands, however deep."""
    owners = [model]
    for part in path[:-1]:
        named = [
            found
            for owner in owners
            for name, field in owner.model_fields.items()
            if part in (name, field.alias)
            for found in _models(field.annotation)
        ]
        owners = named or owners  # a number in an array, or a name in a mapping, is no field
    fields = [item for owner in owners for item in owner.model_fields.items()]
    return [field.alias or name for name, field in fields if not field.exclude]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _where(path: KeyPath, data: Any) -> str:
    """Name the scenario and the key in words."""
    words = []
    rest = path
    if len(path) >= 2 and path[0] == "scenario" and isinstance(path[1], int):
        entry = data["scenario"][path[1]]
        name = entry.get("name") if isinstance(entry, dict) else None
        words.append(f"scenario {name!r}" if name else f"scenario number {path[1] + 1}")
        rest = path[2:]
    if rest:
        words.append(f"key '{'.'.join(str(part) for part in rest)}'")
    return ", ".join(words) + ": " if words else ""
