"""Phase ``collect``: an agent's episodes as a Minari data set that says what it cost."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_a2perf.agents.trained import PREFIX
from pytest_a2perf.datasets.cost import KWH, Cost, Policy, cost_of
from pytest_a2perf.datasets.parts import PART, Part, join_parts, parts_of, write_part
from pytest_a2perf.datasets.policies import policy_of
from pytest_a2perf.datasets.store import (
    check_dataset_id,
    dataset_fingerprint,
    datasets_folder,
    locked,
    minari_path,
    replace_dataset,
    require_minari,
)
from pytest_a2perf.domains.gym.options import CollectOptions
from pytest_a2perf.errors import A2PerfError, InfraError
from pytest_a2perf.scenarios.models import SeedRange

if TYPE_CHECKING:
    from pytest_a2perf.domains.gym.options import GymOptions
    from pytest_a2perf.scenarios.models import Scenario
    from pytest_a2perf.trials.trial import Trial

__all__ = ["check_collect", "collect"]


def check_collect(scenario: Scenario, options: GymOptions) -> Iterator[tuple[str, str]]:
    """Yield key and message of what is wrong with a scenario of phase ``collect``."""
    if scenario.dataset is not None:
        try:
            check_dataset_id(scenario.dataset)
        except A2PerfError as error:
            yield "dataset", str(error)
    if isinstance(scenario.seeds, SeedRange):
        yield "seeds", "a data set needs a fixed number of seeds, or the seeds themselves"
    if options.num_envs > 1:
        yield "options.num_envs", "phase 'collect' records a single environment; leave it at 1"
    if options.warmup_steps:
        yield "options.warmup_steps", "phase 'collect' records every step; leave it at 0"
    wanted = options.collect or CollectOptions()
    if wanted.cost_source and wanted.cost_kwh is None:
        yield "options.collect.cost_source", "says where cost_kwh comes from, which is not there"
    if wanted.level is None:
        return
    if wanted.expertise not in (None, wanted.level):
        yield "options.collect.expertise", f"contradicts level = {wanted.level!r}"
    if not scenario.agent.startswith(PREFIX):
        yield "options.collect.level", f"needs an agent '{PREFIX}NAME', which has checkpoints"
    for name in ("seed", "checkpoint"):
        if name in scenario.agent_options:
            yield f"agent_options.{name}", "options.collect.level chooses it"


def collect(trial: Trial, options: GymOptions) -> None:
    """Roll out the scenario's agent and write this seed's part; the last one joins all of them.

    Raises:
        AgentError: the agent cannot be made, raised, or has no checkpoint at the level.
        InfraError: the environment broke, a package is missing, or the data set belongs to others.
    """
    require_minari()
    scenario, wanted = trial.scenario, options.collect or CollectOptions()
    assert scenario.dataset is not None
    trial.note(dataset=scenario.dataset)  # trainings that wait for it ask, even if this fails
    folder = datasets_folder(trial.root, trial.run_folder)
    _check_owner(trial, folder / scenario.dataset / "data")  # before hours of rollouts
    part = _record(trial, options, policy_of(trial, wanted))
    with locked(folder, scenario.dataset):
        final = trial.folder / PART
        shutil.rmtree(final, ignore_errors=True)  # of an earlier attempt
        part.folder.replace(final)
        parts = parts_of(trial.run_folder, part.scenario, part.digest)
        missing = [seed for seed in scenario.seed_list if seed not in parts]
        trial.note(dataset_seeds_missing=missing)
        if not missing:
            _publish(trial, [parts[seed] for seed in scenario.seed_list], wanted, folder)


def _record(trial: Trial, options: GymOptions, found: tuple[Policy, dict[str, Any]] | None) -> Part:
    """Roll out inside the meters' window; the part is whole, but in a hidden folder still."""
    from pytest_a2perf.agents.base import AgentContext
    from pytest_a2perf.agents.trained import make_trained
    from pytest_a2perf.datasets.recorder import Recorder
    from pytest_a2perf.domains.gym.domain import run_episodes
    from pytest_a2perf.domains.gym.environment import closing_env, make_env
    from pytest_a2perf.training.trainers import algorithm_of

    scenario = trial.scenario
    assert scenario.dataset is not None
    draft = trial.folder / f".{PART}"
    shutil.rmtree(draft, ignore_errors=True)  # of an earlier attempt
    policy = None if found is None else found[0]
    recorder = Recorder(
        make_env(scenario.task, options, trial.root),
        scenario.dataset,
        trial.folder / f".{PART}-recorder",
    )
    with closing_env(recorder):
        agent: Any = scenario.agent
        if found is not None:
            context = AgentContext(
                recorder,
                trial.seed,
                trial.root,
                found[1],
                trial.run_folder,
                trial.record.scenario,
                trial.note,
            )
            agent = make_trained(agent.removeprefix(PREFIX), context)
        run_episodes(trial, recorder, agent, options)
        recorder.save(draft)
    trained = "" if policy is None else policy.algorithm
    part = Part(
        folder=draft,
        dataset=scenario.dataset,
        scenario=trial.record.scenario,
        seed=trial.seed,
        digest=trial.record.digest,
        agent=scenario.agent,
        algorithm=scenario.algorithm or trained or algorithm_of(scenario.agent),
        returns=tuple(episode.total for episode in trial.record.episodes),
        policy=policy,
        energy=trial.record.quantities.get("energy"),
    )
    write_part(part)
    return part


