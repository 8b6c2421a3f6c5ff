"""Runs Meta ARE's real package for the backend ``are``: a line of JSON for each request and answer.

This file runs as a program in whichever Python has the package (3.10 or newer); it knows nothing of
this plugin. Importing the package reads ``.env`` files, seeds the global generator, makes a
temporary folder and leaves handlers behind: here, that is nobody else's.

The clock stands still until the world is told to go on, and the package's event loop never runs:
events happen one by one, each at its own time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import functools
import json
import logging
import math
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

# Its own folder must not stand before the package: the module beside this one is called `are`, too.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent]

# The user's messages reach agents as notifications; the benchmark takes these tools away.
READING = {
    "AgentUserInterface__get_last_message_from_user",
    "AgentUserInterface__get_last_message_from_agent",
    "AgentUserInterface__get_last_unread_messages",
    "AgentUserInterface__get_all_messages",
}
# The judge calls this tool by another name, whatever the oracle uses.
ALWAYS = {"SandboxLocalFileSystem__mkdir"}


class Refusal(Exception):  # noqa: N818 - an answer, not a programming error
    """What is answered to a request; the kind says whose fault it is."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def load_package() -> str:
    """Import what has to be changed in the package, and return its version.

    Raises:
        Refusal: it is not here, or another version than the one that this is written for.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("meta-agents-research-environments")
    except PackageNotFoundError:
        raise Refusal("missing", f"{sys.executable} has no Meta ARE") from None
    if found.split(".")[:2] != ["1", "2"]:
        raise Refusal("version", f"{sys.executable} has Meta ARE {found}, but needed is 1.2.x")
    import dotenv

    dotenv.load_dotenv = lambda *_, **__: False
    from are.simulation import environment, time_manager
    from are.simulation.validation.utils import llm_utils

    class FrozenTime(time_manager.TimeManager):  # type: ignore[misc, unused-ignore]
        """A clock that only its offset moves."""

        def time_passed(self) -> float:
            return float(self.offset)

        def pause(self) -> None:
            """It never runs."""

        def resume(self) -> None:
            """It never runs."""

    environment.TimeManager = FrozenTime
    # Every judge fills the same texts into the same templates, thousands of times.
    llm_utils.jinja_format = functools.lru_cache(maxsize=2**14)(llm_utils.jinja_format)
    return found


class World:
    """A scenario in the real package, played by whoever sends requests.

    Args:
        text: the scenario's JSON.
        ask: puts a conversation to the model of the judge, and returns its answer.
        verbosity: low, medium or high: what the agent is told of.
        duration: simulated seconds until the end; None: the scenario's own.
        seed: of the global generator, from which the package draws.
    """

    def __init__(
        self,
        text: str,
        ask: Callable[[list[dict[str, str]]], str],
        verbosity: str,
        duration: float | None,
        seed: int,
    ) -> None:
        from are.simulation.environment import Environment, EnvironmentConfig
        from are.simulation.notification_system import VerboseNotificationSystem, VerbosityLevel
        from are.simulation.types import EnvironmentState, EnvironmentType

        random.seed(seed)
        self.why: str | None = None
        self.verdicts: list[dict[str, Any]] = []
        self.scenario = scenario = prepared(text, ask, duration)
        config = EnvironmentConfig(
            start_time=scenario.start_time or 0,
            time_increment_in_seconds=scenario.time_increment_in_seconds,
        )
        level = VerboseNotificationSystem(VerbosityLevel[verbosity.upper()])
        self.env = env = Environment(config, EnvironmentType.CLI, level)
        env.duration = scenario.duration
        self.end = env.start_time + (math.inf if env.duration is None else env.duration)
        env.register_apps(scenario.apps)
        env.schedule(scenario.events)
        env.get_app("AgentUserInterface").wait_for_user_response = False
        env.state = EnvironmentState.RUNNING
        env.prepare_events_for_start()
        self.tools = {tool.name: tool for tool in scenario.get_tools() if tool.name not in READING}
        self._tick()

    @property
    def turn(self) -> int:
        """How many messages the agent has sent to the user."""
        from are.simulation.scenarios.utils.turn_conditions import is_send_message_to_user

        events = self.env.event_log.list_view()
        return sum(is_send_message_to_user(e) and not e.failed() for e in events)

    def state(self) -> dict[str, Any]:
        """Return what is asked for after every request."""
        now = self.env.time_manager.time()
        return {"now": now, "turn": self.turn, "why": self.why, "verdicts": self.verdicts}

    def call(self, name: str, arguments: dict[str, Any] | str) -> dict[str, Any]:
        """Call a tool as the agent; text is read as the package's own agent has it read."""
        if self.why:
            raise Refusal("tool", f"the world is over ({self.why})")
        if isinstance(arguments, str):
            arguments = parsed(name, arguments)
        if name not in self.tools:
            raise Refusal("tool", f"there is no tool {name!r}")
        try:
            result = self.tools[name](**arguments)
        except Exception as error:
            raise Refusal("tool", str(error) or type(error).__name__) from error
        finally:
            self._look()
        return {"value": plain(result), "text": str(result)}

    def advance(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        target = self.env.time_manager.time() + seconds
        while not self.why and (due := self._due()) < target:
            self._go_to(due)
        if not self.why:
            self._go_to(target)

    def wait(self, timeout: float | None) -> None:
        """Let time pass until there is something new for the agent, or the end, or the timeout."""
        now = self.env.time_manager.time
        limit = math.inf if timeout is None else now() + timeout
        news = self.env.notification_system.message_queue
        while not self.why and not news.has_new_messages(self._moment()) and now() < limit:
            target = min(self._due(), limit)
            if math.isinf(min(target, self.end)):
                self._end("stopped")
            else:
                self._go_to(target)

    def notifications(self) -> list[dict[str, Any]]:
        """Return what is new for the agent, in order; it is new only once."""
        queue = self.env.notification_system.message_queue
        return [
            {
                "kind": message.message_type.value,
                "text": message.message,
                "time": message.timestamp.timestamp(),
            }
            for message in queue.get_by_timestamp(self._moment())
            if message.message_type.value != "ENVIRONMENT_STOP"
        ]

    def stop(self) -> None:
        """End the world before its time."""
        if not self.why:
            self._end("stopped")

    def log(self) -> list[dict[str, Any]]:
        """Return what has happened, in order."""
        from are.simulation.scenarios.utils.turn_conditions import is_send_message_to_user

        entries, turn = [], 0
        for event in self.env.event_log.list_view():
            if not hasattr(event.action, "args"):
                continue  # a condition
            write = event.action.operation_type is not None and (
                event.action.operation_type.name == "WRITE"
            )
            arguments = {k: plain(v) for k, v in event.get_args().items() if k != "self"}
            entries.append(
                {
                    "id": event.event_id,
                    "kind": event.event_type.value,
                    "time": event.event_time,
                    "app": event.app_name(),
                    "app_class": event.app_class_name(),
                    "function": event.function_name(),
                    "write": write,
                    "arguments": arguments,
                    "result": plain(event.metadata.return_value),
                    "error": event.metadata.exception,
                    "turn": turn,
                    "noise": "env_expansion" in event.event_id,
                }
            )
            turn += is_send_message_to_user(event)
        return entries

    def _moment(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.env.time_manager.time(), tz=dt.timezone.utc)  # noqa: UP017 - new in Python 3.11

    @property
    def _answered(self) -> bool:
        """Whether the agent has sent a message to the user that is not judged yet."""
        return bool(self.turn > self.scenario.judge.state.turn_idx + 1)

    def _due(self) -> float:
        """Return when something happens next: a check need not, before the agent has answered."""
        from are.simulation.types import ConditionCheckEvent

        answered = self._answered
        events = self.env.event_queue.list_view()
        return min(
            (e.event_time for e in events if answered or type(e) is not ConditionCheckEvent),
            default=math.inf,
        )

    def _go_to(self, time: float) -> None:
        clock, queue = self.env.time_manager, self.env.event_queue.future_events
        now, answered = max(clock.time(), min(time, self.end)), self._answered
        while not answered and (check := queue.peek()) and check.event_time <= now - 1:
            queue.get()  # it would be made every second, and logged
            check.event_time += math.floor(now - check.event_time)
            queue.put(check)
        clock.add_offset(now - clock.time())
        self._tick()
        if time > self.end and not self.why:
            self._end("duration")

    def _tick(self) -> None:
        try:
            self.env.tick()
        except Refusal:
            raise
        except Exception as error:  # noqa: BLE001 - the judge's, as of a tool that it does not know
            self.why = "rejected"
            self._note(False, f"the judge has failed: {type(error).__name__}: {error}")
        self._look()

    def _look(self) -> None:
        """See what the judge has said, and whether this is the end."""
        state = self.scenario.judge.state
        if not self.why and len(self.verdicts) <= state.turn_idx:
            self._note(state.last_turn_success, state.last_turn_rationale)
        if not self.why and self.env.stop_event.is_set():
            self.why = "rejected"
        if not self.why and self.turn >= self.scenario.nb_turns:
            self._end("finished")
        if not self.why and self.env.time_manager.time() > self.end:
            self._end("duration")  # the agent's own waiting has gone beyond it

    def _end(self, why: str) -> None:
        """Have the last turn judged; of an earlier one nothing is known but that it was not all."""
        self.why = why
        if len(self.verdicts) < self.scenario.nb_turns - 1:
            return
        result = self.scenario.validate(self.env)
        if isinstance(result.exception, Refusal):
            raise result.exception
        if result.exception is not None:
            error = result.exception
            result.rationale = f"the judge has failed: {type(error).__name__}: {error}"
        self._note(result.success, result.rationale)
        if why == "finished" and not result.success:
            self.why = "rejected"

    def _note(self, success: bool | None, rationale: str | None) -> None:
        self.verdicts.append(
            {
                "success": bool(success),
                "rationale": "" if success else str(rationale).strip(),
                "matched": dict(self.scenario.judge.state.agent_id_to_oracle_id),
            }
        )


def prepared(text: str, ask: Callable[[list[dict[str, str]]], str], duration: float | None) -> Any:
    """Import a scenario, play its oracle, and give it its judge.

    The judge makes prompts for every tool that it knows, so it gets to know only the oracle's.

    Raises:
        Refusal: the package does not take it, or its oracle fails.
    """
    from are.simulation.data_handler.importer import JsonScenarioImporter
    from are.simulation.scenarios.scenario_imported_from_json.utils import preprocess_scenario
    from are.simulation.validation.configs import GraphPerEventJudgeConfig
    from are.simulation.validation.constants import TOOL_ARG_CHECKER_TYPE_REGISTRY

    try:
        scenario, _, _ = JsonScenarioImporter().import_from_json_to_benchmark(
            text, load_completed_events=False
        )
        classes = {app.name: app.class_name or app.name for app in scenario.serialized_apps}
        actions = [event.action for event in scenario.serialized_events if event.action]
        used = ALWAYS | {f"{classes.get(one.app)}__{one.function}" for one in actions}
        judge = GraphPerEventJudgeConfig(
            engine=lambda messages, **_: (ask(messages), {}),
            per_tool_arg_to_checker_type={
                tool: checks
                for tool, checks in TOOL_ARG_CHECKER_TYPE_REGISTRY.items()
                if tool in used
            },
        )
        preprocess_scenario(scenario, judge, duration)
    except Exception as error:
        raise Refusal("scenario", f"{type(error).__name__}: {error}") from error
    if getattr(scenario, "judge", None) is None:
        raise Refusal("scenario", "it has no events of the agent, so nothing can be judged")
    if lost := classes.keys() - {app.name for app in scenario.apps}:
        # The package only logs it.
        raise Refusal(
            "scenario",
            f"it does not load the apps {', '.join(sorted(lost))}; file systems need the Hub, or in"
            " DEMO_FS_PATH the path of a local folder with its files",
        )
    return scenario


def parsed(name: str, arguments: str) -> dict[str, Any]:
    """Read the text of arguments with the package's own parser."""
    from are.simulation.agents.default_agent.tools.json_action_executor import parse_json_tool_call

    try:
        found: dict[str, Any] = parse_json_tool_call(
            f'{{"action": {json.dumps(name)}, "action_input": {arguments}}}'
        )[1]
    except Exception as error:
        raise Refusal("tool", str(error)) from error
    return found


def described(tool: Any) -> dict[str, Any]:
    """Return a tool: names, words, and the schema of its parameters."""
    from pydantic import TypeAdapter

    parameters = []
    for arg in tool.args:
        parameter = {"name": arg.name, "description": arg.description or "", "schema": {}}
        with contextlib.suppress(Exception):  # whatever has no schema may be anything
            parameter["schema"] = TypeAdapter(arg.type_obj).json_schema()
        if arg.has_default:
            parameter["default"] = plain(arg.default)
        parameters.append(parameter)
    return {
        "name": tool.name,
        "app": tool.class_instance.name,
        "app_class": type(tool.class_instance).__name__,
        "function": tool.func_name,
        "description": tool.function_description or "",
        "returns": " ".join((tool.return_description or "").split()),
        "write": bool(tool.write_operation),
        "parameters": parameters,
    }


def plain(value: Any) -> Any:
    """Return a value in types that JSON knows; of what JSON does not know, its text."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if dataclasses.is_dataclass(value):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


class Server:
    """Answers requests, one after the other; one world at most is open."""

    def __init__(self, lines: Iterator[str], out: TextIO) -> None:
        self.lines, self.out = lines, out
        self.world: World | None = None

    def serve(self) -> None:
        """Answer until there are no more requests."""
        for line in self.lines:
            request = json.loads(line)
            answer: dict[str, Any]
            try:
                answer = {"ok": self._answer(request.pop("do"), **request)}
            except Refusal as refusal:
                answer = {"refused": refusal.kind, "message": str(refusal)}
            except Exception:  # noqa: BLE001 - the other side must not wait for ever
                answer = {"refused": "internal", "message": traceback.format_exc()}
            if self.world is not None:
                answer["state"] = self.world.state()
            self._say(answer)

    def _answer(self, what: str, **values: Any) -> Any:
        if what == "hello":
            return {"version": load_package()}
        if what in {"open", "close"}:
            self.world = None
        if what == "close":
            return None
        if what == "open":
            self.world = world = World(ask=self._ask, **values)
            return {
                "start": world.env.start_time,
                "turns": world.scenario.nb_turns,
                "tools": [described(tool) for tool in world.tools.values()],
            }
        return getattr(self.world, what)(**values)

    def _ask(self, messages: list[dict[str, str]]) -> str:
        """Have the other side ask its model, in the middle of a request."""
        self._say({"ask": messages})
        answer = json.loads(next(self.lines))
        if "failed" in answer:
            raise Refusal("model", answer["failed"])
        return str(answer["answer"])

    def _say(self, message: dict[str, Any]) -> None:
        self.out.write(json.dumps(message) + "\n")
        self.out.flush()


def main() -> None:
    """Serve until the other side closes the pipe, which it does when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the package prints is no answer
    Server(iter(sys.stdin.readline, ""), out).serve()


if __name__ == "__main__":
    main()
