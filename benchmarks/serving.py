"""The domain serving: what its client measures against what a server of known times truly did.

The reference server sends 100 tokens a request, the first after 200 ms, one every 10 ms (20 ms at
1,000 streams). Its log says when each request came in and when its first and last token went out;
the error of a client is its figure minus the same figure of that log. Our load is a whole level,
with conversations that grow from turn to turn, an own random prefix each, and exact lengths. aiperf
and guidellm run in turn with it, where their Python is named (``--aiperf-python``,
``A2PERF_AIPERF_PYTHON``, ``--guidellm-python``, ``A2PERF_GUIDELLM_PYTHON``) or ``--install FOLDER``
makes it. Server and clients have the same priority: a client that shares a core with a server that
goes first starves, and its backlog would look like an error of its own. Tools that scale by adding
processes do better on more cores. Run it on an idle machine; how much others used just before
stands in the table.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import report
from serving_peers import PEERS, Measured, Task, install, make_tokenizer

from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.replay.level import Rules
from pytest_a2perf.domains.serving.replay.options import LoadOptions
from pytest_a2perf.domains.serving.replay.run import run_level
from pytest_a2perf.domains.serving.server.launch import Reference, reference_server
from pytest_a2perf.domains.serving.trajectories.models import Session, Turn
from pytest_a2perf.domains.serving.trajectories.store import write_sessions

TTFT = 0.2
TOKENS = 100
TURNS = 10
OURS = "ours"


@dataclass(frozen=True)
class Case:
    """A load."""

    name: str
    streams: int
    itl: float = 0.01
    prompt: int = 200  # tokens
    requests: int = 20  # a stream

    @property
    def length(self) -> float:
        """Seconds that a request takes."""
        return TTFT + (TOKENS - 1) * self.itl


CASES = (
    Case("1 stream", 1),
    Case("32 streams", 32),
    Case("256 streams", 256),
    Case("1,000 streams", 1000, itl=0.02, requests=5),
    Case("32 streams, 27k tokens", 32, prompt=27_000),
)


@dataclass(frozen=True)
class Result:
    """One tool's figures: rate over the ideal, errors in ms and per cent, and what it used."""

    rate: float
    mean: float
    p95: float
    speed: float
    cpu: float  # microseconds a chunk, start-up included
    rss: float  # MB, the sum over its processes
    processes: int
    true_p95: float
    busy: float  # share of the machine that others used just before

    def __str__(self) -> str:
        return (
            f"{self.rate:.1%} of the ideal rate, TTFT mean {self.mean:+.2f} and P95 "
            f"{self.p95:+.2f} ms, P25 speed {self.speed:+.2f} %, {self.cpu:.0f} µs CPU a chunk, "
            f"{self.rss:.0f} MB"
        )


