"""Checks that a scenario's author gives for single events, instead of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.judge.checks import CHECKS, LISTS
from pytest_a2perf.domains.assistant.judge.oracle import Oracle
from pytest_a2perf.suggest import did_you_mean

__all__ = ["Scripted", "read_scripted"]

Scripted = Mapping[str, Mapping[str, Sequence[tuple[str, list[str]]]]]
"""Checks by event and argument: the name of each, and its texts if it needs some."""


def read_scripted(data: Any, oracle: Oracle) -> Scripted:
    """Read checks from what JSON or TOML holds.

    Args:
        data: for ids of the agent's events, for names of arguments, the name of a check (``"eq"``)
            or an object of lists of texts (``{"contain_all": ["Tuesday"]}``).
        oracle: has the events.

    Raises:
        TraceError: there is no such event, argument or check; names it.
    """
    wanted = {one.id: one for turn in oracle.turns for one in turn}
    agent = {key: one for key, one in wanted.items() if one.happening.kind == "AGENT"}
    result: dict[str, dict[str, list[tuple[str, list[str]]]]] = {}
    for event_id, arguments in _items(data, "scripted checks"):
        where = f"scripted checks of {event_id!r}"
        if event_id not in agent:
            raise TraceError(
                f"{where}: the oracle has no such call that counts{did_you_mean(event_id, agent)}"
            )
        known = agent[event_id].happening.arguments
        result[event_id] = {}
        for argument, checks in _items(arguments, where):
            if argument not in known:
                function = agent[event_id].happening.function
                hint = did_you_mean(argument, known)
                raise TraceError(f"{where}: {function} has no argument {argument!r}{hint}")
            result[event_id][argument] = _checks(checks, f"{where}, argument {argument!r}")
    return result


def _checks(data: Any, where: str) -> list[tuple[str, list[str]]]:
    if isinstance(data, str):
        # ARE's own names end so.
        name = data.removesuffix("_checker")
        if name not in CHECKS:
            raise TraceError(f"{where}: unknown check {data!r}{did_you_mean(name, CHECKS)}")
        return [(name, [])]
    checks = []
    for key, texts in _items(data, where):
        name = key.removesuffix("_checker")
        if name not in LISTS:
            raise TraceError(f"{where}: unknown check {key!r}{did_you_mean(name, LISTS)}")
        if not texts or not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
            raise TraceError(f"{where}: {key} needs a list of texts, got {texts!r}")
        checks.append((name, texts))
    return checks


def _items(data: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(data, Mapping):
        raise TraceError(f"{where}: expected an object, got {data!r:.80}")
    return list(data.items())
