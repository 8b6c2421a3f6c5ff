"""The domain ``posttrain``: can an agent make a model better, and is that really so?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pytest_a2perf.domains.posttrain.options import PosttrainOptions
from pytest_a2perf.errors import A2PerfError

if TYPE_CHECKING:
    from pytest_a2perf.runs.record import Record
    from pytest_a2perf.scenarios.models import Scenario
    from pytest_a2perf.trials.trial import Trial

__all__ = ["PosttrainDomain"]


class PosttrainDomain:
    """Lets agents post-train models in a sandbox, in the manner of Agent² RL-Bench.

    A trial is one run of an agent: workspace, grader, submissions, and the verdict on the best of
    them by test data that nobody but the grader has seen.
    """

    name = "posttrain"
    phases = frozenset({"inference"})
    options = PosttrainOptions

    def check(self, scenario: Scenario) -> Iterable[tuple[str, str]]:
        """Yield what is wrong with a scenario."""
        options = PosttrainOptions.model_validate(scenario.options)
        if scenario.episodes != 1:
            yield "episodes", "a trial is one run of the agent; give more seeds instead"
        if scenario.energy.repeat_until is not None:
            yield "energy.repeat_until", "a trial runs once"
        yield from _wrong_with_task(scenario, options)
        yield from _wrong_with_agent(scenario)

    def prepare(self) -> None:
        """Import what trials need."""
        from pytest_a2perf.domains.posttrain import play

        del play

    def run(self, trial: Trial) -> None:
        """Run one trial."""
        from pytest_a2perf.domains.posttrain.play import play

        play(trial)

    def summarise(
        self, scenario_id: str, records: Sequence[Record], run: Path, sources: Sequence[Path]
    ) -> Iterable[str]:
        """Yield a few lines for each run, and where its report is."""
        from pytest_a2perf.domains.posttrain.report.summary import summarise

        return summarise(scenario_id, records, [run, *sources])


def _wrong_with_task(scenario: Scenario, options: PosttrainOptions) -> Iterable[tuple[str, str]]:
    from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
    from pytest_a2perf.domains.posttrain.tasks.registry import get_task, task_options
    from pytest_a2perf.scenarios.load import describe_errors

    try:
        task = get_task(scenario.task, options.task_options)
        if isinstance(task, ConfiguredTask):
            task.check()
    except ValidationError as error:
        model = task_options(scenario.task)
        for path, message in describe_errors(error, model, options.task_options):
            yield ".".join(map(str, ("options.task_options", *path))), message
    except A2PerfError as error:
        yield "task", str(error)


def _wrong_with_agent(scenario: Scenario) -> Iterable[tuple[str, str]]:
    from pytest_a2perf.domains.posttrain.agents.agent import read_options

    try:
        read_options(scenario.agent, scenario.agent_options)
    except A2PerfError as error:
        yield "agent_options", str(error)
