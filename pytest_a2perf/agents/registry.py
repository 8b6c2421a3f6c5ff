"""From what a scenario names to an agent: a name, a prefix, a path, or an import path."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pytest_a2perf.agents.adapt import AdaptedAgent, adapt
from pytest_a2perf.agents.base import AgentContext, AgentFactory
from pytest_a2perf.agents.imports import import_attribute
from pytest_a2perf.errors import A2PerfError, AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = [
    "FILES",
    "agent_names",
    "closing_agents",
    "load_file",
    "make_agent",
    "make_agents",
    "make_unadapted",
    "register_agent",
]

FILES = (".onnx", ".zip")
"""Suffixes of model files that are agents."""

GROUP = "pytest_a2perf.agents"
"""Entry points of this group give an `AgentFactory`."""

_registered: dict[str, AgentFactory] = {}


def register_agent(name: str, factory: AgentFactory) -> None:
    """Register an agent: scenarios write ``name``, or ``name:text`` which passes the text on."""
    _registered[name] = factory


def agent_names() -> list[str]:
    """Return the names of all registered agents."""
    from pytest_a2perf.agents.builtin import BUILTIN

    return sorted({*BUILTIN, *_registered, *entry_points(group=GROUP).names})


def make_agent(spec: Any, context: AgentContext) -> AdaptedAgent:
    """Make an agent and get it ready for the environment.

    Args:
        spec: a registered name, ``prefix:text``, a path ending in ``.onnx`` or ``.zip`` or of a
            submission's folder, an import path ``module:attribute``; or an object or a class.
        context: what the agent may need.

    Raises:
        AgentError: there is no such agent, or its code raised while it was made.
    """
    agent = adapt(make_unadapted(spec, context), spec)
    agent.load(context.env)
    return agent


def make_unadapted(spec: Any, context: AgentContext) -> Any:
    """Make what a scenario names, as it is: for domains whose agents do not act on observations.

    Args:
        spec: see `make_agent`.
        context: what the agent may need.

    Raises:
        AgentError: see `make_agent`.
    """
    return _from_text(spec, context) if isinstance(spec, str) else _construct(spec, context, spec)


def make_agents(spec: Any, context: AgentContext, count: int) -> list[AdaptedAgent]:
    """Make as many agents as ``count`` sub-environments need: one will do without state.

    Args:
        spec: see `make_agent`; an object that has state is copied.
        context: what the agents may need.
        count: how many sub-environments there are.

    Raises:
        AgentError: see `make_agent`.
    """
    agents = [make_agent(spec, context)]
    if agents[0].batched or not agents[0].stateful:
        return agents
    try:
        while len(agents) < count:
            agent = make_agent(spec, context)
            if agent.made is agents[0].made and callable(getattr(agent.made, "act", agent.made)):
                agent = adapt(copy.deepcopy(agent.made), spec)
            agents.append(agent)
    except BaseException:
        _abandon(agents, spec)
        raise
    return agents


@contextlib.contextmanager
def closing_agents(agents: Sequence[AdaptedAgent], spec: Any) -> Iterator[Sequence[AdaptedAgent]]:
    """Close agents that were made from ``spec``; an object is closed by whoever made it.

    Raises:
        AgentError: one cannot be closed, and nothing else was raised.
    """
    try:
        yield agents
    except BaseException:
        _abandon(agents, spec)
        raise
    if _is_ours(spec):
        with contextlib.ExitStack() as stack:  # each of them, also after one that raised
            for agent in agents:
                stack.callback(agent.close)


def _abandon(agents: Sequence[AdaptedAgent], spec: Any) -> None:
    """Close agents when something was raised: trouble with closing would only hide it."""
    if _is_ours(spec):
        for agent in agents:
            with contextlib.suppress(AgentError):
                agent.close()


def _is_ours(spec: Any) -> bool:
    return isinstance(spec, str | type)


def _from_text(spec: str, context: AgentContext) -> Any:
    name, colon, rest = spec.partition(":")
    factory = _factory(name)
    if factory is not None:
        return _guard(lambda: factory(rest, context), spec)
    if Path(spec).suffix in FILES:
        return load_file(context.root / spec, context)
    if not colon and ("/" in spec or _is_submission(context.root / spec)):
        return _submission(context.root / spec, context)
    if not rest:
        raise AgentError(
            f"unknown agent {spec!r}{did_you_mean(name, agent_names())} (an agent is one of these "
            "names, an import path 'module:attribute', a .onnx or .zip file, or the folder of a "
            "submission)"
            if not colon
            else f"agent {spec!r}: expected an attribute after ':', as in 'module:attribute'"
        )
    return _construct(import_attribute(name, rest, context.root), context, spec)


def _is_submission(folder: Path) -> bool:
    from pytest_a2perf.agents.submission import is_submission

    return is_submission(folder)


def _submission(folder: Path, context: AgentContext) -> Any:
    from pytest_a2perf.agents.submission import Submission

    return Submission(folder).policy(
        env=context.env, options=context.options, root_dir=None, seed=context.seed
    )


def load_file(path: Path, context: AgentContext) -> Any:
    """Load a model file of one of the kinds in `FILES`.

    Raises:
        AgentError: it is not there, or cannot be loaded.
    """
    if not path.is_file():
        others = [other.name for other in path.parent.glob(f"*{path.suffix}")]
        shown = path.relative_to(context.root) if path.is_relative_to(context.root) else path
        raise AgentError(
            f"agent {str(shown)!r}: there is no file {path}{did_you_mean(path.name, others)}"
        )
    if path.suffix == ".onnx":
        from pytest_a2perf.agents.onnx import OnnxAgent

        return OnnxAgent(path, context)
    from pytest_a2perf.agents.sb3 import Sb3Agent

    return Sb3Agent(path, context)


def _factory(name: str) -> AgentFactory | None:
    if name not in _registered:
        from pytest_a2perf.agents.builtin import BUILTIN

        if name in BUILTIN:
            return BUILTIN[name]
        for point in entry_points(group=GROUP, name=name):
            _registered[name] = _guard(point.load, name)
    return _registered.get(name)


def _construct(found: Any, context: AgentContext, spec: object) -> Any:
    """Instantiate a class; anything else is the agent itself."""
    if not isinstance(found, type):
        if context.options and isinstance(spec, str):
            raise AgentError(f"agent {spec!r} is not a class, so it takes no agent_options")
        return found
    options = dict(context.options)
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):  # written in C, without a signature
        return _guard(lambda: found(**options), spec)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in options:
        if name not in parameters and not open_ended:
            raise AgentError(
                f"agent {spec!r} has no option {name!r}{did_you_mean(name, parameters)}"
            )
    for name, value in (("env", context.env), ("seed", context.seed)):
        if name in parameters:
            options.setdefault(name, value)
    return _guard(lambda: found(**options), spec)


def _guard(make: Callable[[], Any], spec: object) -> Any:
    try:
        return make()
    except A2PerfError:
        raise
    except Exception as error:
        raise AgentError(
            f"agent {spec!r} could not be made: {type(error).__name__}: {error}"
        ) from error