def _publish(trial: Trial, parts: Sequence[Part], options: CollectOptions, folder: Path) -> None:
    """Join the parts and put the data set in its place; it is locked."""
    import minari

    name = parts[0].dataset
    _check_owner(trial, folder / name / "data")
    policies = [part.policy for part in parts if part.policy is not None]
    cost = cost_of(policies, parts[0].agent, options, trial.root)
    metadata = _metadata(trial, parts, options, cost)

    def write(data: Path) -> None:
        join_parts(parts, metadata, data)
        dataset = minari.MinariDataset(data)
        dataset.storage.update_metadata({"fingerprint": dataset_fingerprint(dataset)})

    _make_namespace(name, folder)
    data = replace_dataset(folder, name, write)
    dataset = minari.MinariDataset(data)
    trial.note(
        dataset_fingerprint=dataset.storage.metadata["fingerprint"],
        dataset_episodes=dataset.total_episodes,
        dataset_cost=cost.metadata(),
    )


def _check_owner(trial: Trial, data: Path) -> None:
    """Replace only what a scenario has collected, and not in the run that collected it.

    Raises:
        InfraError: it is somebody else's.
    """
    from minari.dataset.minari_storage import MinariStorage

    if not data.exists():
        return
    name = trial.scenario.dataset
    try:
        before = MinariStorage.read_raw_metadata(data)
    except ValueError as error:
        raise InfraError(f"data set {name!r}: {error}; delete the folder {data}") from None
    if "a2perf_version" not in before:
        raise InfraError(
            f"data set {name!r} in {data} was not collected by a scenario and is not replaced; "
            "choose another id, or delete it"
        )
    collected = before.get("collected_by", {})
    if (
        collected.get("run") == trial.run_folder.name
        and collected.get("scenario") != trial.record.scenario
    ):
        raise InfraError(
            f"data set {name!r} was collected by {collected['scenario']} in this run already; "
            "give each scenario a data set of its own"
        )


def _make_namespace(name: str, folder: Path) -> None:
    from minari.namespace import create_namespace, list_local_namespaces

    namespace = name.rpartition("/")[0]
    # Another scenario may be making the same one for a data set of its own.
    with minari_path(folder), contextlib.suppress(FileExistsError, ValueError):
        if namespace and namespace not in list_local_namespaces():
            create_namespace(namespace)


def _metadata(
    trial: Trial, parts: Sequence[Part], options: CollectOptions, cost: Cost
) -> dict[str, Any]:
    import numpy as np

    returns = np.array([value for part in parts for value in part.returns])
    energies = [part.energy.value for part in parts if part.energy is not None]
    policies: list[Policy] = []
    for part in parts:
        if part.policy is not None and part.policy not in policies:
            policies.append(part.policy)
    metadata = {
        "dataset_id": parts[0].dataset,
        "algorithm_name": parts[0].algorithm,
        "expertise": options.expertise or options.level,
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std(ddof=1)) if len(returns) > 1 else None,
        "generated_by": [policy.to_json() for policy in policies],
        "collected_by": {
            "scenario": trial.record.scenario,
            "run": trial.run_folder.name,
            "seeds": [part.seed for part in parts],
            "agent": parts[0].agent,
            "task": trial.scenario.task,
        },
        "collection_energy_kwh": (sum(energies) / KWH if len(energies) == len(parts) else None),
        "a2perf_version": version("pytest-a2perf"),
        **cost.metadata(),
    }
    given = {
        "author": None if options.author is None else {options.author},
        "author_email": None if options.email is None else {options.email},
        "code_permalink": options.code_permalink,
        "description": options.description,
    }
    return metadata | {key: value for key, value in given.items() if value is not None}
