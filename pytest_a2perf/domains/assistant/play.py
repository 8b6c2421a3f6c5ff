"""One trial: an agent in the world of a scenario, and what a judge makes of it."""

from __future__ import annotations

import contextlib
import functools
import time
from typing import TYPE_CHECKING, Any

from pytest_a2perf.agents.adapt import close_made
from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.domains.assistant.agents.make import make_player
from pytest_a2perf.domains.assistant.agents.oracle import OracleAgent
from pytest_a2perf.domains.assistant.agents.player import Player
from pytest_a2perf.domains.assistant.agents.scripted import ScriptedAgent
from pytest_a2perf.domains.assistant.agents.usage import report_usage
from pytest_a2perf.domains.assistant.cache import keep_result, recall_result
from pytest_a2perf.domains.assistant.desk import OpenDesk, WorldDesk
from pytest_a2perf.domains.assistant.experts import Experts
from pytest_a2perf.domains.assistant.gaia2.groups import options_for
from pytest_a2perf.domains.assistant.judging import judge_model
from pytest_a2perf.domains.assistant.keep import Ending, keep_traces
from pytest_a2perf.domains.assistant.stage import Setting, open_stage
from pytest_a2perf.errors import AgentFailure
from pytest_a2perf.llm import open_cassette

if TYPE_CHECKING:
    from pytest_a2perf.domains.assistant.sources import CaseRef
    from pytest_a2perf.trials.trial import Trial

__all__ = ["play", "play_case", "setting_of"]

_WITHOUT_THOUGHT = (OracleAgent, ScriptedAgent)


def play_case(trial: Trial, ref: CaseRef) -> None:
    """Run one trial, or take its result from the cache.

    Raises:
        AgentFailure: see `play`.
        AgentError: see `play`.
        InfraError: see `play`.
    """
    setting = setting_of(trial, ref)
    if not setting.options.cache:
        play(setting)
    elif not recall_result(setting):
        try:
            play(setting)
        except AgentFailure as failure:
            keep_result(setting, failure)
            raise
        keep_result(setting, None)


def play(setting: Setting) -> None:
    """Run one trial, and record it whatever happens.

    Raises:
        AgentFailure: the judge has rejected a turn, or the agent has not finished.
        AgentError: the agent is broken.
        InfraError: the scenario, the judge or the model's server is.
    """
    trial = setting.trial
    player = make_player(trial.scenario.agent, _context(setting))
    with contextlib.ExitStack() as stack:
        stack.callback(close_made, player)
        stage = stack.enter_context(open_stage(setting))
        experts = Experts.of(
            stage.world, setting.options.agent_to_agent, trial.seed, setting.cassette
        )
        desk = _desk(setting, stage.world, player, experts)
        decision: bool | None = None
        rationale = ""
        failed: BaseException | None = None
        try:
            trial.measured(lambda: player.play(desk))
            stage.world.stop()
            decision, rationale = stage.verdict()
        except BaseException as error:
            failed = error
            raise
        finally:
            _report(setting, desk, player, experts)
            outcome = Ending(decision, rationale, failed, time.monotonic() - trial.started)
            keep_traces(setting, stage.world.log, player, outcome)
        _conclude(setting, desk.calls, str(stage.world.why), decision, rationale)


def setting_of(trial: Trial, ref: CaseRef) -> Setting:
    """Read what a trial needs.

    Raises:
        InfraError: a recording is to be replayed and is not there.
    """
    options = options_for(trial.scenario, trial.case)
    cassette = None
    if options.cassette is not None:
        cassette = open_cassette(
            trial.root / options.cassette.path, options.cassette.mode, attempt=trial.seed
        )
    return Setting(trial, ref, ref.trace(), options, cassette, judge_model(options.judge, cassette))


def _context(setting: Setting) -> AgentContext:
    trial = setting.trial
    return AgentContext(
        None,
        trial.seed,
        trial.root,
        trial.scenario.agent_options,
        trial.run_folder,
        trial.record.scenario,
        trial.note,
        trial.report,
        case=setting.ref.id,
        cassette=setting.cassette,
    )


def _desk(setting: Setting, world: Any, player: Player, experts: Experts | None) -> WorldDesk:
    settings: dict[str, Any] = {
        "tools": None if experts is None else experts.tools,
        # What these take is what their script says.
        "generation_time": "measured"
        if isinstance(player, _WITHOUT_THOUGHT)
        else setting.options.generation_time,
        "on_call": lambda number, name: setting.trial.progress(f"call {number}: {name}"),
    }
    if isinstance(player, OracleAgent):  # nobody else is shown the solution
        return OpenDesk(world, setting.trace, **settings)
    return WorldDesk(world, **settings)


def _report(setting: Setting, desk: WorldDesk, player: Player, experts: Experts | None) -> None:
    """Report what it took; the judge's and the apps' models apart from the agent's."""
    trial = setting.trial
    counted = functools.partial(trial.report, source="the model's server")
    model = getattr(player, "model", None)
    report_usage(counted, "", getattr(model, "totals", None))
    report_usage(counted, "judge_", None if setting.judge is None else setting.judge.totals)
    report_usage(counted, "experts_", None if experts is None else experts.totals)
    trial.report("simulated_time", desk.elapsed, "s", source="simulated clock")
    if replayed := getattr(getattr(model, "totals", None), "replayed", 0):
        # Neither time nor energy are those of the agent.
        trial.note(replayed=replayed)
        trial.record.quantities.clear()
    elif desk.thinking and not isinstance(player, _WITHOUT_THOUGHT):
        trial.sample("latency", desk.thinking, limit=trial.scenario.deadline)


def _conclude(
    setting: Setting, calls: int, why: str, decision: bool | None, rationale: str
) -> None:
    """Record what came of it.

    Raises:
        AgentFailure: the judge has rejected a turn, or the agent has not finished.
    """
    trial = setting.trial
    trial.note(ended=why, rationale=rationale)
    cut = why in ("duration", "stopped")
    success = False if decision is None and cut else decision
    trial.episode(
        float(bool(success)),
        calls,
        terminated=not cut,
        truncated=cut,
        success=success,
        task=setting.ref.capability,
    )
    if success is False:
        ended = f"the world was over ({why}) before all turns were\n" if cut else ""
        raise AgentFailure(ended + rationale)
