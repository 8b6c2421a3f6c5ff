"""Scenarios of the domain ``posttrain``, as users run them: agents in a real sandbox, graded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nvml_library import H100, L4, build, describe
from posttrain_boxes import ISOLATED, sandbox, wait_for
from posttrain_own_data import EVALUATOR, gsm8k, model, script
from posttrain_solutions import shared_cache

from pytest_a2perf.domains.posttrain.sandbox.ladder import probe
from pytest_a2perf.errors import ScenarioError
from pytest_a2perf.runs.store import read_records
from pytest_a2perf.scenarios.load import load_scenarios

pytestmark = pytest.mark.skipif(
    not (probe("bubblewrap").works or probe("landlock").works), reason="no sandbox works here"
)

# Makes a model that knows a share of the answers, and hands it in.
TRAIN = """
import json, os, struct
from pathlib import Path
import grader

def train(share, name="v1"):
    base, folder = Path(os.environ["MODEL_PATH"]), Path(os.environ["OUTPUT_DIR"], name)
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((base / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "share": share}))
    raw = (base / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    weights = raw[:start] + struct.pack("<f", share) + raw[start + 4:]
    (folder / "model.safetensors").write_bytes(weights)
    return f"output/{name}"

def hand_in(share, name="v1"):
    answer = grader.submit(train(share, name))
    print(name, answer["score"], flush=True)
    return answer
"""
JUNK = """
folder = Path(os.environ["OUTPUT_DIR"], "v1")
folder.mkdir()
(folder / "pytorch_model.bin").write_bytes(b"x")
for path in ("output/v1", "output/none", "../../etc"):
    try:
        grader.submit(path)
    except Exception as error:
        print(error)
"""
# Two processes: the budget must suffice for handing in on a slow machine, and be used up soon.
BURN = "os.fork()\nwhile True: pass"
SLEEPER = f"sleep 98765.{os.getpid():08}"  # no other worker's


@pytest.fixture
def scene(project, write, tmp_path, monkeypatch):
    """Write a task with a stand-in model, agents, and a scenario file; run pytest on it."""
    monkeypatch.setenv("A2PERF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return Scene(project, write)


class Scene:
    """A project with the task `gsm8k` on stand-in data, whose base model is right in 3 of 10."""

    def __init__(self, project, write):
        self.project, self._write = project, write
        folder = project.path / "task"
        model(folder / "base", 0.3)
        evaluator = script(folder, "evaluator.py", EVALUATOR)
        self.options = {
            "base_model": str(folder / "base"),
            "hidden": str(gsm8k(folder / "test.jsonl", 0, 80)),
            "public_share": 0.5,
            "evaluator": [sys.executable, str(evaluator)],
            "resources": [str(evaluator)],
        }

    def agent(self, python="", shell="", name="mine"):
        """Write an agent: Python, or a shell script."""
        folder = self.project.path / "agents" / name
        folder.mkdir(parents=True)
        (folder / "train.py").write_text(TRAIN + python)
        start = shell or "cd /agent 2>/dev/null || cd $(dirname $0)\nexec python3 train.py\n"
        (folder / "start.sh").write_text(start)

    def write(self, rest="", *, agent="agents/mine", name="mine", options="", gates=""):
        """Write the scenario."""
        given = ", ".join(f"{key} = {json.dumps(value)}" for key, value in self.options.items())
        return self._write(
            f'[[scenario]]\nname = "{name}"\ndomain = "posttrain"\ntask = "gsm8k"\n'
            f'agent = "{agent}"\n{rest}\n[scenario.options]\n{options}\n'
            f"task_options = {{ {given} }}\n[scenario.gates]\n{gates}\n"
        )

    def run(self, *arguments):
        return self.project.runpytest_subprocess("--a2perf", *arguments)

    def record(self):
        (record,) = self.records()
        return record

    def records(self):
        return list(read_records(self.runs[-1]))

    @property
    def runs(self):
        return sorted((self.project.path / ".a2perf" / "runs").iterdir())

    def folder(self, record):
        return self.runs[-1] / record.context["posttrain"]["folder"]


def sleepers():
    """Return the processes that an agent has left behind."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if SLEEPER in words:
            found.append(words)
    return found


GATES = """
"success.rate" = ">= 100 %"
"improvement.mean" = ">= 25 points"
"improvement.std" = "<= 10 points"
"improvement.max" = ">= 45 points"
"score.private" = ">= 60 points"
"overfit.mean" = "<= 10 points"
"submissions" = ">= 2"
"incidents" = "<= 0"
"agent.time" = "<= 5 min"
"agent.cpu" = "<= 1 min"
"agent.energy" = "<= 1 kJ"
"agent.tokens" = "<= 2000"
"cost.total" = "<= 1 USD"
"cost.per_solved" = "<= 0.30 USD"
"energy.per_solved" = "<= 5 kJ"
"""


@pytest.mark.slow
def test_an_agent_that_makes_the_model_better(scene):
    scene.agent(
        """
seed = int(os.environ["SEED"])
assert hand_in(0.1)["improvement"] < 0
assert hand_in(0.7 + 0.1 * seed, "v2")["best"]["score"] > 60
usage = {"input_tokens": 1000, "output_tokens": 200, "dollars": 0.25, "model": "some-model"}
Path("/workspace/reports/usage.json").write_text(json.dumps(usage))
"""
    )
    scene.write("seeds = 2", gates=GATES, options='sandbox = "bubblewrap"')
    if not probe("bubblewrap").works:
        pytest.skip(probe("bubblewrap").why)
    result = scene.run()
    assert result.ret == 0, result.stdout.str()
    result.assert_outcomes(passed=17)
    result.stdout.fnmatch_lines(
        ["*seed 0: gsm8k, agent agents/mine: improved on the private split: 30.* -> 70.*"]
    )
    first, second = sorted(scene.records(), key=lambda record: record.seed)
    assert (first.reported["improvement"].value, second.reported["improvement"].value) == pytest.approx((40, 50), abs=3)  # fmt: skip
    assert first.reported["private_score"].unit == "points"
    assert first.reported["cost"].value == 0.25
    about = first.context["posttrain"]
    assert about["gain"]["success"]
    assert about["gain"]["low"] > 0
    assert about["driver"] == "some-model"
    assert (about["chosen"], about["ended"], about["isolated"]) == (2, "finished", True)
    assert first.curves["public score"].value == pytest.approx([10, 70], abs=3)
    folder = scene.folder(first)
    report = json.loads((folder / "report.json").read_text())
    assert [entry["status"] for entry in report["timeline"]] == ["scored", "scored"]
    assert all(entry["commit"] and entry["artefact"] for entry in report["timeline"])
    assert "<svg" in (folder / "report.html").read_text()
    assert "v2 70" in (folder / "agent.log").read_text()
    (folder / "report.json").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "pytest_a2perf", "posttrain", str(scene.runs[-1])],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("improved on the private split") == 2
    assert (folder / "report.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("python", "shell", "options", "outcome", "message", "ended"),
    [
        ("", "echo nothing to do", "", "failure", "never submitted: it ended by itself", "finished"),
        ("raise ValueError('no idea')", "", "", "error", "ValueError: no idea", "crashed"),
        (JUNK, "", "", "failure", "has a score", "finished"),
        ("hand_in(0.31)", "", "", "failure", "not improved beyond noise", "finished"),
        ("while True: pass", "", "budget.cpu = 1", "failure", "its CPU time was used up", "cpu"),
        ("import time\ntime.sleep(60)", "", "budget.wall = 2", "failure", "its time was used up", "wall"),
        (f"hand_in(0.9)\n{BURN}", "", "budget.cpu = 3", "success", "", "cpu"),
        ("hand_in(0.9)\nraise SystemExit(3)", "", "", "success", "", "crashed"),
    ],
    ids=["never", "crash", "junk", "same", "cpu", "wall", "cpu-after", "crash-after"],
)  # fmt: skip
def test_how_a_run_can_end(scene, python, shell, options, outcome, message, ended):
    scene.agent(python, shell)
    scene.write(options=options, gates='"success.rate" = ">= 0 %"')
    result = scene.run()
    record = scene.record()
    assert (record.outcome, record.context["posttrain"]["ended"]) == (outcome, ended), record.error
    assert result.ret == (1 if outcome == "error" else 0)
    if message:
        assert message in record.error["message"]
    gain = record.reported["improvement"].value
    assert gain > 30 if outcome == "success" else gain == pytest.approx(0, abs=3)
    assert (scene.folder(record) / "report.html").is_file()


