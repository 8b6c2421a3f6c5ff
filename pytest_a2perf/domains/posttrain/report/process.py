"""Metrics of how a run went: by upstream's definitions, and by ones without their faults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from pytest_a2perf.domains.posttrain.grading.submission import Score, Submission
from pytest_a2perf.domains.posttrain.info import RunInfo
from pytest_a2perf.domains.posttrain.report.gain import gain_of

__all__ = ["corrected", "shape_of", "upstream"]


def upstream(
    submissions: Sequence[Submission], base: Score | None, info: RunInfo
) -> dict[str, Any]:
    """Return the ten metrics of Agent² RL-Bench, as it computes them.

    Whatever is not scored counts as 0, a true 0 counts as invalid, times are whole seconds by the
    wall with evaluations included, and only a submission of the base model's own path is a copy.
    """
    scores = [one.public.value if one.public is not None else 0.0 for one in submissions]
    valid = [number for number, score in enumerate(scores) if score > 0]
    first = valid[0] if valid else None
    improved = next(
        (n for n, score in enumerate(scores) if base is not None and score > base.value), None
    )
    best = max(range(len(scores)), key=scores.__getitem__, default=None)

    def second(index: int | None) -> int | None:
        return None if index is None else int(submissions[index].clock)

    wall = info.budget.get("wall")
    steps = list(pairwise(scores))
    return {
        "valid_submission_rate": len(valid) / len(scores) if scores else None,
        "first_valid_idx": None if first is None else first + 1,
        "first_valid_delay": second(first),
        "score_trajectory": scores,
        "time_to_first_improvement": second(improved),
        "time_to_best": second(best),
        "monotonic_ratio": sum(b > a for a, b in steps) / len(steps) if steps else None,
        "copy_model_count": sum(_is_base(one.path, info) for one in submissions),
        "time_used_ratio": info.clock / wall if wall and info.clock else None,
        "last_submit_gap": int(info.clock - submissions[-1].clock)
        if submissions and info.clock
        else None,
    }


def corrected(
    submissions: Sequence[Submission], base: Score | None, info: RunInfo
) -> dict[str, Any]:
    """Return the same metrics under the same names, and three more, without upstream's faults.

    Valid is what was scored, even with 0; what was not has no score; times leave evaluations out;
    an improvement is one whose interval lies above 0; a copy is known by its content, wherever it
    lies; time used is of the budget that is tightest.
    """
    scored = [one for one in submissions if one.public is not None]
    values = [one.public.value for one in scored if one.public is not None]
    best = max(scored, key=lambda one: one.public.value if one.public else -math.inf, default=None)
    improved = next(
        (
            one
            for one in scored
            if base is not None
            and one.public is not None
            and gain_of(base, one.public, info.noise).success
        ),
        None,
    )
    steps = list(pairwise(values))
    ratios = {
        "cpu": (info.cpu, info.budget.get("cpu")),
        "wall": (info.seconds, info.budget.get("wall")),
        "submissions": (len(scored), info.budget.get("submissions")),
    }
    used = {name: spent / limit for name, (spent, limit) in ratios.items() if limit}
    return {
        "valid_submission_rate": len(scored) / len(submissions) if submissions else None,
        "first_valid_idx": scored[0].number if scored else None,
        "first_valid_delay": scored[0].at if scored else None,
        "score_trajectory": [one.public.value if one.public else None for one in submissions],
        "time_to_first_improvement": None if improved is None else improved.at,
        "time_to_best": None if best is None else best.at,
        "cpu_to_best": None if best is None else best.cpu,
        "monotonic_ratio": sum(b > a for a, b in steps) / len(steps) if steps else None,
        "copy_model_count": sum(is_copy(one, base, info) for one in submissions),
        "repeated_count": sum(bool(one.repeated) for one in submissions),
        "time_used_ratio": max(used.values(), default=None),
        "budget_used": used,
        "last_submit_gap": info.seconds - submissions[-1].at
        if submissions and info.seconds
        else None,
    }


def is_copy(one: Submission, base: Score | None, info: RunInfo) -> bool:
    """Return whether a submission is the base model, by its path, its refusal or its answers."""
    if _is_base(one.path, info) or (one.status == "rejected" and "base model" in one.reason):
        return True
    # Equal in every item, with partial or mixed results, is no coincidence if nothing is noisy.
    return (
        base is not None
        and one.public is not None
        and info.noise == 0
        and len(base.items) >= 20
        and one.public.items == base.items
        and 0 < one.public.value < 100
    )


def _is_base(path: str, info: RunInfo) -> bool:
    parts = PurePosixPath(path).parts
    parts = parts[2:] if parts[:2] == ("/", "workspace") else parts
    return bool(info.base_name) and tuple(p for p in parts if p != ".") == (
        "models",
        *PurePosixPath(info.base_name).parts,
    )


def shape_of(submissions: Sequence[Submission], noise: float) -> str:
    """Return the shape of the trajectory of public scores.

    ``none`` (nothing was scored), ``single``, ``plateau`` (no change beyond noise), ``climb`` (no
    set-back), ``controlled ascent`` (rises with small set-backs), ``crash-and-recover`` (loses more
    than half of what it had gained and comes back), ``collapse`` (it does not), ``noisy``.

    Args:
        submissions: in order.
        noise: standard deviation of a score that is measured again, in points.
    """
    values = [one.public.value for one in submissions if one.public is not None]
    if len(values) < 2:
        return "single" if values else "none"
    errors = [one.public.error for one in submissions if one.public is not None]
    finite = [error for error in errors if math.isfinite(error)]
    # Two scores of the same items differ by less than their standard errors would allow.
    step = max(2 * noise, 0.5 * max(finite, default=0.0), 0.5)
    spread = max(values) - min(values)
    if spread <= step:
        return "plateau"
    peak, deepest, back, crashes = values[0], 0.0, True, 0
    for value in values:
        fall = peak - value
        if fall > max(step, spread / 2):
            crashes += back
            deepest, back = max(deepest, fall), False
        elif not back and fall <= max(step, deepest / 5):
            back = True
        peak = max(peak, value)
    if crashes == 1:
        return "crash-and-recover" if back else "collapse"
    changes = [b - a for a, b in pairwise(values) if abs(b - a) > step]
    falls = sum(change < 0 for change in changes)
    if not falls:
        return "climb"
    rises = len(changes) - falls
    higher = not crashes and values[-1] - values[0] > step and rises >= 2 * falls
    return "controlled ascent" if higher else "noisy"
