"""Phase rules by name: the published ones, and shorter ones that say that they are."""

from __future__ import annotations

from pytest_a2perf.domains.serving.replay.level import Rules
from pytest_a2perf.domains.serving.replay.plan import Plan

__all__ = ["PROFILES", "is_official"]

PROFILES: dict[str, Rules] = {
    rules.name: rules
    for rules in (
        # The published rules know no number of requests; with 500, as many as 13 may be above the
        # 95th percentile's limit at 99 % confidence, so that one slow moment does not decide.
        Rules(
            "publication", settle=30.0, steady=600.0, sessions=30, per_agent=3.0, requests=500,
            longest=5400.0,
        ),
        # Sessions of minutes do not end in windows of seconds, so that none is asked for. Of 130
        # requests not one may be above the 95th percentile's limit at 99 % confidence (LoadGen).
        Rules(
            "ci", settle=3.0, steady=30.0, sessions=0, per_agent=0.0, requests=130, longest=300.0
        ),
        # The fewest that say anything of a 95th percentile at 95 % confidence are 59.
        Rules(
            "quick", settle=0.5, steady=2.0, sessions=0, per_agent=0.0, requests=60, longest=20.0
        ),
    )
}  # fmt: skip


_LONGEST_DELAY = 5.0  # seconds that the tools of the published method take at most


def is_official(rules: Rules, plan: Plan) -> bool:
    """Whether load and rules are those of the published method, so that figures may compare.

    A closed loop with free output, pauses as they were recorded and no cache between sessions, and
    no rule weaker than the published ones.
    """
    published = PROFILES["publication"]
    names = ("settle", "steady", "sessions", "per_agent")
    faithful = (
        plan.rate is None
        and plan.output == "free"
        and plan.isolate_cache
        and plan.pause_scale == 1
        and plan.longest_pause >= _LONGEST_DELAY
    )
    return faithful and all(getattr(rules, name) >= getattr(published, name) for name in names)
