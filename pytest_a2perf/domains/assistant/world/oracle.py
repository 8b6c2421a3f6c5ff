"""What an oracle would do: the run of a scenario that judges compare agents with."""

from __future__ import annotations

from pathlib import Path

from pytest_a2perf.domains.assistant.apps.registry import make_app
from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.world.world import AppMaker, World

__all__ = ["run_oracle"]


def run_oracle(
    trace: Trace,
    seed: int = 0,
    *,
    duration: float | None = None,
    files: Path | None = None,
    make_app: AppMaker = make_app,
) -> World:
    """Run a scenario with its own events for an agent that takes no time to think.

    ARE's oracle mode succeeds even if calls fail, and forgets what is planned after the end.

    Args:
        trace: the scenario, checked.
        seed: of all that apps draw.
        duration: seconds until the world ends; None: as the scenario says, if it does.
        files: folder in which apps may keep files.
        make_app: see `World`.

    Returns:
        The world after all has happened.

    Raises:
        TraceError: the scenario does not work: a call failed, or one of the agent's events did not
            happen; names the event.
    """
    world = World(trace, seed=seed, duration=duration, oracle=True, files=files, make_app=make_app)
    world.run()
    name = trace.metadata.definition.scenario_id
    for happening in world.log:
        if happening.failed:
            call = f"{happening.app}__{happening.function}"
            raise TraceError(f"{name}: event {happening.id!r}: {call} failed: {happening.error}")
    happened = {happening.id for happening in world.log}
    for event in trace.events:
        if event.event_type == "AGENT" and event.event_id not in happened:
            raise TraceError(
                f"{name}: event {event.event_id!r} did not happen within the duration of the"
                " scenario; make that longer, or the delays shorter"
            )
    return world
