"""Meta ARE's real package beside our own code: where it is, and the same play in both worlds."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from pytest_a2perf.domains.assistant.backends.are import AreWorld
from pytest_a2perf.domains.assistant.backends.are_process import PACKAGE, PYTHON_VARIABLE
from pytest_a2perf.domains.assistant.desk import OpenDesk
from pytest_a2perf.domains.assistant.judge.graph import GraphJudge
from pytest_a2perf.domains.assistant.judge.soft import SoftJudge
from pytest_a2perf.domains.assistant.trace.read import parse_trace
from pytest_a2perf.domains.assistant.world.happening import Happening
from pytest_a2perf.domains.assistant.world.oracle import run_oracle
from pytest_a2perf.domains.assistant.world.world import World

DEMO = Path(__file__).parents[1] / "pytest_a2perf/domains/assistant/demo"

# What the package imports for playing and judging, in whatever versions there are today: with its
# own pins, which it does not need, there would be twice as much to install.
REQUIREMENTS = [
    "beautifulsoup4", "docstring_parser", "fsspec", "huggingface-hub", "inputimeout", "jinja2",
    "mammoth", "markdownify", "numpy", "pandas", "pdfminer.six", "pillow", "polars-lts-cpu",
    "puremagic", "pydantic", "python-dotenv", "python-pptx", "pyyaml", "rapidfuzz", "requests",
    "termcolor", "tqdm", "xxhash",
]  # fmt: skip

# Runs scenarios in the package's own oracle mode, with its own event loop and clock.
ORACLE = """
import dotenv, json, logging, sys
dotenv.load_dotenv = lambda *_, **__: False
logging.disable(logging.CRITICAL)
from are.simulation import scenario_runner
from are.simulation.data_handler.importer import JsonScenarioImporter
from are.simulation.scenarios.config import ScenarioRunnerConfig

class Kept(scenario_runner.Environment):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        kept.append(self)

scenario_runner.Environment, kept, answers = Kept, [], []
for text in json.load(sys.stdin):
    scenario, _, _ = JsonScenarioImporter().import_from_json_to_benchmark(text)
    scenario.initialize()
    scenario.patch_oracle_user_message_order()
    config = ScenarioRunnerConfig(oracle=True, export=False)
    result = scenario_runner.ScenarioRunner().run(config, scenario)
    events = kept.pop().event_log.list_view()
    answers.append({
        "success": result.success,
        "failed": {e.event_id: e.metadata.exception for e in events if e.failed()},
        "times": {e.event_id: e.event_time for e in events},
    })
sys.stderr.write(json.dumps(answers))
"""


def find_are(cache: Path) -> str:
    """Return a Python with the package; the tests are skipped if no index has it.

    Args:
        cache: folder in which a virtual environment is made, once.
    """
    if python := os.environ.get(PYTHON_VARIABLE):
        return python
    with contextlib.suppress(PackageNotFoundError):
        version(PACKAGE)
        return sys.executable
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = cache / "venv/bin/python"
        if not (cache / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", cache / "venv"], check=True)
            pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--no-compile"]
            wheel = [*pip, "--no-deps", f"{PACKAGE}==1.2.0"]
            found = subprocess.run(wheel, check=False, capture_output=True, encoding="utf-8")
            if found.returncode:
                pytest.skip(f"no package index with {PACKAGE}: {found.stderr[-200:]}")
            subprocess.run([*pip, "--quiet", *REQUIREMENTS], check=True)
            (cache / "complete").touch()
    return str(python)


def are_oracles(python: str, texts: Sequence[str], folder: Path) -> list[dict]:
    """Run scenarios in the package's own oracle mode; return success, failures and times."""
    done = subprocess.run(
        [python, "-c", ORACLE],
        check=False,
        input=json.dumps(texts),
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.strip().splitlines()[-1])


@dataclass
class Played:
    """What became of an agent."""

    turns: list[bool]
    success: bool
    why: str
    rationale: str
    log: list[Happening]


def play_are(text: str, agent, ask=None) -> Played:
    """Let an agent play in the package's world, judged by the package's judge."""
    with contextlib.closing(AreWorld(text, ask=ask)) as world:
        agent.play(OpenDesk(world, parse_trace(text, "scenario")))
        return _played(world, world.log)


def play_native(text: str, agent, ask=None, *, files: Path) -> Played:
    """Let an agent play in our world, judged by our judge."""
    trace = parse_trace(text, "scenario")
    oracle = run_oracle(trace, files=files / "oracle")
    judge = GraphJudge(trace, oracle.log, soft=SoftJudge(ask) if ask else None)
    world = World(trace, judge_turn=judge.judge_turn, files=files / "agent")
    agent.play(OpenDesk(world, trace))
    return _played(world, world.log)


def _played(world, log) -> Played:
    turns = [verdict.success for verdict in world.verdicts]
    rationale = world.verdicts[-1].rationale if turns else ""
    return Played(turns, turns == [True] * world.turns, world.why, rationale, list(log))


def demo_texts() -> dict[str, str]:
    """Return the scenarios of the demo suite, by id."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(DEMO.glob("*/*.json"))}
