"""A submission as an agent that can be trained and asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_a2perf.agents.submission.child import Setup
from pytest_a2perf.agents.submission.layout import INFERENCE, TRAIN, check_file, check_folder
from pytest_a2perf.agents.submission.process import ParticipantError, Process
from pytest_a2perf.agents.submission.remake import Blueprint
from pytest_a2perf.agents.submission.requirements import python_for
from pytest_a2perf.errors import AgentError, InfraError

__all__ = ["Submission", "SubmissionAgent"]

TYPED = "typed_args"
"""The agent option that keeps the others' types; A2Perf passes strings."""

_NOTHING: Mapping[str, Any] = {}


class SubmissionAgent:
    """The policy of a submission, in its process.

    Args:
        process: has loaded the policy; it is closed with the agent.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._ask = process.request

    def act(self, observation: Any) -> Any:
        """Return the submission's action for one observation.

        Raises:
            ParticipantError: it raised, or its process ended.
        """
        return self._ask("infer_once", observation)

    def reset(self, seed: int) -> None:
        """Begin an episode: seed what the submission draws from.

        Raises:
            ParticipantError: its process has ended.
        """
        self._ask("reset", seed)

    def close(self) -> None:
        """End the process."""
        self._process.close()


class Submission:
    """A folder with ``train.py`` and ``inference.py`` in A2Perf's layout.

    Making one installs its requirements, if it has any that were not installed before.

    Args:
        folder: of the submission.

    Raises:
        AgentError: it is none; the message names what is missing.
        InfraError: its requirements cannot be installed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        check_folder(self._folder)
        self._python = python_for(self._folder)

    def train(
        self,
        *,
        artefact: Path,
        seed: int,
        options: Mapping[str, Any],
        task: str,
        env_settings: Mapping[str, Any],
        dataset: Path | None = None,
    ) -> None:
        """Run the submission's ``train()`` to its end, in a process below this one.

        Args:
            artefact: folder that the submission writes to, its ``ROOT_DIR``.
            seed: of the trial.
            options: the arguments of ``train()``; strings, unless ``typed_args`` is true.
            task: id of the environment.
            env_settings: keyword arguments of the environment.
            dataset: folder of the data to learn from.

        Raises:
            AgentError: it raised, or its process ended badly.
        """
        check_file(self._folder, TRAIN)
        variables = _variables(artefact, seed) | {
            "A2PERF_TASK": task,
            "A2PERF_ENV": json.dumps(dict(env_settings), default=str),
        }
        if dataset is not None:
            variables["A2PERF_DATASET"] = str(dataset.resolve())
        if "num_websites" in env_settings:
            variables["NUM_WEBSITES"] = str(env_settings["num_websites"])
        process = Process(self._python, self._folder, variables)
        try:
            process.request("train", seed, _arguments(options))
            process.finish()
        except (ParticipantError, AgentError) as error:
            raise self._blamed(error) from error.__cause__
        finally:
            process.close()

    def policy(
        self,
        *,
        env: Any,
        options: Mapping[str, Any],
        root_dir: Path | None,
        seed: int,
        spare: Mapping[str, Any] = _NOTHING,
    ) -> SubmissionAgent:
        """Load the submission's policy in a process of its own.

        Args:
            env: that it is for; it is made again in that process, if the submission wants it.
            options: the arguments of ``load_policy()``, as in `train`; each must be taken.
            root_dir: what ``train()`` wrote; default: the submission's folder.
            seed: of the trial.
            spare: more arguments, such as those of the training; it may take them or not.

        Raises:
            AgentError: it raised, or lacks a function.
            InfraError: the environment cannot be made there.
        """
        check_file(self._folder, INFERENCE)
        blueprint = None if env is None else Blueprint.of(env)
        setup = Setup(_arguments(options), _arguments(spare), blueprint, seed)
        variables = _variables(root_dir or self._folder, seed)
        process = Process(self._python, self._folder, variables)
        try:
            process.request("load_policy", setup)
        except (ParticipantError, AgentError, InfraError) as error:
            process.close()
            raise self._blamed(error) from error.__cause__
        except BaseException:
            process.close()
            raise
        return SubmissionAgent(process)

    def _blamed(self, error: Exception) -> AgentError | InfraError:
        """Return the error with the submission's name in front."""
        kind = InfraError if isinstance(error, InfraError) else AgentError
        return kind(f"submission {self._folder.name!r}: {error}")


def _variables(root_dir: Path, seed: int) -> dict[str, str]:
    """Return the environment variables that A2Perf sets or expects."""
    return {
        "ROOT_DIR": str(root_dir.resolve()),
        "SEED": str(seed),
        "CODECARBON_TRACKING_MODE": "process",
        "CODECARBON_ON_CSV_WRITE": "append",
    }


def _arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: value for name, value in options.items() if name != TYPED}
    if options.get(TYPED):
        return named
    return {name: str(value) for name, value in named.items()}
