"""What a workload is like: turns, lengths, delays, and how much of it a cache could save."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from pytest_a2perf.domains.serving.trajectories.models import Session, Turn
from pytest_a2perf.domains.serving.trajectories.tokens import message_tokens, tools_tokens

__all__ = ["FIGURES", "statistics_of", "statistics_text"]

FIGURES = ("min", "p5", "p25", "median", "mean", "p75", "p95", "max")
_PERCENTILES = {"min": 0, "p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95, "max": 100}
_ROWS = {
    "turns": ("turns of a session", 1),
    "input_tokens": ("input tokens", 1),
    "output_tokens": ("output tokens", 1),
    "tool_delay": ("tool delay, s", 1),
    "think_time": ("think time, s", 1),
    "cached_share": ("share that a cache could hold, %", 100),
}


def statistics_of(sessions: Iterable[Session]) -> dict[str, Any]:
    """Return figures of a workload as plain JSON.

    Lengths of inputs are as recorded, else by the rule of `tokens`; ``counted`` says how many are
    of either kind. The share that a cache could hold is that of the leading messages that the
    session's turn before has sent, too, with the declared tools; ``cached_share`` is it over all
    tokens, and its distribution is over requests.

    Args:
        sessions: may be an iterator; none of them is kept.
    """
    values: dict[str, list[float]] = {name: [] for name in _ROWS}
    counts: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    named: dict[str, Counter[str]] = {"tools": Counter(), "models": Counter(), "sources": Counter()}
    for session in sessions:
        counts["sessions"] += 1
        counts["sub_agents"] += bool(session.parent)
        named["models"][session.model] += 1
        named["sources"][session.source] += 1
        values["turns"].append(len(session.turns))
        lengths = [message_tokens(message) for message in session.messages]
        declared = tools_tokens(session.tools)
        before: tuple[int, ...] = ()
        for turn in session.turns:
            named["tools"].update(turn.calls)
            whole = declared + sum(lengths[index] for index in turn.messages)
            cached = sum(lengths[index] for index in _shared(before, turn.messages))
            cached += declared if before else 0
            before = turn.messages
            counts["recorded" if turn.prompt_tokens is not None else "estimated"] += 1
            tokens["input"] += whole
            tokens["cached"] += cached
            values["input_tokens"].append(
                whole if turn.prompt_tokens is None else turn.prompt_tokens
            )
            values["cached_share"].append(cached / whole if whole else 0.0)
            _replied(turn, values, last=turn is session.turns[-1])
    return {
        "sessions": counts["sessions"],
        "sub_agents": counts["sub_agents"],
        "requests": len(values["input_tokens"]),
        "counted": {name: counts[name] for name in ("recorded", "estimated")},
        "cached_share": tokens["cached"] / tokens["input"] if tokens["input"] else None,
        **{name: dict(counter.most_common()) for name, counter in named.items()},
        "distributions": {name: _figures(found) for name, found in values.items()},
    }


def statistics_text(statistics: Mapping[str, Any]) -> str:
    """Return the figures of `statistics_of` as a table for a terminal."""
    counted = statistics["counted"]
    share = statistics["cached_share"]
    sessions, sub_agents, requests = (
        statistics[name] for name in ("sessions", "sub_agents", "requests")
    )
    recorded, estimated = counted["recorded"], counted["estimated"]
    lines = [
        f"{sessions} sessions, {sub_agents} of sub-agents; {requests} requests",
        f"lengths of inputs: {recorded} recorded, {estimated} estimated (bytes / 4)",
    ]
    if share is not None:
        lines.append(f"an ideal prefix cache would hold {100 * share:.1f} % of all input tokens")
    for name, label in (("sources", "from"), ("models", "models"), ("tools", "tools called")):
        if found := {key or "unknown": count for key, count in statistics[name].items()}:
            lines.append(f"{label}: " + ", ".join(f"{key} ({n})" for key, n in found.items()))
    rows = [["", "values", *FIGURES]]
    for name, (label, factor) in _ROWS.items():
        found = statistics["distributions"][name]
        figures = [_number(found[figure], factor) for figure in FIGURES]
        rows.append([label, str(found["count"]), *figures])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]))
    return "\n".join(lines)


def _shared(before: Sequence[int], after: Sequence[int]) -> list[int]:
    pairs = zip(before, after, strict=False)
    return [index for index, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]


def _replied(turn: Turn, values: dict[str, list[float]], *, last: bool) -> None:
    if turn.output_tokens is not None:
        values["output_tokens"].append(turn.output_tokens)
    # After the last reply nothing waits for a tool or a person.
    if not last:
        if turn.tool_delay or turn.calls:
            values["tool_delay"].append(turn.tool_delay)
        if turn.think_time:
            values["think_time"].append(turn.think_time)


def _figures(values: list[float]) -> dict[str, float | int | None]:
    if not values:
        return {"count": 0, **dict.fromkeys(FIGURES)}
    import numpy as np

    points = np.percentile(values, list(_PERCENTILES.values()))
    figures = {name: float(value) for name, value in zip(_PERCENTILES, points, strict=True)}
    figures["mean"] = sum(values) / len(values)
    return {"count": len(values), **{name: round(figures[name], 6) for name in FIGURES}}


def _number(value: float | None, factor: int) -> str:
    if value is None:
        return "-"
    value *= factor
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
