"""What a trial leaves behind: numbers, a curve, a summary, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_a2perf.domains.posttrain.grading.judge import UNFIT
from pytest_a2perf.domains.posttrain.grading.submission import Score, Submission
from pytest_a2perf.domains.posttrain.info import RunInfo
from pytest_a2perf.domains.posttrain.report.data import Gain, Report
from pytest_a2perf.domains.posttrain.report.gain import gain_of
from pytest_a2perf.domains.posttrain.report.text import gain_text, printed
from pytest_a2perf.domains.posttrain.setting import Setting
from pytest_a2perf.domains.posttrain.tasks.base import Split
from pytest_a2perf.errors import AgentError, AgentFailure, InfraError
from pytest_a2perf.quantities import Quality

if TYPE_CHECKING:
    from pytest_a2perf.trials.trial import Trial

__all__ = ["CHEATING", "Result"]

CHEATING = "attempt to cheat seen"
"""Kind of the report's failure that counts as an incident."""
_SHOWN = 3  # reasons in a message
_TAIL = 600  # characters of what the agent said last
_POINTS = "points"
_GRADER = "grader"
_BUDGET = {"cpu": "CPU time", "wall": "time", "memory": "memory", "disk": "disk"}


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes:
        setting: see `Setting`.
        info: of the run.
        base: scores of the base model.
        submissions: all of them.
        chosen: the best by public score, with its private one; None if there is none.
        decided: whether the run came to the point where that was measured.
        report: None if it could not be written.
    """

    setting: Setting
    info: RunInfo
    base: dict[Split, Score]
    submissions: Sequence[Submission]
    chosen: Submission | None
    decided: bool
    report: Report | None

    @cached_property
    def gain(self) -> Gain | None:
        """Of the chosen submission on the private split."""
        if self.chosen is None or self.chosen.private is None:
            return None
        return gain_of(self.base["private"], self.chosen.private, self.info.noise)

    @property
    def incidents(self) -> int | None:
        """Signs of cheating in the report; None without one."""
        if self.report is None:
            return None
        return sum(one.signs for one in self.report.failures if one.kind == CHEATING)

    def keep(self, trial: Trial) -> None:
        """Write it into the trial's record."""
        self._report_process(trial)
        if self.decided:
            self._report_scores(trial)
        for one in self.submissions:
            if one.public is not None:
                trial.curve("public score", one.at, one.public.value)
        if not self.info.isolated:
            trial.note(tainted=["the agent was not isolated: it could reach everything"])
        trial.note(posttrain=self._about(trial))

    def conclude(self) -> None:
        """Raise unless the model became better beyond evaluation noise.

        Raises:
            AgentFailure: it did not, or nothing was submitted that has a score.
            AgentError: the agent crashed before it submitted anything.
            InfraError: nothing has a score because the grader could not evaluate.
        """
        gain = self.gain
        if gain is not None and gain.success:
            return
        if not self.submissions:
            text = f"the agent never submitted: {self._end()}\n{self._last_words()}".rstrip()
            raise (AgentError if self.info.ended == "crashed" else AgentFailure)(text)
        if self.chosen is None:
            reasons = dict.fromkeys(f"{one.status}: {one.reason}" for one in self.submissions)
            shown = "\n".join(f"  {printed(reason)}" for reason in list(reasons)[:_SHOWN])
            if any(one.reason == UNFIT for one in self.submissions):
                noted = "\n".join(f"  {printed(text)}" for _, text in self.info.events[:_SHOWN])
                raise InfraError(f"no submission could be evaluated\n{noted}")
            raise AgentFailure(
                f"none of {len(self.submissions)} submissions has a score; {self._end()}\n{shown}"
            )
        if gain is None:
            raise AgentFailure(f"submission {self.chosen.number}: {printed(self.chosen.reason)}")
        raise AgentFailure(f"not improved beyond noise: {gain_text(gain)}; {self._end()}")

    def _report_scores(self, trial: Trial) -> None:
        gain, chosen = self.gain, self.chosen
        quality: Quality = "estimated" if self.info.noise else "measured"
        private, public = self.base["private"].value, self.base["public"].value
        # Who hands in nothing leaves the base model as it was.
        reached = private if gain is None else gain.chosen
        improved = 0.0 if gain is None else gain.value
        for name, value in (("private_score", reached), ("improvement", improved)):
            trial.report(name, value, _POINTS, source=_GRADER, quality=quality)
        if gain is not None and chosen is not None and chosen.public is not None:
            told = chosen.public.value
            overfit = told - public - gain.value
            trial.report("public_score", told, _POINTS, source=_GRADER, quality=quality)
            trial.report("overfit", overfit, _POINTS, source=_GRADER, quality=quality)
            trial.report("time_to_best", chosen.at, "s", source=_GRADER)
        success = gain is not None and gain.success
        trial.episode(reached, len(self.submissions), success=success)

    def _report_process(self, trial: Trial) -> None:
        info = self.info
        scored = sum(one.public is not None for one in self.submissions)
        trial.report("submissions", len(self.submissions), source=_GRADER)
        trial.report("submissions_scored", scored, source=_GRADER)
        trial.report("agent_time", info.seconds, "s", source="monotonic clock")
        trial.report("agent_cpu", info.cpu, "s", source=f"sandbox {info.sandbox.get('name', '?')}")
        if info.energy is not None:
            source, energy_quality = info.energy["source"], info.energy["quality"]
            trial.report(
                "agent_energy", info.energy["joules"], "J", source=source, quality=energy_quality
            )
        if info.tokens:
            tokens = info.tokens.get("input", 0) + info.tokens.get("output", 0)
            trial.report("agent_tokens", tokens, source="language model")
        if info.dollars is not None:
            trial.report("cost", info.dollars, "USD", source="language model")
        if self.incidents is not None:
            trial.report("incidents", self.incidents, source="report")

    def _about(self, trial: Trial) -> dict[str, Any]:
        """Return the summary that stands in the record."""
        info, gain, report = self.info, self.gain, self.report
        names = ("task", "level", "agent", "driver", "mode", "sandbox", "isolated", "ended")
        return {
            **{name: getattr(info, name) for name in (*names, "status", "left")},
            "folder": self.setting.files.root.relative_to(trial.run_folder).as_posix(),
            "base": {split: score.value for split, score in self.base.items()},
            "chosen": 0 if self.chosen is None else self.chosen.number,
            "gain": None if gain is None else {**asdict(gain), "success": gain.success},
            "route": None if report is None else report.route.label,
            "went_wrong": [] if report is None else [one.kind for one in report.failures],
        }

    def _end(self) -> str:
        """Say how the agent ended."""
        info = self.info
        if info.ended in _BUDGET:
            told = f"its {_BUDGET[info.ended]} was used up"
        elif info.ended == "finished":
            told = "it ended by itself"
        else:
            told = f"it {info.ended or 'did not end'}, exit status {info.status}"
        return told + (f", {info.left} processes were left behind" if info.left else "")

    def _last_words(self) -> str:
        """Return the end of what the agent said."""
        try:
            said = self.setting.files.output.read_bytes()[-_TAIL:]
        except OSError:
            return ""
        return printed(said.decode(errors="replace").strip())
