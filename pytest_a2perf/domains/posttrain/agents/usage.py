"""What an agent's language model took: tokens and dollars, and who says so."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.lines import objects, read_lines
from pytest_a2perf.domains.posttrain.workspace.tampering import read_plain

__all__ = ["Source", "Spent", "spent_by", "usage_of_events", "usage_of_report"]

Source = Literal["", "proxy", "log", "report"]
"""Nobody; the harness's proxy; events that the agent printed; what it wrote in a report."""

_REPORT = "reports/usage.json"
_LARGEST = 16 << 20
_LONGEST = 1 << 20  # bytes of an event
_MODEL = 200  # characters of a name
_MOST_TOKENS = 1 << 53
_MOST_DOLLARS = 1e9
_NAMES = ("input", "cached", "output")


@dataclass(slots=True)
class Spent:
    """Tokens and dollars.

    Attributes:
        tokens: ``input`` (cached ones included), ``cached`` and ``output``; empty if not known.
        dollars: None if not known.
        calls: of a model, as far as they were counted.
        source: who says so.
        model: as the agent or the proxy names it; empty if not known.
    """

    tokens: dict[str, int] = field(default_factory=dict)
    dollars: float | None = None
    calls: int = 0
    source: Source = ""
    model: str = ""

    def add(self, read: int, output: int, cached: int = 0, dollars: float | None = None) -> None:
        """Add what a part of it took."""
        for name, count in zip(_NAMES, (read, cached, output), strict=True):
            self.tokens[name] = self.tokens.get(name, 0) + count
        if dollars is not None:
            self.dollars = (self.dollars or 0.0) + dollars

    @property
    def believable(self) -> bool:
        """Whether it is no more than anybody can have taken."""
        return (self.dollars or 0.0) <= _MOST_DOLLARS and all(
            count <= _MOST_TOKENS for count in (self.calls, *self.tokens.values())
        )


def spent_by(files: RunFiles) -> Spent:
    """Return what an agent's language model took, by the best source that there is.

    The proxy counts itself. Events in the agent's output are the agent's word, but were written as
    it went; ``reports/usage.json`` is a mere claim.

    Args:
        files: of a run that has ended.
    """
    return (
        _of_proxy(files)
        or usage_of_events(_events(_tail_of(files)))
        or usage_of_report(read_plain(files.workspace, _REPORT))
        or Spent()
    )


def usage_of_events(events: Iterable[dict[str, Any]]) -> Spent | None:
    """Return what the events of coding agents add up to; None if they say nothing.

    Claude Code ends with a ``result`` (tokens and dollars of the session); where it was killed
    before, its messages are added up, each once. Codex' ``turn.completed`` counts from the thread's
    beginning. Gemini CLI ends with a ``result`` with ``stats``. OpenCode has a ``step_finish`` for
    each step.
    """
    spent = Spent(source="log")
    threads: dict[str, dict[str, Any]] = {}
    messages: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    thread, found = "", False
    for event in events:
        match event:
            case {"type": "thread.started", "thread_id": str(name)}:
                thread = name
            case {"type": "turn.completed", "usage": dict(usage)}:
                threads[thread] = usage
                spent.calls += 1
            case {"type": "result", "stats": dict(stats)}:
                found = True
                spent.add(
                    _count(stats, "input_tokens"),
                    _count(stats, "output_tokens"),
                    _count(stats, "cached"),
                )
            case {"type": "result", "usage": dict(usage)}:
                found = True
                messages.pop(_name(event.get("session_id")), None)
                _add_claude(spent, usage, _dollars(event.get("total_cost_usd")))
                spent.calls += _count(event, "num_turns")
            case {"type": "assistant", "message": {"id": str(name), "usage": dict(usage)}}:
                messages[_name(event.get("session_id"))][name] = usage
                spent.model = spent.model or _name(event["message"].get("model"))
            case {"type": "step_finish", "part": {"tokens": dict(tokens)}}:
                found = True
                cache = tokens.get("cache") if isinstance(tokens.get("cache"), dict) else {}
                read, written = _count(cache, "read"), _count(cache, "write")
                spent.add(
                    _count(tokens, "input") + read + written,
                    _count(tokens, "output") + _count(tokens, "reasoning"),
                    read,
                    _dollars(event["part"].get("cost")),
                )
                spent.calls += 1
            case {"type": "init" | "system", "model": str(model)}:
                spent.model = spent.model or _name(model)
    for usage in threads.values():
        spent.add(
            _count(usage, "input_tokens"),
            _count(usage, "output_tokens"),
            _count(usage, "cached_input_tokens"),
        )
    for session in messages.values():  # those that did not come to their result
        for usage in session.values():
            _add_claude(spent, usage, None)
            spent.calls += 1
    found = found or bool(threads) or any(messages.values())
    return spent if found and spent.believable else None


def usage_of_report(text: bytes | None) -> Spent | None:
    """Return what ``reports/usage.json`` claims; None if it is not there or cannot be read."""
    try:
        claim = json.loads(text or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(claim, dict):
        return None
    spent = Spent(source="report", calls=_count(claim, "calls"), model=_name(claim.get("model")))
    spent.add(
        _count(claim, "input_tokens"),
        _count(claim, "output_tokens"),
        _count(claim, "cached_tokens"),
        _dollars(claim.get("dollars")),
    )
    known = any(spent.tokens.values()) or spent.dollars is not None
    return spent if known and spent.believable else None


def _of_proxy(files: RunFiles) -> Spent | None:
    """Add up the lines of kind ``llm`` among the calls."""
    spent = Spent(source="proxy")
    for call in read_lines(files.calls, "llm"):
        spent.calls += 1
        spent.model = spent.model or _name(call.get("model"))
        spent.add(
            _count(call, "input_tokens"),
            _count(call, "output_tokens"),
            _count(call, "cached_tokens"),
            _dollars(call.get("dollars")),
        )
    return spent if spent.calls else None


def _add_claude(spent: Spent, usage: dict[str, Any], dollars: float | None) -> None:
    read = _count(usage, "cache_read_input_tokens")
    written = _count(usage, "cache_creation_input_tokens")
    fresh = _count(usage, "input_tokens")
    spent.add(fresh + read + written, _count(usage, "output_tokens"), read, dollars)


def _tail_of(files: RunFiles) -> list[bytes]:
    """Return the lines that the agent printed, as far as they are kept."""
    text = read_plain(files.root, files.output.name, _LARGEST)
    return (text or b"").splitlines()


def _events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    short = (line for line in lines if len(line) <= _LONGEST)
    return (event for event in objects(short) if isinstance(event.get("type"), str))


def _name(value: object) -> str:
    return value[:_MODEL] if isinstance(value, str) else ""


def _count(holder: dict[str, Any] | None, key: str) -> int:
    value = (holder or {}).get(key)
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0


def _dollars(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _MOST_DOLLARS else None
