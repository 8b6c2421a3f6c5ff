"""From what a scenario names to an agent: a name, a prefix, a model file, or an import path."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pytest_a2perf.agents.base import Agent, AgentContext, AgentFactory
from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["agent_names", "make_agent", "register_agent"]

GROUP = "pytest_a2perf.agents"
"""Entry points of this group give an `AgentFactory`."""

_registered: dict[str, AgentFactory] = {}


def register_agent(name: str, factory: AgentFactory) -> None:
    """Register an agent: scenarios write ``name``, or ``name:text`` which passes the text on."""
    _registered[name] = factory


def agent_names() -> list[str]:
    """Return the names of all registered agents."""
    from pytest_a2perf.agents.builtin import BUILTIN

    return sorted({*BUILTIN, *_registered, *(point.name for point in entry_points(group=GROUP))})


def make_agent(spec: Any, context: AgentContext) -> Agent:
    """Make an agent and get it ready for the environment.

    Args:
        spec: a registered name, ``prefix:text``, a path ending in ``.onnx`` or ``.zip``, an import
            path ``module:attribute``, or an object.
        context: what the agent may need.

    Raises:
        AgentError: there is no such agent, or its code raised while it was made.
    """
    made = _from_text(spec, context) if isinstance(spec, str) else spec
    agent = _adapt(made, spec)
    agent.load(context.env)
    return agent


def _from_text(spec: str, context: AgentContext) -> Any:
    name, _, rest = spec.partition(":")
    factory = _factory(name)
    if factory is not None:
        return _guard(lambda: factory(rest, context), spec)
    suffix = Path(spec).suffix
    if suffix in (".onnx", ".zip"):
        path = context.root / spec
        if not path.is_file():
            raise AgentError(f"agent {spec!r}: there is no file {path}")
        if suffix == ".onnx":
            from pytest_a2perf.agents.onnx import OnnxAgent

            return OnnxAgent(path, context)
        from pytest_a2perf.agents.sb3 import Sb3Agent

        return Sb3Agent(path, context)
    if not rest:
        raise AgentError(
            f"unknown agent {spec!r}{did_you_mean(spec, agent_names())} "
            "(or write an import path 'module:attribute', or a .onnx or .zip file)"
        )
    return _construct(_import(name, rest, context), context, spec)


def _factory(name: str) -> AgentFactory | None:
    if name not in _registered:
        from pytest_a2perf.agents.builtin import BUILTIN

        if name in BUILTIN:
            return BUILTIN[name]
        for point in entry_points(group=GROUP, name=name):
            _registered[name] = point.load()
    return _registered.get(name)


def _import(module_name: str, attribute: str, context: AgentContext) -> Any:
    """Import ``module:attribute``, with the project's folder importable.

    The folder stays on the path: agents import their own modules late, too.
    """
    root = str(context.root)
    if root not in sys.path:
        sys.path.insert(0, root)
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise AgentError(
                f"agent '{module_name}:{attribute}': there is no module {error.name!r} "
                f"(looked in {root} and the installed packages)"
            ) from None
        raise AgentError(f"agent module {module_name!r} raised on import: {error}") from error
    except Exception as error:
        raise AgentError(f"agent module {module_name!r} raised on import: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [name for name in vars(found) if not name.startswith("_")]
            raise AgentError(
                f"agent '{module_name}:{attribute}': {module_name!r} has no {part!r}"
                f"{did_you_mean(part, names)}"
            )
        found = getattr(found, part)
    return found


def _construct(found: Any, context: AgentContext, spec: str) -> Any:
    if not isinstance(found, type):
        if context.options:
            raise AgentError(f"agent {spec!r} is not a class, so it takes no agent_options")
        return found
    options = dict(context.options)
    parameters = inspect.signature(found).parameters
    for name, value in (("env", context.env), ("seed", context.seed)):
        if name in parameters and name not in options:
            options[name] = value
    return _guard(lambda: found(**options), spec)


def _guard(make: Callable[[], Any], spec: str) -> Any:
    try:
        return make()
    except AgentError:
        raise
    except Exception as error:
        raise AgentError(f"agent {spec!r} could not be made: {error}") from error


class _Adapter:
    """Gives any kind of agent the whole interface, at the cost of one attribute lookup."""

    def __init__(self, made: Any, act: Callable[[Any], Any]) -> None:
        self.act = act
        self.batched = bool(getattr(made, "batched", False))
        self._reset = getattr(made, "reset", None)
        self._load = getattr(made, "load", None)

    def reset(self, seed: int) -> None:
        if callable(self._reset):
            self._reset(seed)

    def load(self, env: Any) -> None:
        if callable(self._load):
            self._load(env)


def _adapt(made: Any, spec: Any) -> Agent:
    act = getattr(made, "act", None)
    if callable(act):
        return _Adapter(made, act)
    predict = getattr(made, "predict", None)
    if callable(predict):
        adapter = _Adapter(made, lambda observation: predict(observation)[0])
        adapter._reset = adapter._load = None  # noqa: SLF001 - models give these names other meanings
        adapter.batched = True
        return adapter
    if callable(made):
        return _Adapter(made, made)
    raise AgentError(
        f"agent {spec!r} is a {type(made).__name__}: expected a function of the observation, or an "
        "object with act(observation)"
    )
