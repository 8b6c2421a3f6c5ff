"""The domain assistant: an oracle's trial, from the scenario's JSON to a judge's verdict.

The smallest scenario of the demo, read, run as the oracle, run again by the agent that is one, and
judged. The peer is Meta's package on the same scenario, with a frozen clock and in a process that
is already warm; where it is not installed (or named by A2PERF_ARE_PYTHON), there is none.
Memory is the peak of a process that imports the domain, runs all scenarios, and nothing else.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common import interleave, median_ratio, report

from pytest_a2perf.domains.assistant.agents.oracle import OracleAgent
from pytest_a2perf.domains.assistant.backends.are import AreWorld, are_python
from pytest_a2perf.domains.assistant.desk import OpenDesk
from pytest_a2perf.domains.assistant.judge.graph import GraphJudge
from pytest_a2perf.domains.assistant.trace.read import parse_trace
from pytest_a2perf.domains.assistant.world.oracle import run_oracle
from pytest_a2perf.domains.assistant.world.world import World
from pytest_a2perf.errors import A2PerfError

ROUNDS = 30
DEMO = Path(__file__).parents[1] / "pytest_a2perf" / "domains" / "assistant" / "demo"
MEMORY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from assistant import DEMO, play
for path in sorted(DEMO.glob("*/*.json")):
    play(path.read_text())
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def play(text: str) -> float:
    """Return the seconds of a trial with our own world and judge."""
    started = time.perf_counter()
    trace = parse_trace(text, "demo")
    judge = GraphJudge(trace, run_oracle(trace).log)
    world = World(trace, duration=1800.0, judge_turn=judge.judge_turn)
    OracleAgent().play(OpenDesk(world, trace))  # type: ignore[arg-type]
    assert judge.judge(world.log).success
    return time.perf_counter() - started


def play_are(text: str) -> float:
    """Return the seconds of the same trial with Meta's package."""
    trace = parse_trace(text, "demo")
    started = time.perf_counter()
    world = AreWorld(text, duration=1800.0)
    try:
        OracleAgent().play(OpenDesk(world, trace))  # type: ignore[arg-type]
        world.stop()
        assert world.success
    finally:
        world.close()
    return time.perf_counter() - started


def main() -> list[dict[str, object]]:
    smallest = min(DEMO.glob("*/*.json"), key=lambda path: path.stat().st_size)
    text = smallest.read_text(encoding="utf-8")
    runs: dict[str, Callable[[], float]] = {"ours": partial(play, text)}
    try:
        are_python()
        runs["ARE"] = partial(play_are, text)
    except A2PerfError:
        pass
    times = interleave(ROUNDS, runs)
    detail = f"{smallest.stem}, {len(text):,} bytes; best {min(times['ours']) * 1e3:.2f} ms"
    if "ARE" in times:
        ratio = median_ratio(times["ARE"], times["ours"])
        theirs = statistics.median(times["ARE"]) * 1e3
        detail += f"; ARE 1.2.0 takes {theirs:.0f} ms, {ratio:.0f} times as long"
    command = [sys.executable, "-c", MEMORY, str(Path(__file__).parent)]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1e3
    return [
        report(
            "assistant: an oracle's trial",
            statistics.median(times["ours"]) * 1e3,
            "ms",
            "<= 5",
            detail,
        ),
        report(
            "assistant: memory", peak, "MB", "<= 60", "peak of a process that runs the whole demo"
        ),
    ]


if __name__ == "__main__":
    main()
