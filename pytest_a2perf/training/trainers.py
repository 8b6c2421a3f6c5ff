"""From what a scenario of phase ``train`` names as its agent to a function that trains it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_a2perf.agents.imports import import_attribute
from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

if TYPE_CHECKING:
    from pytest_a2perf.domains.gym.options import GymOptions
    from pytest_a2perf.training.training import Training
    from pytest_a2perf.trials.trial import Trial

__all__ = ["Trainer", "algorithm_of", "find_trainer"]

Trainer = Callable[["Training"], Any]


def find_trainer(trial: Trial, options: GymOptions) -> Trainer:
    """Return the function that trains the scenario's agent.

    It is Stable-Baselines3's (``sb3:PPO``), ``train`` of a submission's folder, a function
    ``module:attribute``, or the method ``train`` of a class or object there. Functions get the
    `Training` first and the scenario's ``agent_options`` by name.

    Raises:
        AgentError: there is none of these, or it takes other arguments.
    """
    scenario = trial.scenario
    spec, settings = scenario.agent, dict(scenario.agent_options)
    name, _, rest = spec.partition(":")
    if name == "sb3":
        from pytest_a2perf.training.sb3 import train_sb3

        return _bound(partial(train_sb3, algorithm=rest), settings, spec)
    from pytest_a2perf.agents.submission import Submission, is_submission

    folder = trial.root / spec
    if is_submission(folder):
        return partial(_submit, Submission(folder), trial=trial, options=options)
    if not rest:
        raise AgentError(
            f"agent {spec!r} cannot be trained: expected 'module:function', 'sb3:PPO' or the "
            "folder of a submission with train.py"
        )
    found = import_attribute(name, rest, trial.root)
    if isinstance(found, type):
        try:
            return _bound(_method(found(**settings), spec), {}, spec)
        except TypeError as error:
            raise AgentError(f"agent {spec!r}: agent_options: {error}") from error
    return _bound(_method(found, spec), settings, spec)


def _method(found: Any, spec: str) -> Callable[..., Any]:
    method = getattr(found, "train", None)
    if callable(method):
        return method  # type: ignore[no-any-return]  # it is the user's
    if callable(found):
        return found  # type: ignore[no-any-return]  # as above
    raise AgentError(f"agent {spec!r} is neither a function nor has a method 'train'")


def _bound(function: Callable[..., Any], settings: dict[str, Any], spec: str) -> Trainer:
    """Give a function its options, or say which it does not take.

    Raises:
        AgentError: an option is unknown or missing.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C, without a signature
        return lambda training: function(training, **settings)
    parameters = signature.parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        for name in settings:
            if name not in signature.parameters:
                raise AgentError(
                    f"agent {spec!r} has no option {name!r}"
                    f"{did_you_mean(name, signature.parameters)}"
                )
    try:
        signature.bind(None, **settings)
    except TypeError as error:
        raise AgentError(
            f"agent {spec!r} is called as train(training, **agent_options): {error}"
        ) from None
    return lambda training: function(training, **settings)


def _submit(submission: Any, training: Training, *, trial: Trial, options: GymOptions) -> None:
    dataset = training.dataset
    submission.train(
        artefact=training.folder,
        seed=training.seed,
        options=trial.scenario.agent_options,
        task=training.task,
        env_settings=options.env,
        dataset=None if dataset is None else Path(str(dataset.storage.data_path)),
    )


def algorithm_of(agent: str) -> str:
    """Return what an agent's name tells of its algorithm, e.g. ``PPO`` for ``sb3:PPO``."""
    name, colon, rest = agent.partition(":")
    if name in {"sb3", "run"}:
        return rest
    if colon:
        attribute = rest.rpartition(".")[2]
        return name.rpartition(".")[2] if attribute == "train" else attribute
    return Path(agent).stem if "/" in agent or Path(agent).suffix else agent
