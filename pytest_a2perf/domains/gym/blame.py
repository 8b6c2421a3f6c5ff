"""Whose fault it is: an agent's action outside the space, or an environment that breaks."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from gymnasium import spaces

from pytest_a2perf.errors import A2PerfError, AgentError, InfraError

__all__ = ["action_problem", "agents_fault", "bad_reward", "environments_fault", "plain"]

_COLOUR = re.compile(r"\x1b\[\d+m")


def action_problem(space: spaces.Space[Any], action: Any) -> str | None:
    """Say what makes an action none of the space's, or None.

    More lenient than ``Space.contains`` on a ``Box``: its element type does not matter, and its
    bounds are left to the environment, which may clip.
    """
    if not isinstance(space, spaces.Box):
        try:
            legal = space.contains(action)
        except Exception:  # noqa: BLE001 - an action so odd that the space cannot tell
            legal = False
        return None if legal else f"the agent's action {_short(action)} is not in {space}"
    try:
        array = np.asarray(action, dtype=float)
    except (TypeError, ValueError):
        return f"the agent's action {_short(action)} is not in {space}"
    if array.shape != space.shape:
        return (
            f"the agent's action {_short(action)} has shape {array.shape}, "
            f"but the environment takes {space.shape}"
        )
    if not np.isfinite(array).all():
        return f"the agent's action {_short(action)} is not finite"
    return None


def agents_fault(error: Exception, seed: int, step: int | None) -> AgentError:
    """Make the error of an agent that raised; the caller raises it ``from`` the original."""
    what = "reset" if step is None else "act"
    return AgentError(
        f"{type(error).__name__}: {error}\nraised by the agent's {what} ({_where(seed, step)})"
    )


def environments_fault(
    error: Exception, problem: str | None, seed: int, step: int | None
) -> A2PerfError:
    """Make the error of a step that raised: the agent's if its action has a problem."""
    if problem is not None:
        return AgentError(f"{problem} ({_where(seed, step)})")
    what = "reset" if step is None else "step"
    return InfraError(
        f"the environment raised {type(error).__name__} in {what}: {plain(error)} "
        f"({_where(seed, step)})"
    )


def bad_reward(reward: Any, seed: int, step: int) -> InfraError:
    """Make the error of a reward that is no finite number."""
    return InfraError(f"the environment gave the reward {reward!r} ({_where(seed, step)})")


def plain(error: object) -> str:
    """Return a message without the colours that Gymnasium puts in."""
    return _COLOUR.sub("", str(error))


def _where(seed: int, step: int | None) -> str:
    return f"seed {seed}" if step is None else f"seed {seed}, step {step}"


def _short(action: Any) -> str:
    text = repr(action)
    return text if len(text) <= 80 else f"{text[:77]}..."
