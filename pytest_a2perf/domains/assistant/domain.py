"""The domain ``assistant``: a scenario's agent in simulated worlds, judged against an oracle."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.options import AssistantOptions
from pytest_a2perf.domains.assistant.shipped import DEMO, DEMO_FOLDER
from pytest_a2perf.domains.base import Case
from pytest_a2perf.errors import A2PerfError, InfraError

if TYPE_CHECKING:
    from pytest_a2perf.domains.assistant.sources import CaseRef
    from pytest_a2perf.runs.record import Record
    from pytest_a2perf.scenarios.models import Scenario
    from pytest_a2perf.trials.trial import Trial

__all__ = ["AssistantDomain"]

_PHASES = frozenset({"inference", "judge", "gaia2"})
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_.+=-]+")


class AssistantDomain:
    """Tool-using agents in the worlds of ARE's scenarios.

    The task is a file, a folder or a data set of scenarios, or `DEMO`. Each of them is a case: it
    gets all the seeds. An attempt is solved if the judge accepts every turn.
    """

    name = "assistant"
    phases = _PHASES
    options = AssistantOptions
    concurrent = True

    def __init__(self) -> None:
        self._asks_models = False
        self._found: dict[str, dict[str, CaseRef]] = {}

    def check(self, scenario: Scenario) -> Iterable[tuple[str, str]]:
        """Yield what is wrong with a scenario."""
        options = AssistantOptions.model_validate(scenario.options)
        self._asks_models |= _asks_models(scenario, options)
        if scenario.agent == "random" and scenario.phase != "judge":
            yield "agent", "missing: which agent is to be tested, e.g. 'assistant-llm'?"
        if scenario.episodes != 1:
            yield "episodes", "a trial is one conversation; give more seeds instead"
        if scenario.energy.repeat_until is not None:
            yield "energy.repeat_until", "a conversation runs once"
        if options.judge.kind == "in-context" and options.judge.model is None:
            yield "options.judge.model", "missing: judge.kind = 'in-context' asks a model"
        if options.judge.kind == "none" and scenario.phase == "judge":
            yield "options.judge.kind", "phase 'judge' needs a judge"
        if options.judge.votes % 2 == 0:
            yield "options.judge.votes", "must be odd, so that the votes decide"
        if scenario.phase == "gaia2":
            from pytest_a2perf.domains.assistant.gaia2.groups import wrong_for_suite

            yield from wrong_for_suite(scenario, options)
        elif options.agent_to_agent is not None and options.agent_to_agent.model is None:
            yield "options.agent_to_agent.model", "missing: which model do the apps' agents have?"
        if options.backend == "are":
            native = {
                "noise": options.noise,
                "agent_to_agent": options.agent_to_agent,
                "files": options.files,
            }
            for name in (name for name, value in native.items() if value is not None):
                yield f"options.{name}", "needs backend = 'native'"
            if options.judge != type(options.judge)(
                model=options.judge.model, model_options=options.judge.model_options
            ):
                yield "options.judge", "the backend 'are' brings its own judge; only model counts"

    def cases(self, scenario: Scenario, root: Path) -> Sequence[Case]:
        """Return the scenarios that the task stands for."""
        from pytest_a2perf.domains.assistant.gaia2.groups import group_of

        return [
            Case(
                name,
                ref.digest,
                _markers(ref.capability, *ref.tags, ref.split, group_of(scenario, name)),
            )
            for name, ref in self._refs(scenario, root).items()
        ]

    def prepare(self) -> None:
        """Import what trials need."""
        from pytest_a2perf.domains.assistant import play

        del play
        if self._asks_models:
            from pytest_a2perf.llm.provider import load_litellm

            load_litellm()  # which takes seconds

    def run(self, trial: Trial) -> None:
        """Run one trial."""
        from pytest_a2perf.domains.assistant.gaia2.groups import note_case
        from pytest_a2perf.domains.assistant.play import play_case
        from pytest_a2perf.domains.assistant.rejudge import rejudge_case

        ref = self._refs(trial.scenario, trial.root)[trial.case]
        note_case(trial, ref)
        if trial.scenario.phase == "judge":
            rejudge_case(trial, ref, self._scenario_of(trial, ref))
        else:
            play_case(trial, ref)

    def summarise(
        self, scenario_id: str, records: Sequence[Record], run: Path, sources: Sequence[Path]
    ) -> Iterable[str]:
        """Yield success by capability; in phase ``gaia2``, write the submission."""
        from pytest_a2perf.domains.assistant.gaia2.report import summarise

        return summarise(scenario_id, records, run, sources)

    def _scenario_of(self, trial: Trial, ref: CaseRef) -> CaseRef | None:
        """Return what a trace is a run of, where the options say where it is."""
        location = AssistantOptions.model_validate(trial.scenario.options).scenarios
        if location is None:
            return None
        known = self._find(location, trial.root, {})
        if ref.id not in known:
            raise InfraError(f"options.scenarios: {location} has no scenario {ref.id!r}")
        return known[ref.id]

    def _refs(self, scenario: Scenario, root: Path) -> dict[str, CaseRef]:
        """Return what the task stands for, by the names of cases."""
        options = AssistantOptions.model_validate(scenario.options)
        names = ("config", "split", "revision", "ids", "tags", "limit")
        chosen = {name: getattr(options, name) for name in names}
        found = self._find(scenario.task, root, chosen)
        if scenario.phase != "gaia2":
            return found
        from pytest_a2perf.domains.assistant.gaia2.groups import in_groups

        try:
            subset = self._find(scenario.task, root, {**chosen, "config": options.subset})
        except TraceError as error:
            raise TraceError(f"{error}\n(options.subset is {options.subset!r})") from None
        return in_groups(found, subset)

    def _find(self, location: str, root: Path, chosen: dict[str, Any]) -> dict[str, CaseRef]:
        """Find scenarios; once for all trials."""
        from pytest_a2perf.domains.assistant.sources import find_cases

        key = repr((location, root, chosen))
        if key not in self._found:
            path = str(DEMO_FOLDER) if location == DEMO else location
            found: dict[str, CaseRef] = {}
            for ref in find_cases(path, root=root, **chosen):
                if (other := found.setdefault(_name(ref), ref)) is not ref:
                    raise A2PerfError(
                        f"{ref.origin}: its id is too much like that of {other.origin}"
                    )
            self._found[key] = found
        return self._found[key]


def _asks_models(scenario: Scenario, options: AssistantOptions) -> bool:
    """Whether trials will ask models, as opposed to replaying what they have said."""
    if options.cassette is not None and options.cassette.mode == "replay":
        return False
    experts = options.agent_to_agent is not None or scenario.phase == "gaia2"
    talking = scenario.agent in ("assistant-llm", "assistant-react")
    return bool(options.judge.model or experts or talking)


def _name(ref: CaseRef) -> str:
    """Return a name that can stand in node ids; runs of the same scenario differ in theirs."""
    parts = [ref.id, ref.phase, "" if ref.run_number is None else f"run{ref.run_number}"]
    return _NOT_IN_IDS.sub("_", "-".join(part for part in parts if part))


def _markers(*words: str) -> tuple[str, ...]:
    """Return words as markers: in lower case, without what ``-m`` could not read."""
    clean = (re.sub(r"\W+", "_", word).strip("_").lower() for word in words)
    return tuple(dict.fromkeys(word for word in clean if word))
