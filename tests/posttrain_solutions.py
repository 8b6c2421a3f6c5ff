"""Runs a task's reference solution as an agent, with a stand-in for the grading service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest_a2perf
from pytest_a2perf.domains.posttrain import agents
from pytest_a2perf.domains.posttrain.evaluate import evaluate

# What is submitted is written down and evaluated afterwards; services are the real programs.
GRADER = """
import atexit, json, os, subprocess, sys

service = None

def submit(path):
    with open(os.environ["SUBMITTED"], "a") as log:
        print(path, file=log)
    return {}

def health():
    return {"services": json.loads(os.environ["SERVICES"])}

def ask(path, body):
    global service
    if service is None:
        service = subprocess.Popen(
            [sys.executable, "-m", "pytest_a2perf.domains.posttrain.service",
             os.environ["TASK"], os.environ["OPTIONS"]],
            env={**os.environ, "PYTHONPATH": os.environ["PACKAGE"]},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        atexit.register(service.kill)
    line = {"service": path.strip("/"), "request": body, "left": ask.left}
    service.stdin.write(json.dumps(line) + "\\n")
    service.stdin.flush()
    answer = json.loads(service.stdout.readline())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    ask.left -= answer["calls"]
    return answer

ask.left = int(os.environ.get("BUDGET_CALLS", "0"))
"""


def shared_cache(factory):
    """Return a cache of materials that all workers of this run share: making them takes a while.

    Args:
        factory: pytest's ``tmp_path_factory``.
    """
    root = factory.getbasetemp()
    return (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "a2perf" / "posttrain"


def solve(task, materials, folder, seed=0, without=(), services=True, script=None, cpu=None):
    """Run a script, and return the names of what it submitted, in order.

    Args:
        task: that is to be solved.
        materials: of the task.
        folder: to work in.
        seed: of the agent.
        without: names of data files that are withheld.
        services: whether the task's are offered.
        script: None: the reference solution.
        cpu: seconds; None: the task's budget.
    """
    root = Path(pytest_a2perf.__file__).parents[1]
    data, tools = folder / "data", folder / "tools"
    for place in (data, tools, folder / "output"):
        place.mkdir(parents=True)
    for path in materials.visible.iterdir():
        if path.name not in without:
            (data / path.name).symlink_to(path)
    (tools / "grader.py").write_text(GRADER)
    name = task.name.partition("/")[2]
    script = script or Path(agents.__file__).parent / "reference" / f"{name}.py"
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (tools, materials.toolkit))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PACKAGE": str(root),
        "SUBMITTED": str(folder / "submitted"),
        "TASK": task.name,
        "OPTIONS": json.dumps(task.options.model_dump()),
        "MODEL_PATH": str(materials.base),
        "DATA_PATH": str(data),
        "OUTPUT_DIR": str(folder / "output"),
        "SEED": str(seed),
        "BUDGET_CPU_SECONDS": str(cpu or task.budget.cpu),
        "SERVICES": json.dumps(task.services if services else ()),
        **({"BUDGET_CALLS": str(task.budget.calls)} if task.budget.calls else {}),
    }
    done = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    return (folder / "submitted").read_text().split()


def scored(task, materials, artefact, split="public", seed=0):
    """Evaluate a model as the evaluator does."""
    request = {
        **task.evaluator(split, seed),
        "artefact": str(artefact),
        "hidden": str(materials.hidden),
    }
    return evaluate(request)


def value(answer):
    """The score, 0 to 100."""
    return 100 * sum(answer["items"]) / len(answer["items"])
