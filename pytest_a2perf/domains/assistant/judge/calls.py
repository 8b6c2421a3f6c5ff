"""Which happenings count for a judge, under which tool, and in which turn."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_a2perf.domains.assistant.judge.rules import class_of
from pytest_a2perf.domains.assistant.world.happening import Happening

__all__ = ["NOISE_TAG", "SEND_TO_AGENT", "SEND_TO_USER", "counts", "tool_of", "turns_of"]

NOISE_TAG = "env_expansion"
"""In the ids of events that were added to a scenario as noise."""

SEND_TO_AGENT = ("AgentUserInterface", "send_message_to_agent")
SEND_TO_USER = ("AgentUserInterface", "send_message_to_user")


def tool_of(happening: Happening) -> tuple[str, str]:
    """Return class and function that identify a tool, whatever its app is called.

    Making nested folders is as good as making one.
    """
    app_class = class_of(happening.app_class)
    if (app_class, happening.function) == ("SandboxLocalFileSystem", "makedirs"):
        return app_class, "mkdir"
    return app_class, happening.function


def counts(happening: Happening) -> bool:
    """Whether a judge looks at it: what changed something, and was no noise.

    All that the scenario or its user did counts, but of an agent's calls only those that write. To
    ask for the price of a ride writes nothing, though its tool says so.
    """
    if happening.failed:
        return False
    if happening.kind != "AGENT":
        return not happening.noise and NOISE_TAG not in happening.id
    return happening.write and tool_of(happening) != ("CabApp", "get_quotation")


def turns_of(log: Iterable[Happening]) -> list[list[Happening]]:
    """Return what counts in order of time, cut after each message of the agent to the user."""
    turns: list[list[Happening]] = [[]]
    for happening in sorted(filter(counts, log), key=lambda happening: happening.time):
        turns[-1].append(happening)
        if happening.kind == "AGENT" and tool_of(happening) == SEND_TO_USER:
            turns.append([])
    return turns