@pytest.mark.slow
def test_daemons_are_ended_and_counted(scene):
    scene.agent(shell=f"setsid nohup {SLEEPER} >/dev/null 2>&1 &\nsetsid {SLEEPER} &\nsleep 0.3\n")
    scene.write(gates='"success.rate" = ">= 0 %"')
    scene.run()
    record = scene.record()
    assert record.context["posttrain"]["left"] >= 1
    assert "left behind" in record.error["message"]
    wait_for(lambda: not sleepers())


# The timer of the trial's timeout goes off once the agent has handed in, however long that took.
TIME_IS_UP = """
import signal, threading, time
from pathlib import Path

def sleeps():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"{sleeper}" in path.read_bytes().replace(b"\\0", b" "):
                return True
        except OSError:
            continue
    return False

def watch():
    while not sleeps():
        time.sleep(0.1)
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 60
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.5)

def pytest_runtest_call(item):
    threading.Thread(target=watch, daemon=True).start()
"""


@pytest.mark.slow
def test_a_trial_that_takes_too_long(scene):
    scene.agent(f"hand_in(0.9)\nimport subprocess\nsubprocess.run({SLEEPER.split()!r})")
    scene.write('timeout = "10 min"')
    (scene.project.path / "conftest.py").write_text(TIME_IS_UP.format(sleeper=SLEEPER))
    result = scene.run()
    assert result.ret == 1
    record = scene.record()
    assert record.outcome == "timeout"
    wait_for(lambda: not sleepers())
    (run,) = scene.runs[-1].glob("trials/*/attempt-1")
    (line,) = (run / "grading" / "submissions.jsonl").read_text().splitlines()
    assert json.loads(line)["status"] == "scored"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_nothing_is_left_running_and_nothing_recorded_is_lost(scene, number):
    scene.agent(f"hand_in(0.9)\nimport subprocess\nsubprocess.run({SLEEPER.split()!r})")
    scene.write()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--a2perf", "-p", "no:cacheprovider"],
        cwd=scene.project.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        wait_for(lambda: sleepers() or process.poll() is not None)
        assert sleepers()
        process.send_signal(number)
        said = process.communicate(timeout=120)[0].decode()
    finally:
        process.kill()
    until = time.monotonic() + 60
    while sleepers() and time.monotonic() < until:
        time.sleep(0.1)
    assert not sleepers(), said
    (run,) = scene.runs[-1].glob("trials/*/attempt-1")
    assert json.loads((run / "run.json").read_text())["agent"] == "agents/mine"
    done = subprocess.run(
        [sys.executable, "-m", "pytest_a2perf", "posttrain", str(run)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 submissions" in done.stdout, done.stdout + done.stderr
    assert json.loads((run / "report.json").read_text())["timeline"][0]["public"] == 90


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ISOLATED if name != "bubblewrap"])
def test_a_run_in_another_sandbox(scene, name):
    sandbox(name)  # or skip
    scene.agent("hand_in(0.9)")
    scene.write(options=f'sandbox = "{name}"', gates='"improvement" = ">= 50 points"')
    assert scene.run().ret == 0
    about = scene.record().context["posttrain"]
    assert about["isolated"]
    assert about["sandbox"]["name"] == name


