"""One interface for every kind of agent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pytest_a2perf.errors import A2PerfError, AgentError

__all__ = ["AdaptedAgent", "adapt", "close_made"]


class AdaptedAgent:
    """Gives a user's agent the whole interface of `Agent`.

    Attributes:
        act: the user's own callable, so that calling it costs nothing extra.
        batched: it decides for a batch of observations at once.
        stateful: it may remember earlier observations of an episode.
        made: the user's object.
    """

    def __init__(self, made: Any, act: Callable[[Any], Any], *, stateful: bool) -> None:
        self.act = act
        self.batched = bool(getattr(made, "batched", False))
        self.stateful = stateful
        self.made = made

    def reset(self, seed: int) -> None:
        """Begin an episode, if the agent wants to know."""
        if self.stateful:
            self.made.reset(seed)

    def load(self, env: Any) -> None:
        """Show the agent the environment, if it wants to see it.

        Raises:
            AgentError: the agent raised.
        """
        load = getattr(self.made, "load", None)
        if not callable(load):
            return
        try:
            load(env)
        except A2PerfError:
            raise
        except Exception as error:
            raise AgentError(f"the agent's load raised {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Let the agent end what it has started, if it wants to.

        Raises:
            AgentError: the agent raised.
        """
        close_made(self.made)


class _Predictor(AdaptedAgent):
    """A model with Stable-Baselines3's ``predict``, asked deterministically where it can be.

    Its ``load``, ``reset`` and ``close`` are not called: such models give these names other
    meanings. The state of a recurrent one is kept here, and forgotten between episodes.
    """

    def __init__(self, made: Any) -> None:
        parameters = _parameters(made.predict)
        recurrent = "state" in parameters
        super().__init__(made, self._recall if recurrent else self._predict, stateful=recurrent)
        self._fixed = {"deterministic": True} if "deterministic" in parameters else {}
        self._state: Any = None

    def _predict(self, observation: Any) -> Any:
        return self.made.predict(observation, **self._fixed)[0]

    def _recall(self, observation: Any) -> Any:
        action, self._state = self.made.predict(observation, state=self._state, **self._fixed)
        return action

    def reset(self, seed: int) -> None:
        del seed
        self._state = None

    def load(self, env: Any) -> None:
        pass

    def close(self) -> None:
        pass


def adapt(made: Any, spec: object) -> AdaptedAgent:
    """Adapt an object with ``act`` or ``predict``, or a function of the observation.

    Raises:
        AgentError: it is none of these.
    """
    act = getattr(made, "act", None)
    if callable(act):
        return AdaptedAgent(made, act, stateful=callable(getattr(made, "reset", None)))
    if callable(getattr(made, "predict", None)):
        return _Predictor(made)
    if callable(made):
        return AdaptedAgent(made, made, stateful=callable(getattr(made, "reset", None)))
    methods = [
        name for name in dir(made) if not name.startswith("_") and callable(getattr(made, name))
    ]
    raise AgentError(
        f"agent {spec!r} is of type {type(made).__name__!r}: expected a function of the "
        "observation, or an object with act(observation) or predict(observation)"
        + (f"; it has {', '.join(methods[:8])}" if methods else "")
    )


def close_made(made: Any) -> None:
    """Close an object of the user's, if it can be closed.

    Raises:
        AgentError: it raised.
    """
    close = getattr(made, "close", None)
    if not callable(close):
        return
    try:
        close()
    except Exception as error:
        raise AgentError(f"the agent's close raised {type(error).__name__}: {error}") from error


def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # written in C, without a signature
        return frozenset()
