"""Mooncake's traces: a row for each request, with its arrival and the names of its blocks.

Texts are made up, see `trajectories.blocks`. Rows say of no session unless they have a
``session_id``: a request continues an earlier one if it begins with all of that one's full blocks,
and if there is no other way on from there. The pause before it is the time between the arrivals,
because nothing is known of how long replies took.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from pytest_a2perf.domains.serving.trajectories.blocks import Blocks, blocks_of, inputs_of
from pytest_a2perf.domains.serving.trajectories.build import SessionBuilder
from pytest_a2perf.domains.serving.trajectories.form import Form, Record, first_object, records_of
from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = ["FORM"]

_SIZE = 512
_Request = tuple[Record, Blocks]


def _detect(_: Path, head: bytes) -> bool:
    first = first_object(head)
    # Bailian's traces are similar, but have blocks of another size.
    return {"input_length", "output_length"} <= first.keys() and "chat_id" not in first


def _read(path: Path) -> Iterator[Session]:
    requests: list[_Request] = []
    for number, row in enumerate(records_of(path), 1):
        scope = "" if row.items("hash_ids") else f"request {number}"
        requests.append((row, blocks_of(row, "input_length", _SIZE, scope)))
    requests.sort(key=lambda request: request[0].number("timestamp") or 0)
    for number, (name, chain) in enumerate(_chains_of(requests), 1):
        yield _session_of(name or f"{path.stem}-{number}", chain)


def _session_of(name: str, chain: Sequence[_Request]) -> Session:
    builder = SessionBuilder(name, source=FORM.name)
    before: float | None = None
    inputs = inputs_of([blocks for _, blocks in chain])
    for (row, _), messages in zip(chain, inputs, strict=True):
        arrival, delay = row.seconds("timestamp", 0.001), row.seconds("delay", 0.001)
        if delay is None and arrival is not None and before is not None:
            delay = arrival - before
        builder.pause(delay or 0.0, person=True)
        builder.turn(
            messages,
            output_tokens=row.count("output_length"),
            prompt_tokens=row.count("input_length"),
        )
        before = arrival
    return builder.session()


def _chains_of(requests: Sequence[_Request]) -> list[tuple[str, list[_Request]]]:
    """Return sessions: their names, where they have any, and their requests in order."""
    ends = {_marks_of(blocks)[-1] for _, blocks in requests}
    ways: defaultdict[int, set[str]] = defaultdict(set)
    for _, blocks in requests:
        for mark, name in zip(_marks_of(blocks), blocks.full, strict=False):
            if mark in ends:
                ways[mark].add(name)
    chains: list[tuple[str, list[_Request]]] = []
    named: dict[str, list[_Request]] = {}
    ended: dict[int, list[_Request]] = {}
    for row, blocks in requests:
        name = row.text("session_id", "")
        marks = _marks_of(blocks)
        earlier = [mark for mark in marks[1:-1] if mark in ended and len(ways[mark]) == 1]
        chain = named.get(name) if name else (ended.pop(earlier[-1]) if earlier else None)
        if chain is None:
            chain = []
            chains.append((name, chain))
        chain.append((row, blocks))
        if name:
            named[name] = chain
        elif blocks.full:
            ended[marks[-1]] = chain
    return chains


def _marks_of(blocks: Blocks) -> list[int]:
    """Return a number for what stands before each full block, and for all of them."""
    return list(accumulate(blocks.full, lambda mark, name: hash((mark, name)), initial=0))


FORM = Form("mooncake", _detect, _read)
