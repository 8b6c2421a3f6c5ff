"""An agent that makes the calls that a file says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pytest_a2perf.domains.assistant.agents.player import Desk
from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.domains.assistant.trace.values import resolve
from pytest_a2perf.errors import A2PerfError, AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["Call", "ScriptedAgent", "read_script"]


class Call(BaseModel):
    """A call of a script.

    Attributes:
        tool: its name, e.g. ``Emails__send_email``.
        arguments: by name; text is read as JSON, as that of a model's answer would be, so that a
            script can hold malformed ones: then nothing is called.
        wait: simulated seconds to let pass before.
        name: by which later calls can name its result, as in ``{{name}}`` or ``{{name.key}}``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tool: str
    arguments: dict[str, Any] | str = Field(default_factory=dict)
    wait: float = Field(default=0.0, ge=0)
    name: str | None = None


_SCRIPT = TypeAdapter(dict[str, list[list[Call]]])


def read_script(path: Path) -> dict[str, list[list[Call]]]:
    """Read a script: by scenario, the calls of each turn.

    Raises:
        A2PerfError: it cannot be read; names file and key.
    """
    try:
        return _SCRIPT.validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise A2PerfError(f"script {path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise A2PerfError(f"script {path}: {where}: {first['msg']}") from None


class ScriptedAgent:
    """Makes given calls, turn by turn; what is refused it has tried, and goes on.

    Args:
        turns: the calls of each turn.
    """

    def __init__(self, turns: Sequence[Sequence[Call]]) -> None:
        self._turns = turns

    @classmethod
    def of(cls, script: dict[str, list[list[Call]]], scenario_id: str) -> ScriptedAgent:
        """Return the agent for a scenario.

        Raises:
            AgentError: the script has nothing for it.
        """
        if scenario_id not in script:
            near = did_you_mean(scenario_id, script)
            raise AgentError(f"the script has no calls for the scenario {scenario_id!r}{near}")
        return cls(script[scenario_id])

    def play(self, desk: Desk) -> None:
        """Act in a world until it is over."""
        results: dict[str, Any] = {}
        for turn in self._turns:
            if not desk.over:
                desk.wait()
            desk.notifications()
            for call in turn:
                _make(desk, call, results)
        while not desk.over:
            desk.wait()
            desk.notifications()


def _make(desk: Desk, call: Call, results: dict[str, Any]) -> None:
    desk.think(call.wait)
    if desk.over:
        return
    arguments = call.arguments
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return
        if not isinstance(arguments, dict):
            return
    given = {name: resolve(value, results) for name, value in arguments.items()}
    try:
        result = desk.call(call.tool, given)
    except ToolError:
        return
    if call.name:
        results[call.name] = plain(result)