@dataclass
class Used:
    """Memory and processes of what runs below this process, the server aside."""

    rss: float = 0.0
    processes: int = 0
    cpu: float = 0.0
    busy: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def watch(self, server: int) -> Iterator[None]:
        """Look twice a second for the peak; CPU is of those that have ended in the meantime."""
        thread = threading.Thread(target=self._look, args=(server,), daemon=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def _look(self, server: int) -> None:
        while not self._stop.wait(0.5):
            rss, count = 0, 0
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if process.pid != server:
                        rss += process.memory_info().rss
                        count += 1
            self.rss, self.processes = max(self.rss, rss / 1e6), max(self.processes, count)


def words(size: int, seed: object) -> str:
    """Return a text of so many tokens, four bytes each."""
    chance = random.Random(f"{seed}")
    letters = "abcdefghijklmnopqrstuvwxyz"
    some = ["".join(chance.choices(letters, k=3)) + " " for _ in range(500)]
    return "".join(chance.choices(some, k=size))


def conversations(case: Case) -> Iterator[Session]:
    """Sessions whose prompts grow from nine to eleven tenths of the wanted length."""
    for number in range(min(case.streams, 64)):
        added = max(1, case.prompt // 100)
        messages = [{"role": "user", "content": words(case.prompt * 9 // 10, number)}]
        for turn in range(TURNS - 1):
            messages.append({"role": "assistant", "content": words(added, (number, turn))})
            messages.append({"role": "user", "content": words(added, (turn, number))})
        turns = [
            Turn(messages=tuple(range(2 * turn + 1)), output_tokens=TOKENS) for turn in range(TURNS)
        ]
        yield Session(id=str(number), messages=tuple(messages), turns=tuple(turns))


def run_ours(case: Case, server: Reference, folder: Path, used: Used) -> Result:
    """Hold a level as trials do."""
    workload = folder / "workload.jsonl"
    write_sessions(workload, conversations(case))
    endpoint = Endpoint(server.url, "reference")
    options = LoadOptions(output="exact", spread=False)
    plan = options.plan(endpoint, str(workload), agents=case.streams)
    seconds = case.requests * case.length
    rules = Rules("benchmark", case.length, seconds, 0, 0, 0, seconds + 60)
    processes = options.process_count(case.streams, case.streams / case.itl)
    with used.watch(server.pid):
        level = run_level(plan, rules, folder=folder, processes=processes)
    assert not level.rows.failed.any(), level.rows["error"]
    measured = Measured(
        float(level.rows.ttft.mean()) * 1e3,
        float(np.percentile(level.rows.ttft, 95)) * 1e3,
        float(np.nanpercentile(level.rows.output_speed, 25)),
    )
    lines = server.requests()
    inside = [line for line in lines if level.begin <= line["received"] < level.end]
    ended = sum(level.begin <= line["ended"] < level.end for line in lines)
    rate = ended / level.seconds / (case.streams / case.length)
    return result(measured, inside, rate, used, len(lines))


def result(
    measured: Measured, truth: Sequence[dict[str, Any]], rate: float, used: Used, requests: int
) -> Result:
    """Compare with what the server did."""
    first = np.array([line["first"] - line["received"] for line in truth]) * 1e3
    speed = [(line["tokens"] - 1) / (line["last"] - line["first"]) for line in truth]
    true_p95 = float(np.percentile(first, 95))
    return Result(
        rate=rate,
        mean=measured.ttft_mean - float(first.mean()),
        p95=measured.ttft_p95 - true_p95,
        speed=(measured.speed_p25 / float(np.percentile(speed, 25)) - 1) * 100,
        cpu=used.cpu / (requests * TOKENS) * 1e6,
        rss=used.rss,
        processes=used.processes,
        true_p95=true_p95,
        busy=used.busy,
    )


def run_peer(
    name: str, python: Path, case: Case, server: Reference, folder: Path, used: Used
) -> Result:
    """Run a peer with the same number of requests."""
    peer = next(peer for peer in PEERS if peer.name == name)
    prompts = [words(case.prompt, number) for number in range(case.streams * case.requests)]
    make_tokenizer(folder / "tokenizer", words(20_000, 0) + " tok" * 1000)
    with used.watch(server.pid):
        measured = peer.run(python, Task(server.url, case.streams, prompts, folder))
    lines = server.requests()
    begin = min(line["received"] for line in lines)
    seconds = max(line["ended"] for line in lines) - begin
    rate = len(lines) * case.length / case.streams / seconds
    return result(measured, lines, rate, used, len(lines))


def calm(longest: float) -> float:
    """Wait for a machine that is nearly idle, and return the share that is in use in the end."""
    limit = time.monotonic() + longest
    while True:
        busy = psutil.cpu_percent(interval=3) / 100
        if busy < 0.1 or time.monotonic() > limit:
            return busy


def once(name: str, python: Path | None, case: Case, wait: float = 0.0) -> Result:
    """Run one tool against a fresh server."""
    used = Used(busy=calm(wait))
    with (
        tempfile.TemporaryDirectory(prefix="a2perf-benchmark-") as folder,
        reference_server(ttft=TTFT, itl=case.itl, tokens=TOKENS) as server,
    ):
        if python is None:
            return run_ours(case, server, Path(folder), used)
        return run_peer(name, python, case, server, Path(folder), used)


def middle(results: Sequence[Result]) -> Result:
    """Return the round whose error is in the middle."""
    return sorted(results, key=lambda one: one.p95)[len(results) // 2]


def main(arguments: Sequence[str] = ()) -> list[dict[str, object]]:
    options = parse(arguments)
    tools: dict[str, Path | None] = {OURS: None}
    for peer in PEERS:
        python = getattr(options, f"{peer.name}_python")
        if options.install:
            python = install(peer, Path(options.install))
        if python:
            tools[peer.name] = Path(python)
        else:
            print(f"{peer.name}: left out, no Python of it is named")
    reports, table = [], []
    for case in CASES:
        if options.cases and case.name not in options.cases:
            continue
        rounds: dict[str, list[Result]] = {name: [] for name in tools}
        for _ in range(options.rounds):
            for name, tool in tools.items():
                try:
                    rounds[name].append(once(name, tool, case, options.wait))
                except RuntimeError as error:
                    print(f"{name}, {case.name}: {error}")
        best = {name: middle(results) for name, results in rounds.items() if results}
        table += [row(case, name, one, len(rounds[name])) for name, one in best.items()]
        reports += reports_of(case, best)
    print("\n".join([HEAD, *table]))
    return reports


HEAD = """
| load | client | rate / ideal | TTFT error, mean, ms | TTFT error, P95, ms | true P95, ms | \
P25 speed error | CPU a chunk, µs | RSS, MB | processes | busy before | rounds |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def row(case: Case, name: str, one: Result, rounds: int) -> str:
    """Return a line of the table."""
    return (
        f"| {case.name} | {name} | {one.rate:.1%} | {one.mean:+.2f} | {one.p95:+.2f} | "
        f"{one.true_p95:.1f} | {one.speed:+.2f} % | {one.cpu:.1f} | {one.rss:.0f} | "
        f"{one.processes} | {one.busy:.0%} | {rounds} |"
    )


def reports_of(case: Case, best: dict[str, Result]) -> list[dict[str, object]]:
    """Return the lines of RESULTS.md; all figures of the load that has targets, one of others."""
    ours = best[OURS]
    versions = {peer.name: f"{peer.name} {peer.version}" for peer in PEERS}
    peers = [f"{versions[name]}: {one}" for name, one in best.items() if name != OURS]
    detail = "; ".join([f"{ours}, {ours.processes} process(es)", *peers])
    name = f"serving: P95 error of TTFT, {case.name}"
    target = case.streams == 256
    budget = "none" if case.streams > 256 else "<= 2"
    lines = [report(name, ours.p95, "ms", budget, detail)]
    if target:
        theirs = [one for name, one in best.items() if name != OURS]
        ratios = f"theirs over ours: {', '.join(f'{one.cpu / ours.cpu:.0f}' for one in theirs)}"
        lines += [
            report("serving: request rate over the ideal", ours.rate, "x", ">= 0.99", case.name),
            report("serving: P25 speed error", ours.speed, "%", "<= 0.5", case.name),
            report("serving: client CPU", ours.cpu, "µs a chunk", "<= 15", ratios),
            report("serving: client memory", ours.rss, "MB", "<= 50", case.name),
        ]
    return lines


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for peer in PEERS:
        variable = f"A2PERF_{peer.name.upper()}_PYTHON"
        parser.add_argument(f"--{peer.name}-python", default=os.environ.get(variable))
    parser.add_argument("--install", metavar="FOLDER", help="install the peers there first")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--wait", type=float, default=0, help="seconds for an idle machine, each")
    parser.add_argument("--cases", nargs="*", metavar="NAME", help="as in the table")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