@pytest.mark.slow
def test_without_isolation_results_are_marked(scene):
    scene.agent("hand_in(0.9)")
    scene.write(options='sandbox = "none"\nallow_unisolated = true')
    result = scene.run()
    assert result.ret == 0
    record = scene.record()
    assert not record.context["posttrain"]["isolated"]
    assert record.context["tainted"] == ["the agent was not isolated: it could reach everything"]
    result.stdout.fnmatch_lines(["*1 tainted trial*"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": 'sandbox = "none"'}, "allow_unisolated = true"),
        ({"options": 'mode = "rlhf"'}, "'options.mode'"),
        ({"options": "budget.cpu = -1"}, "'options.budget.cpu'"),
        ({"options": 'budget.memory = "4 s"'}, "'options.budget.memory'"),
        ({"options": "budgets = {}"}, "'options.budgets'"),
        ({"rest": "episodes = 2"}, "'episodes': a trial is one run"),
        ({"rest": "agent_options = { modell = 'x' }"}, "agent_options.modell.*did you mean 'model'"),
        ({"task": {"hiden": "x"}}, "task_options.hiden"),
        ({"task": {"base_model": "/nowhere"}}, "base_model: there is no /nowhere"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_with_a_scenario_is_told_before_anything_runs(scene, change, message):
    scene.options |= change.get("task", {})
    path = scene.write(change.get("rest", ""), options=change.get("options", ""))
    with pytest.raises(ScenarioError, match=message):
        load_scenarios(path)


ASKS = """
import json, os, time, urllib.request
def train_a_model(run, share):
    body = {"model": "some-model", "messages": [{"role": "user", "content": "How?"}]}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
    )
    with urllib.request.urlopen(request) as answer:
        said = json.loads(answer.read())["choices"][0]["message"]["content"]
    assert "secret" not in json.dumps(dict(os.environ)), "the key"
    namespace = {}
    exec(said, namespace)
    namespace["hand_in"](share)
"""


@pytest.mark.slow
def test_a_function_that_asks_a_language_model_through_the_proxy(scene, served, monkeypatch):
    monkeypatch.setenv("REAL_KEY", "very-secret")
    server = served(TRAIN)
    (scene.project.path / "solver.py").write_text(ASKS)
    prices = "prices = { input = 1000.0, output = 10_000.0 }"
    scene.write(
        "agent_options = { arguments = { share = 0.8 } }",
        agent="solver:train_a_model",
        options=f'llm.upstreams = [{{ url = "{server.url}", models = ["some-*"], key_env = "REAL_KEY", {prices} }}]',
        gates='"cost.total" = "<= 0.2 USD"\n"agent.tokens" = "<= 107"\n"improvement" = ">= 45 points"',
    )
    result = scene.run()
    assert result.ret == 0, result.stdout.str()
    assert server.keys == ["Bearer very-secret"]
    record = scene.record()
    assert record.reported["cost"].value == pytest.approx(0.17, abs=0.001)
    assert record.context["posttrain"]["driver"] == "some-model"
    told = (scene.folder(record) / "workspace" / "instructions.md").read_text()
    assert "OPENAI_BASE_URL" in told


@pytest.mark.slow
def test_gpus_that_the_worker_has_leased(scene, tmp_path, monkeypatch):
    folder = tmp_path / "nvml"
    folder.mkdir()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(build(folder).parent))
    (folder / "gpus.txt").write_text(describe(H100, L4))
    monkeypatch.setenv("NVML_STAND_IN", str(folder / "gpus.txt"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    scene.agent(
        """
import time
assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
assert grader.health()["available_gpus"] == ["1"]
hand_in(0.9)
time.sleep(1.5)
"""
    )
    scene.write(options='devices = ["/dev/nul*"]')
    result = scene.run()
    assert result.ret == 0, result.stdout.str()
    record = scene.record()
    assert "nvml" in record.reported["agent_energy"].source
    lines = (scene.folder(record) / "process.jsonl").read_text().splitlines()
    assert {json.loads(line)["gpu"]["watts"] for line in lines} == {60}


@pytest.mark.slow
def test_an_agent_that_is_not_there(scene):
    scene.agent()
    scene.write(agent="agents/mien")
    result = scene.run()
    assert result.ret == 1
    assert scene.record().outcome == "error"
    result.stdout.fnmatch_lines(["*there is no folder*agents/mien*did you mean 'mine'*"])


@pytest.mark.slow
def test_a_base_model_that_cannot_be_evaluated_is_nobodys_failure(scene):
    scene.agent("hand_in(0.9)")
    script(scene.project.path / "task", "evaluator.py", "raise SystemExit('out of memory')")
    scene.write()
    result = scene.run()
    assert result.ret == 1
    record = scene.record()
    assert record.outcome == "infra"
    assert "base model cannot be evaluated" in record.error["message"]
    assert "out of memory" in record.error["message"]


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="the harness reads what the sandbox cannot")
def test_an_evaluator_that_breaks_later_is_nobodys_failure(scene):
    scene.agent("hand_in(0.9)")
    scene.write()
    assert scene.run().ret == 0
    (scene.project.path / "task" / "evaluator.py").chmod(0)
    assert scene.run().ret == 1
    record = scene.record()
    assert record.outcome == "infra"
    assert "no submission could be evaluated" in record.error["message"]
    assert "Permission denied" in record.error["message"]


READER = """
from pytest_a2perf.domains.posttrain import {module}

def fails(*_):
    raise RecursionError("too deep")

{module}.{name} = fails
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name"),
    [("play", "write_reports"), ("session", "tampering"), ("session", "spent_by")],
)
def test_what_cannot_be_read_of_an_agent_changes_no_verdict(scene, module, name):
    scene.agent("hand_in(0.9)")
    scene.write(gates='"improvement" = ">= 50 points"')
    (scene.project.path / "conftest.py").write_text(READER.format(module=module, name=name))
    assert scene.run().ret == 0
    record = scene.record()
    assert record.outcome == "success"
    noted = record.context.get("report_failed", "")
    about = json.loads((scene.folder(record) / "run.json").read_text())
    assert "RecursionError: too deep" in noted + str(about["events"])


@pytest.mark.slow
def test_scores_of_the_base_model_are_measured_once(scene, tmp_path):
    counter = tmp_path / "count"
    counter.mkdir()
    scene.agent("hand_in(0.9)")
    scene.write("seeds = 2")
    scene.run()
    kept = list((tmp_path / "cache" / "posttrain" / "scores").glob("*/scores.json"))
    assert len(kept) == 1
    assert json.loads(kept[0].read_text())["private"]["value"] == pytest.approx(30)


@pytest.mark.slow
def test_the_smoke_suite_passes(project, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("A2PERF_CACHE", str(shared_cache(tmp_path_factory).parent))
    arguments = ("--a2perf-suite", "posttrain", "-m", "smoke", "-n", "2")
    result = project.runpytest_subprocess("--a2perf", *arguments)
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*agent cheater*no submission has a score*"])
