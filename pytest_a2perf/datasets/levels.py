"""Skill levels: which checkpoints of a training count as novice, intermediate or expert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pytest_a2perf.errors import A2PerfError

__all__ = ["LEVELS", "RULES", "Level", "Rule", "at_level", "skill_levels"]

Level = Literal["novice", "intermediate", "expert"]
LEVELS: tuple[Level, ...] = ("novice", "intermediate", "expert")
Rule = Literal["sigma", "median"]
RULES: tuple[Rule, ...] = ("sigma", "median")


def skill_levels(values: Sequence[float], rule: Rule = "sigma") -> dict[Level, list[int]]:
    """Sort checkpoints into levels by their mean returns.

    ``sigma`` is A2Perf's code: with mean and sample standard deviation (sd) of all values, novice
    is at most mean - 2 sd, intermediate within one sd of the mean, expert at least mean + 2 sd;
    what lies between belongs to none. ``median`` is the paper's: novice is at most the median,
    expert above.

    Args:
        values: mean return of each checkpoint, one or more.
        rule: as above.

    Returns:
        Indices into ``values`` by level, some perhaps empty.

    Raises:
        A2PerfError: the values do not differ, so that there are no levels.
    """
    import statistics

    if not values or min(values) == max(values):
        raise A2PerfError(
            f"skill levels need checkpoints whose returns differ, got {len(values)} with "
            f"{'the same return' if values else 'a return'}"
        )
    if rule == "median":
        middle = statistics.median(values)
        return {
            "novice": [i for i, value in enumerate(values) if value <= middle],
            "intermediate": [],
            "expert": [i for i, value in enumerate(values) if value > middle],
        }
    mean, sigma = statistics.fmean(values), statistics.stdev(values)
    return {
        "novice": [i for i, value in enumerate(values) if value <= mean - 2 * sigma],
        "intermediate": [i for i, value in enumerate(values) if abs(value - mean) <= sigma],
        "expert": [i for i, value in enumerate(values) if value >= mean + 2 * sigma],
    }


def at_level(values: Sequence[float], level: Level, rule: Rule = "sigma") -> list[int]:
    """Return the indices of the checkpoints at a level, one or more.

    Raises:
        A2PerfError: there is none; the message says which levels have checkpoints.
    """
    levels = skill_levels(values, rule)
    if levels[level]:
        return levels[level]
    counts = ", ".join(f"{name} {len(found)}" for name, found in levels.items())
    advice = "; skewed returns often leave the outer levels empty" if rule == "sigma" else ""
    other = next(name for name in RULES if name != rule)
    raise A2PerfError(
        f"none of {len(values)} checkpoints is {level!r} by the rule {rule!r} ({counts}){advice}; "
        f"choose a level that has some, or level_rule = {other!r}"
    )
