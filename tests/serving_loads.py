"""Levels of load for tests, carried by the fake load process."""

import os
import sys
from dataclasses import replace
from pathlib import Path

from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.replay.level import Rules
from pytest_a2perf.domains.serving.replay.plan import COLUMNS, Plan
from pytest_a2perf.domains.serving.replay.run import run_level
from pytest_a2perf.runs.histogram import Histogram

FAKE = (sys.executable, str(Path(__file__).with_name("serving_fake_worker.py")))
RULES = Rules("test", settle=0.1, steady=0.4, sessions=0, per_agent=0.0, requests=10, longest=20.0)
ENDLESS = replace(RULES, requests=10**9, longest=60.0)


def plan(agents=4, **how):
    histograms = {"gaps": [0.001] * 100, "lag": [0.0001] * 100}
    how |= {name: Histogram.of(values).to_json() for name, values in histograms.items()}
    endpoint = Endpoint("http://127.0.0.1:1/v1", "m", sampling=how)
    return Plan(endpoint, "", "", agents=agents, longest=5.0)


def level(folder, rules=RULES, load=None, **more):
    return run_level(load or plan(), rules, folder=folder, command=FAKE, **more)


def alive(folder):
    """Processes whose standard error goes to a file of this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            target = os.readlink(process / "fd" / "2")
            state = (process / "status").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if target.startswith(str(folder)) and "State:\tZ" not in state:
            found.append(int(process.name))
    return found


def row(**values):
    values = {
        **dict.fromkeys(COLUMNS, 0),
        **dict.fromkeys(("finish", "failure", "error"), ""),
        **values,
    }
    return [values[name] for name in COLUMNS]
