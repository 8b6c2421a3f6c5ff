"""Which trained policy a trial of phase ``collect`` rolls out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_a2perf.agents.trained import PREFIX, choose
from pytest_a2perf.datasets.cost import Policy
from pytest_a2perf.datasets.levels import at_level
from pytest_a2perf.errors import A2PerfError, AgentError, InfraError

if TYPE_CHECKING:
    from pytest_a2perf.domains.gym.options import CollectOptions
    from pytest_a2perf.training.artefacts import Artefact, Checkpoint
    from pytest_a2perf.trials.trial import Trial

__all__ = ["policy_of"]


def policy_of(trial: Trial, options: CollectOptions) -> tuple[Policy, dict[str, Any]] | None:
    """Find the policy behind ``run:NAME``; None for any other agent.

    Without a level it is the one that an inference scenario would take. At a level, the checkpoints
    of all seeds that are at it are taken in turn by the scenario's seeds.

    Returns:
        The policy, and the ``agent_options`` that choose it.

    Raises:
        InfraError: nothing was trained, or some training did not come to its end.
        AgentError: no checkpoint is at the level.
    """
    from pytest_a2perf.training.artefacts import find_artefacts

    scenario = trial.scenario
    if not scenario.agent.startswith(PREFIX):
        return None
    run, settings = trial.run_folder, dict(scenario.agent_options)
    try:
        artefacts = find_artefacts(
            scenario.agent.removeprefix(PREFIX), run.parent, run.name, trial.record.scenario
        )
    except A2PerfError as error:
        raise InfraError(f"agent {scenario.agent!r}: {error}") from None
    if options.level is None:
        artefact = choose(artefacts, settings.get("seed", trial.seed))
        step = settings.get("checkpoint")
        saved = [point for point in artefact.checkpoints if point.step == step]
        return Policy.of(artefact, saved[0] if saved else None), settings
    chosen = _at_level(artefacts, options, scenario.agent)
    artefact, checkpoint = chosen[scenario.seed_list.index(trial.seed) % len(chosen)]
    choice = {"seed": artefact.seed, "checkpoint": checkpoint.step}
    return Policy.of(artefact, checkpoint), settings | choice


def _at_level(
    artefacts: list[Artefact], options: CollectOptions, agent: str
) -> list[tuple[Artefact, Checkpoint]]:
    assert options.level is not None
    for artefact in artefacts:
        if not artefact.complete:
            raise InfraError(
                f"agent {agent!r}: skill levels are over the checkpoints of all seeds, but the "
                f"training {artefact.scenario}[{artefact.seed}] did not come to its end"
            )
    saved = [
        (artefact, point, point.value)
        for artefact in artefacts
        for point in artefact.checkpoints
        if point.value is not None
    ]
    try:
        indices = at_level([value for *_, value in saved], options.level, options.level_rule)
    except A2PerfError as error:
        raise AgentError(f"agent {agent!r}: {error}") from None
    return [saved[index][:2] for index in indices]
