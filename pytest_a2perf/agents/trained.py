"""``agent = "run:NAME"``: what a scenario of phase ``train`` has left behind."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.agents.imports import import_attribute
from pytest_a2perf.errors import A2PerfError, AgentError, InfraError

if TYPE_CHECKING:
    from pytest_a2perf.training.artefacts import Artefact

__all__ = ["PREFIX", "choose", "make_trained"]

PREFIX = "run:"


def choose(artefacts: list[Artefact], seed: int) -> Artefact:
    """Return the artefact for a trial: of its own seed, else the trained ones in turn."""
    own = [artefact for artefact in artefacts if artefact.seed == seed]
    return own[0] if own else artefacts[seed % len(artefacts)]


def make_trained(name: str, context: AgentContext) -> Any:
    """Make the agent that the scenario ``name`` trained, in this run or else in the newest.

    ``agent_options``: ``seed`` of the training (default: the trial's own, else the trained ones in
    turn), ``checkpoint`` (the step of one that was saved; default: the final model); all others go
    to what loads the model.

    Raises:
        InfraError: no run here has trained it.
        AgentError: it cannot be loaded.
    """
    from pytest_a2perf.training.artefacts import find_artefacts

    options = dict(context.options)
    run = context.run
    runs = context.root / ".a2perf" / "runs" if run is None else run.parent
    try:
        artefacts = find_artefacts(name, runs, "" if run is None else run.name, context.scenario)
    except A2PerfError as error:
        raise InfraError(f"agent '{PREFIX}{name}': {error}") from None
    seed = options.pop("seed", None)
    artefact = choose(artefacts, context.seed)
    if seed is not None:
        chosen = [one for one in artefacts if one.seed == seed]
        if not chosen:
            seeds = ", ".join(str(one.seed) for one in artefacts)
            raise AgentError(f"agent '{PREFIX}{name}': seed {seed} was not trained; {seeds} were")
        artefact = chosen[0]
    if not artefact.complete:
        raise InfraError(
            f"agent '{PREFIX}{name}': its training with seed {artefact.seed} did not come to its "
            f"end, see {artefact.scenario}[{artefact.seed}]"
        )
    model = _checkpoint(artefact, options.pop("checkpoint", None))
    context.note(
        trained_by=artefact.scenario,
        trained_in=artefact.run,
        trained_seed=artefact.seed,
        algorithm=artefact.algorithm,
    )
    return _load(artefact, model, replace(context, options=options))


def _checkpoint(artefact: Artefact, step: object) -> str:
    if step is None:
        return artefact.model
    for point in artefact.checkpoints:
        if point.step == step:
            return point.path
    steps = ", ".join(f"{point.step:.0f}" for point in artefact.checkpoints) or "none"
    raise AgentError(f"agent 'run:{artefact.name}': no checkpoint at step {step}; saved: {steps}")


def _load(artefact: Artefact, model: str, context: AgentContext) -> Any:
    """Load a model by the trainer's own ``load_policy``, else by its file's kind."""
    from pytest_a2perf.agents.submission import Submission, is_submission

    path = artefact.folder / model if model else artefact.folder
    submission = context.root / artefact.agent
    if is_submission(submission):
        return Submission(submission).policy(
            env=context.env,
            options=context.options,
            spare=artefact.agent_options,
            root_dir=path if path.is_dir() else path.parent,
            seed=context.seed,
        )
    load = _loader(artefact.agent, context.root)
    if load is not None:
        return _guard(lambda: load(path, context.env, **context.options), artefact)
    from pytest_a2perf.agents.registry import FILES, load_file

    if path.suffix in FILES:
        return load_file(path, context)
    raise AgentError(
        f"agent 'run:{artefact.name}': nothing here loads {path.name!r}: give the module of "
        f"{artefact.agent!r} a function load_policy(path, env), or save one of {', '.join(FILES)}"
    )


def _loader(agent: str, root: Path) -> Callable[..., Any] | None:
    """Return ``load_policy`` of the trainer's class, or of its module."""
    module, colon, attribute = agent.partition(":")
    if not colon or module == "sb3":
        return None
    trainer = import_attribute(module, attribute, root)
    found = getattr(trainer, "load_policy", None)
    return found or getattr(importlib.import_module(module), "load_policy", None)


def _guard(load: Callable[[], Any], artefact: Artefact) -> Any:
    try:
        return load()
    except A2PerfError:
        raise
    except Exception as error:
        raise AgentError(
            f"agent 'run:{artefact.name}' (seed {artefact.seed}) could not be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
