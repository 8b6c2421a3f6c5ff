"""What a domain is: a family of tasks that knows how to run one trial of a scenario.

A domain knows nothing of pytest. It gets a `Trial`, does its work, and leaves behind what
happened: episodes, samples, reported numbers, curves, files. The same interface carries

* a Gymnasium rollout: `Trial.measured` around the episodes, `Trial.episode` for each;
* an assistant in simulated time: an episode is a conversation;
* thousands of concurrent streams: a coroutine too, with `Trial.sample` for every request;
* an hour-long sandboxed run: `Trial.folder` for what must survive, `Trial.progress` on the way,
  `Trial.remaining` for its budget, and `Trial.report` for scores.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pytest_a2perf.runs.record import Record
    from pytest_a2perf.scenarios.models import Scenario, Strict
    from pytest_a2perf.trials.trial import Trial

__all__ = ["Case", "Domain", "HasCases", "HasFigures", "HasSummary"]


@dataclass(frozen=True, slots=True)
class Case:
    """One of several things that a scenario's task stands for, such as a file of a folder.

    Attributes:
        id: unique in its scenario; stands in node ids.
        digest: hash of its content.
        tags: markers of its trials.
    """

    id: str
    digest: str = ""
    tags: tuple[str, ...] = ()


class Domain(Protocol):
    """One family of tasks, registered by the hook `pytest_a2perf_domains` or an entry point.

    Attributes:
        name: what scenario files write in ``domain``; also the marker of its items.
        phases: the phases it can run.
        options: pydantic model of ``[scenario.options]``, derived from `Strict`.

    A domain may have further attributes:

    * ``concurrent``: whether its trials spend their time waiting, as for a model behind an
      endpoint, so that ``--a2perf-concurrency`` may run several at once.
    * ``exclusive``: whether its trials disturb each other, so that each runs alone on its machine.
    * ``system``: pydantic model of the table ``[system]``, which describes what is measured.
    """

    name: str
    phases: frozenset[str]
    options: type[Strict]

    def check(self, scenario: Scenario) -> Iterable[tuple[str, str]]:
        """Yield ``(key, message)`` for whatever is wrong with a scenario.

        Called at collection, so it must be cheap and import nothing heavy.
        """

    def run(self, trial: Trial) -> Awaitable[None] | None:
        """Run one trial; raise `AgentFailure`, `AgentError` or `InfraError` for other outcomes."""

    def prepare(self) -> None:
        """Import what trials need, before the clock of the first one runs.

        Called in the process that trials run in, or are forked from. A timeout that falls into an
        import would leave half a module behind, for all trials after it.
        """


@runtime_checkable
class HasCases(Protocol):
    """A domain whose tasks may stand for several cases, each of which gets the scenario's seeds."""

    def cases(self, scenario: Scenario, root: Path) -> Sequence[Case]:
        """Return the cases of a scenario, in order; none where its task is a single one.

        Called at collection. A case that cannot be read is an error, never left out.

        Args:
            scenario: which is valid.
            root: folder against which relative paths are resolved.

        Raises:
            A2PerfError: there are none, or one of them cannot be read.
        """


@runtime_checkable
class HasSummary(Protocol):
    """A domain that sums up a scenario's run in its own way, beside the metrics."""

    def summarise(
        self, scenario_id: str, records: Sequence[Record], run: Path, sources: Sequence[Path]
    ) -> Iterable[str]:
        """Yield lines for the report; may write files into the run's folder.

        Called once a scenario, by the process that the user started, after all verdicts. What it
        raises fails the run, but costs nothing that is recorded.

        Args:
            scenario_id: of the scenario.
            records: of its trials.
            run: the run's folder.
            sources: the runs whose trials these are; several after a merge.
        """


@runtime_checkable
class HasFigures(Protocol):
    """A domain that draws its own figures into the HTML report of a scenario."""

    def figures(self, scenario_id: str, records: Sequence[Record]) -> Iterable[str]:
        """Yield HTML, made with `pytest_a2perf.reports.html.svg` and escaped.

        Args:
            scenario_id: of the scenario.
            records: of its trials.
        """
