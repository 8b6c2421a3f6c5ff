"""Agents of the domain posttrain: how they are named, how they run, and how they end."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import textwrap
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posttrain_boxes import ISOLATED, wait_for
from posttrain_desk import Desk, cheats

from pytest_a2perf.domains.posttrain.agents import (
    Surroundings,
    builtin_agents,
    resolve_agent,
    spent_by,
)
from pytest_a2perf.domains.posttrain.agents.folder import read_config
from pytest_a2perf.domains.posttrain.agents.usage import usage_of_events, usage_of_report
from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.info import RunInfo
from pytest_a2perf.domains.posttrain.session import wall_limit
from pytest_a2perf.domains.posttrain.tasks.base import Budget
from pytest_a2perf.errors import AgentError, InfraError, TrialTimeout
from pytest_a2perf.trials.deadline import deadline

# Much as upstream's scripts: variables, files beside the script, curl, a summary, an exit status.
UPSTREAM = """\
#!/bin/bash
echo "Task: $TASK, model: $BASE_MODEL, grader: $GRADING_SERVER_URL, setting: $MY_SETTING"
SCRIPT_DIR="$(cd "$(dirname "$0")" && pwd)"
cp "$SCRIPT_DIR/AGENTS.md" "$WORKSPACE/AGENTS.md"
curl -s "$GRADING_SERVER_URL/health"; echo
DATA_SAMPLE=$(head -5 "$WORKSPACE/data/"*.jsonl 2>/dev/null || echo "No data files found")
echo "data: $DATA_SAMPLE; description: $(cat "$WORKSPACE/description.md")"
python3 "$(dirname "$0")/train.py"
EXIT_CODE=$?
curl -s -X POST "$GRADING_SERVER_URL/submit" -H 'Content-Type: application/json' \\
    -d "{\\"model_path\\": \\"${OUTPUT_DIR}/v2\\"}"
echo "model_files: $(ls "$OUTPUT_DIR/" 2>/dev/null | wc -l) dirs in output/"
exit $EXIT_CODE
"""

UPSTREAM_TRAIN = """\
import json, os, urllib.request
from training import train

train(0.7)
train(0.9, "v2")
body = json.dumps({"model_path": os.environ["OUTPUT_DIR"] + "/v1"}).encode()
request = urllib.request.Request(
    os.environ["GRADING_SERVER_URL"] + "/submit", body, {"Content-Type": "application/json"}
)
print(json.load(urllib.request.urlopen(request, timeout=600)))
"""


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def nothing_runs(mark):
    """Whether no process has a variable of this value in its environment."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/environ", "rb") as file:
                    if mark.encode() in file.read():
                        return False
            except OSError:
                continue
    return True


@pytest.mark.parametrize("sandbox", ISOLATED)
class TestUpstreamsAgents:
    @pytest.mark.slow
    def test_run_unchanged(self, tmp_path, sandbox):
        desk = Desk(tmp_path, sandbox)
        agent = desk.agent(
            UPSTREAM,
            train__py=UPSTREAM_TRAIN,
            AGENTS__md="rules",
            config__yaml='name: "Mine"\nstart: "start.sh"\nenv_vars:\n  MY_SETTING: 12\n  MY_MODEL: gpt-x\n',
        )
        assert (agent.driver, agent.description) == ("gpt-x", "Mine")
        ran = desk.run(agent)
        assert (ran.info.ended, ran.info.status, ran.events) == ("finished", 0, "")
        assert ran.scores == [70.0, 90.0]
        assert "setting: 12" in ran.log
        assert '"status": "ok"' in ran.log
        assert '"question": "1+1"' in ran.log
        assert "model_files: 2 dirs" in ran.log
        assert (ran.workspace / "AGENTS.md").read_text() == "rules"
        meta = json.loads((ran.workspace / "run_meta.json").read_text())
        assert meta["start_time"] < meta["last_submit_time"] < meta["end_time"]
        assert ran.info.cpu > 0
        assert 0 < ran.info.seconds <= ran.info.clock


class TestControls:
    @pytest.mark.slow
    @pytest.mark.parametrize("sandbox", ISOLATED)
    def test_cheater_gains_nothing_and_is_seen(self, tmp_path, sandbox):
        ran = (desk := Desk(tmp_path, sandbox)).run(desk.resolve("cheater"))
        assert [one["attack"] for one in cheats(ran) if one["gained"]] == []
        assert len(cheats(ran)) > 25
        assert ran.scores == []
        assert ran.info.status == 0, ran.log
        reasons = " ".join(one.reason for one in ran.submissions)
        for seen in ("base model", "symbolic link", "unpickling", "header"):
            assert seen in reasons
        for seen in (
            "100 as submission 99",
            "run_meta.json was changed",
            "link to /etc/passwd",
            "left 1 process",
        ):
            assert seen in ran.events

    def test_copies_are_refused(self, desk):
        ran = desk.run(desk.resolve("copy"))
        assert [one.status for one in ran.submissions] == ["rejected"] * 3
        assert all("base model" in one.reason for one in ran.submissions)

    @pytest.mark.slow
    def test_random_weights_are_scored(self, desk):
        ran = desk.run(desk.resolve("random"))
        assert [one.status for one in ran.submissions] == ["scored"] * 2
        assert len({one.artefact for one in ran.submissions}) == 2


class TestEndings:
    def test_never_submits(self, desk):
        ran = desk.run(desk.agent("echo thinking"))
        assert (ran.info.ended, ran.submissions, ran.log) == ("finished", [], "thinking\n")

    @pytest.mark.slow
    def test_submits_junk(self, desk):
        agent = desk.agent(
            """
            mkdir output/junk; echo junk > output/junk/model.safetensors
            for path in output/junk output/none /etc ../.. ''; do python3 -m grader submit "$path"; done
            echo '{' | curl -s -d @- "$GRADING_SERVER_URL/submit"
            """
        )
        ran = desk.run(agent)
        assert ran.scores == []
        assert {one.status for one in ran.submissions} == {"rejected"}
        assert ran.info.ended == "finished"

    def test_crashes(self, desk):
        ran = desk.run("python3 -c 'import nonsense'")
        assert (ran.info.ended, ran.info.status) == ("crashed", 1)
        assert "No module named 'nonsense'" in ran.log

    def test_is_killed(self, desk):
        assert desk.run("kill -9 $$").info.ended == "crashed"

    @pytest.mark.slow
    @pytest.mark.parametrize("sandbox", ISOLATED)
    def test_uses_up_its_cpu_in_many_processes(self, tmp_path, sandbox):
        desk = Desk(tmp_path, sandbox, Budget(cpu=1.0, wall=600.0), grace=30.0)
        ran = desk.run(
            """
            trap 'echo asked to end; exit 3' TERM
            for i in 1 2 3; do (while :; do :; done) & done
            while :; do :; done
            """
        )
        assert ran.info.ended == "cpu"
        assert 1.0 <= ran.info.cpu < 60.0
        assert "asked to end" in ran.log
        assert "used up: 1 CPU seconds" in ran.events

    def test_uses_up_its_time_and_ignores_being_asked(self, tmp_path):
        desk = Desk(tmp_path, budget=Budget(wall=0.5), grace=0.3)
        ran = desk.run("trap '' TERM; python3 -c 'import time; time.sleep(100)'; sleep 100")
        assert ran.info.ended == "wall"
        assert ran.info.clock < 40

    @pytest.mark.slow
    def test_time_of_evaluations_does_not_count(self, tmp_path):
        desk = Desk(tmp_path, budget=Budget(wall=300.0))
        agent = desk.agent(
            """
            python3 - <<'END'
            import json
            import grader, training
            folder = training.train(0.8)
            (folder / "config.json").write_text(json.dumps({"behave": "slow", "seconds": 0.5}))
            print(grader.submit(folder)["score"])
            END
            """
        )
        ran = desk.run(agent)
        assert ran.scores == [80.0]
        assert ran.info.clock - ran.info.seconds > 0.5

    @pytest.mark.parametrize("sandbox", ISOLATED)
    def test_leaves_a_daemon(self, tmp_path, sandbox):
        mark = f"mark-{os.getpid()}-{sandbox}"
        ran = Desk(tmp_path, sandbox, env={"MARK": mark}).run(
            "(setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' &) ; sleep 0.3; echo done"
        )
        assert (ran.info.ended, ran.info.status) == ("finished", 0)
        assert ran.info.left >= 1
        wait_for(lambda: nothing_runs(mark), 60)

    def test_prints_without_end(self, desk):
        ran = desk.run("echo first; head -c 30M /dev/zero | tr '\\0' x; echo; echo last")
        assert ran.info.ended == "finished"
        assert ran.log.startswith("first\nxxx")
        assert ran.files.output.stat().st_size < 10 << 20
        assert "bytes are left out" in ran.log

    def test_deletes_its_workspace(self, desk):
        ran = desk.run(
            "rm -rf /workspace/* /workspace/.[a-z]* 2>/dev/null; cd /; rmdir /workspace; echo done"
        )
        assert ran.info.ended == "finished"
        assert "scores.json was removed" in ran.events
        assert (desk.materials.base / "model.safetensors").is_file()
        assert (desk.materials.visible / "train.jsonl").is_file()

    def test_fills_the_disk(self, tmp_path):
        desk = Desk(tmp_path, budget=Budget(wall=600.0, disk=1 << 20))
        ran = desk.run(
            "for i in $(seq 900); do head -c 500K /dev/zero > output/$i || exit 5; sleep 0.1; done"
        )
        assert ran.info.ended in ("disk", "crashed")
        assert sum(path.stat().st_size for path in (ran.workspace / "output").iterdir()) < 100 << 20

    def test_keys_of_the_host_stay_there(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOST_API_KEY", "sk-of-the-host")
        monkeypatch.setenv("MY_API_KEY", "sk-passed-on")
        ran = Desk(tmp_path, pass_env=("MY_API_KEY",)).run(
            "env; cat /proc/*/environ | tr '\\0' '\\n'"
        )
        assert "sk-of-the-host" not in ran.log
        assert "HOST_API_KEY" not in ran.log
        assert "MY_API_KEY=$MY_API_KEY" in ran.log


class TestInterruptions:
    def test_the_trials_timeout_ends_everything(self, tmp_path):
        """Though it is raised again and again, as `deadline` does."""

        @contextmanager
        def watch(running):
            wait_for(lambda: "here" in desk.files.output.read_text())
            signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
            yield

        mark = f"mark-{os.getpid()}-timeout"
        desk = Desk(tmp_path, env={"MARK": mark}, grace=0.5)
        agent = desk.agent(
            "trap '' TERM; echo here; (setsid sleep 1000 &); while :; do sleep 1; done"
        )
        with desk.no_service() as service, pytest.raises(TrialTimeout), deadline(100.0, 100.0):
            desk.session(agent, service, watch=watch)
        info = RunInfo.read(desk.files.about)
        assert info.ended == "interrupted"
        assert "TrialTimeout" in info.events[0][1]
        assert info.clock > 0
        wait_for(lambda: nothing_runs(mark), 60)

    def test_what_watches_may_break(self, desk):
        @contextmanager
        def watch(running):
            assert running.usage().processes >= 0
            yield
            raise KeyboardInterrupt

        agent = desk.agent("echo done")
        with desk.no_service() as service, pytest.raises(KeyboardInterrupt):
            desk.session(agent, service, watch=watch)
        assert RunInfo.read(desk.files.about).started

    def test_without_a_grader_there_is_no_run(self, desk):
        class Broken:
            paused, broken = 0.0, "its log was changed"

            def submissions(self):
                return []

        agent = desk.agent("sleep 100")
        desk.files.socket.mkdir(parents=True)
        with pytest.raises(InfraError, match="grading service is gone: its log was changed"):
            desk.session(agent, Broken())

    @pytest.mark.slow
    def test_a_grader_that_is_killed_is_back(self, desk):
        agent = desk.agent(
            """
            python3 -c 'import training; training.train(0.8)'
            touch output/ready; while [ ! -e output/go ]; do sleep 0.05; done
            python3 -m grader submit output/v1
            """
        )
        with desk.service() as service:

            @contextmanager
            def watch(running):
                wait_for((desk.files.workspace / "output/ready").exists)
                os.kill(service.pid, 9)
                (desk.files.workspace / "output/go").touch()
                yield

            info = desk.session(agent, service, watch=watch)
            assert info.status == 0
            assert [one.public.value for one in service.submissions()] == [80.0]

    def test_nobody_waits_for_ever(self):
        assert wall_limit(Budget(wall=7.0, cpu=1.0)) == 7.0
        assert wall_limit(Budget(cpu=10.0)) == 800.0
        assert wall_limit(Budget()) == 24 * 3600


FUNCTIONS = """
import os.path as paths
from helpers import learn, other as renamed
try:
    import fast as solver
except ImportError:
    solver = None
if paths:
    def sometimes(run): pass
def solve(run): inner = 1
class Agent:
    def play(self, run): pass
first, (second, third) = ...
annotated: object = print
def later():
    global made
    made = print
"""


class TestFunctions:
    SOURCE = """
        import helpers

        def solve(run, share=0.6):
            folder = helpers.make(share)
            print("score", run.submit(folder)["score"], run.time()["remaining"] > 0, run.workspace.is_dir())
            assert run.env["SEED"] == "7"

        class Solver:
            def __call__(self, *, note):
                print("note", note)
    """

    def project(self, desk):
        (desk.folder / "mine.py").write_text(textwrap.dedent(self.SOURCE))
        (desk.folder / "helpers").mkdir()
        (desk.folder / "helpers" / "__init__.py").write_text("from training import train as make\n")
        (desk.folder / "answers.json").write_text("hidden")

    @pytest.mark.slow
    @pytest.mark.parametrize("sandbox", ISOLATED)
    def test_are_called_inside(self, tmp_path, sandbox):
        desk = Desk(tmp_path, sandbox)
        self.project(desk)
        ran = desk.run(desk.resolve("mine:solve", arguments={"share": 0.85}, driver="me"))
        assert ran.log == "score 85.0 True True\n"
        assert ran.scores == [85.0]
        seen = {path.name for path in (desk.files.root / "project").iterdir()}
        assert seen == {"mine.py", "helpers"}  # and no data

    def test_classes_are_made_first(self, desk):
        self.project(desk)
        ran = desk.run(desk.resolve("mine:Solver", arguments={"note": "a b"}), graded=False)
        assert (ran.log, ran.info.status) == ("note a b\n", 0)

    @pytest.mark.parametrize(
        "name",
        [
            "solve",
            "Agent",
            "Agent.play",
            "learn",
            "renamed",
            "solver",
            "sometimes",
            "third",
            "annotated",
            "made",
            "paths",
        ],
    )
    def test_names_in_a_module_are_found(self, tmp_path, name):
        (tmp_path / "mine.py").write_text(FUNCTIONS)
        assert resolve_agent(f"mine:{name}", {}, around(tmp_path)).command[-2] == f"mine:{name}"

    @pytest.mark.parametrize(
        "text",
        ["from helpers import *", "def __getattr__(name): return print", "def (", "a = '\0'"],
    )
    def test_modules_that_do_not_tell_are_imported_inside(self, tmp_path, text):
        (tmp_path / "mine.py").write_text(text)
        assert resolve_agent("mine:solve", {}, around(tmp_path))

    def test_names_that_are_not_there_are_told_at_once(self, tmp_path):
        (tmp_path / "mine.py").write_text(FUNCTIONS)
        with pytest.raises(AgentError, match=r"no 'sovle' in .*mine\.py; did you mean 'solve'"):
            resolve_agent("mine:sovle", {}, around(tmp_path))
        (tmp_path / "pack").mkdir()
        (tmp_path / "pack" / "__init__.py").write_text("import pack.deep\ndef learn(run): pass\n")
        (tmp_path / "pack" / "deep.py").write_text("def solve(run): pass\n")
        assert resolve_agent("pack:deep.solve", {}, around(tmp_path))
        assert resolve_agent("pack.deep:solve", {}, around(tmp_path))
        for name in ("pack:learnt", "pack.deep:learn"):
            with pytest.raises(AgentError, match=r"there is no 'learnt?' in .*pack"):
                resolve_agent(name, {}, around(tmp_path))

    def test_what_they_raise_is_in_the_log(self, desk):
        (desk.folder / "mine.py").write_text("def solve(run):\n    raise ValueError('no idea')\n")
        ran = desk.run(desk.resolve("mine:solve"), graded=False)
        assert ran.info.ended == "crashed"
        assert "ValueError: no idea" in ran.log


def around(tmp_path, **changes):
    return Surroundings(tmp_path, changes.pop("task", "a2perf/arithmetic"), **changes)


class TestNames:
    def test_those_that_come_along(self, tmp_path):
        assert {"copy", "random", "cheater", "reference"} <= set(builtin_agents())
        agent = resolve_agent("copy", {}, around(tmp_path))
        assert agent.command == ("bash", "/agent/start.sh")
        assert "must not gain" in agent.description

    @pytest.mark.parametrize(
        ("spec", "options", "message"),
        [
            ("cheatr", {}, "unknown agent 'cheatr'; did you mean 'cheater'"),
            ("some/folder", {}, "there is no folder .*some/folder"),
            ("nowhere:solve", {}, "no module 'nowhere'"),
            ("mine:", {}, "expected 'module:function'"),
            ("copy", {"modell": "x"}, r"agent_options.modell: .*did you mean 'model'"),
            ("copy", {"env": {"PATH": "/"}}, "PATH is set by the harness"),
            ("copy", {"env": {"A": 1}}, r"agent_options.env.A: .*string"),
            ("copy", {"prompt": "hi"}, "agent_options.prompt is for agents 'cli:NAME' alone"),
            ("copy", {"arguments": {"a": 1}}, "for agents 'module:function' alone"),
            ("copy", {"paths": ["gone"]}, "agent_options.paths: there is no .*gone"),
            ("cli:clade", {}, "no adapter 'clade'; did you mean 'claude'"),
            ("cli:claude", {}, "needs its language model: set options.llm"),
        ],
    )
    def test_wrong_ones_are_told_at_once(self, tmp_path, spec, options, message):
        with pytest.raises(AgentError, match=message):
            resolve_agent(spec, options, around(tmp_path))

    def test_a_folder_without_start(self, tmp_path):
        (tmp_path / "x").mkdir()
        with pytest.raises(AgentError, match=r"has no start\.sh"):
            resolve_agent("./x", {}, around(tmp_path))

    def test_no_reference_for_a_task(self, tmp_path):
        with pytest.raises(AgentError, match="'a/unheard_of' has no reference solution"):
            resolve_agent("reference", {}, around(tmp_path, task="a/unheard_of"))

    def test_further_paths_are_shown(self, tmp_path):
        (tmp_path / "lib").mkdir()
        agent = resolve_agent("copy", {"paths": ["lib"]}, around(tmp_path))
        assert (agent.mounts[-1].source, agent.mounts[-1].target) == (
            tmp_path / "lib",
            str(tmp_path / "lib"),
        )


class TestConfig:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("env_vars: [1]", "env_vars: expected variables"),
            ("start: ../x.sh", "start: expected the name"),
            ("- a", "expected keys such as name"),
            ("a: [", "config.yaml"),
            ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ],
    )
    def test_wrong_ones_are_told_with_their_file(self, tmp_path, text, message):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        with pytest.raises(AgentError, match=message):
            read_config(path)

    def test_values_are_as_a_shell_has_them(self, desk):
        agent = desk.agent("true", config__yaml="env_vars: {A: true, B: null, C: 1.5, D: x}")
        assert agent.env == {"A": "true", "B": "", "C": "1.5", "D": "x"}


CLAUDE = """\
#!/usr/bin/env python3
import json, os, sys
import training, grader
assert "--print" in sys.argv and "--model" in sys.argv, sys.argv
print(json.dumps({"type": "system", "subtype": "init", "model": "opus", "session_id": "s"}))
score = grader.submit(training.train(0.95))["score"]
usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 1, "output_tokens": 7}
print(json.dumps({"type": "result", "session_id": "s", "num_turns": 3, "total_cost_usd": 0.25, "usage": usage}))
print("guide", os.path.exists("CLAUDE.md"), "prompt", "instructions.md" in sys.argv[-1], os.environ["MY_KEY_NAME"])
"""


class TestCommandLineAgents:
    def install(self, folder, name="claude", text=CLAUDE):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
        return str(folder)

    def test_run_with_their_tokens_counted(self, desk, monkeypatch):
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-something")
        bin_ = self.install(desk.folder / "bin")
        agent = resolve_agent(
            "cli:claude",
            {"model": "opus-4", "paths": [bin_], "env": {"MY_KEY_NAME": "x"}},
            around(desk.folder, pass_env=["ANTHROPIC_API_KEY"], network=True),
        )
        assert agent.driver == "opus-4"
        desk.env = {"MY_KEY_NAME": "x"}
        ran = desk.run(agent)
        assert ran.info.status == 0, ran.log
        assert "guide True prompt True" in ran.log
        assert ran.scores == [95.0]
        spent = spent_by(ran.files)
        assert (spent.tokens, spent.dollars) == ({"input": 16, "cached": 5, "output": 7}, 0.25)
        assert (spent.source, spent.calls, spent.model) == ("log", 3, "opus")
        assert (ran.info.tokens["output"], ran.info.dollars, ran.info.driver) == (7, 0.25, "opus")

    def test_keys_must_be_listed(self, tmp_path):
        with pytest.raises(AgentError, match="list CODEX_API_KEY or OPENAI_API_KEY in pass_env"):
            resolve_agent("cli:codex", {}, around(tmp_path, network=True))

    def test_missing_programs_are_told(self, tmp_path):
        with pytest.raises(AgentError, match=r"no program 'codex' on the PATH|is not seen inside"):
            resolve_agent("cli:codex", {"paths": []}, around(tmp_path, proxied=True))

    def test_programs_that_are_not_seen_inside_are_told(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", self.install(tmp_path / "bin", "codex"), prepend=os.pathsep)
        with pytest.raises(AgentError, match="codex is not seen inside the sandbox"):
            resolve_agent("cli:codex", {}, around(tmp_path, proxied=True))

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("claude", ["claude", "--model", "m", "--print"]),
            ("codex", ["codex", "exec", "-c", 'model_provider="a2perf"', "-c"]),
            ("gemini", ["gemini", "--model", "m", "--approval-mode", "yolo"]),
            ("opencode", ["opencode", "run", "--model", "m", "--format", "json"]),
            ("openhands", ["openhands", "--headless", "--json"]),
        ],
    )
    def test_the_proxy_is_all_they_know(self, tmp_path, name, words):
        bin_ = self.install(tmp_path / "bin", name)
        agent = resolve_agent(
            f"cli:{name}", {"model": "m", "paths": [bin_]}, around(tmp_path, proxied=True)
        )
        assert list(agent.command[: len(words)]) == words
        assert "http://127.0.0.1:5001" in "".join([*agent.command, *agent.env.values()])
        assert "proxied" in agent.env.values()
        assert not any(
            word in "".join(agent.command) for word in ("{prompt}", "{model}", "{llm}", "{options}")
        )

    def test_any_command_will_do(self, tmp_path):
        options = {
            "command": ["sh", "-c", "echo {prompt} {x}", "{model}"],
            "prompt": "{y}",
            "model": "m",
        }
        agent = resolve_agent("cli:own", options, around(tmp_path, network=True))
        assert agent.command == ("sh", "-c", "echo {y} {x}", "m")


KEYS = st.sampled_from(["type", "usage", "message", "part", "stats", "tokens", "id", "cost"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


class TestUsage:
    def test_codex_counts_from_the_beginning_of_a_thread(self):
        def turn(count):
            usage = {"input_tokens": count, "cached_input_tokens": 1, "output_tokens": 2}
            return {"type": "turn.completed", "usage": usage}

        def thread(name):
            return {"type": "thread.started", "thread_id": name}

        spent = usage_of_events([thread("a"), turn(10), turn(30), thread("b"), turn(5)])
        assert spent.tokens == {"input": 35, "cached": 2, "output": 4}
        assert (spent.calls, spent.dollars) == (3, None)

    def test_claude_that_was_killed(self):
        def message(name, output):
            usage = {"input_tokens": 3, "output_tokens": output}
            return {"type": "assistant", "session_id": "s", "message": {"id": name, "usage": usage}}

        spent = usage_of_events([message("a", 1), message("a", 5), message("b", 2)])
        assert (spent.tokens["output"], spent.calls, spent.dollars) == (7, 2, None)

    def test_gemini_and_opencode(self):
        gemini = {
            "type": "result",
            "status": "success",
            "stats": {"input_tokens": 4, "output_tokens": 2, "cached": 1},
        }
        assert usage_of_events([gemini]).tokens == {"input": 4, "cached": 1, "output": 2}
        tokens = {"input": 4, "output": 2, "reasoning": 3, "cache": {"read": 5, "write": 1}}
        step = {"type": "step_finish", "part": {"cost": 0.5, "tokens": tokens}}
        spent = usage_of_events([step, step])
        assert (spent.tokens, spent.dollars) == ({"input": 20, "cached": 10, "output": 10}, 1.0)

    @given(
        st.lists(
            st.dictionaries(
                KEYS, VALUES | st.sampled_from(["result", "assistant", "step_finish"]), max_size=5
            )
        )
    )
    @settings(max_examples=60, deadline=None)
    def test_any_events_and_claims_can_be_read(self, events):
        spent = usage_of_events(events)
        assert spent is None or all(count >= 0 for count in spent.tokens.values())
        claim = usage_of_report(json.dumps(events[0] if events else events).encode())
        assert claim is None or claim.dollars is None or claim.dollars >= 0

    @pytest.fixture
    def files(self, tmp_path):
        files = RunFiles(tmp_path)
        (files.workspace / "reports").mkdir(parents=True)
        return files

    def test_the_proxy_knows_best_and_claims_come_last(self, files):
        assert spent_by(files).source == ""
        (files.workspace / "reports" / "usage.json").write_text(
            '{"input_tokens": 1, "output_tokens": 2, "dollars": 0.1, "model": "claimed"}'
        )
        claimed = spent_by(files)
        assert (claimed.source, claimed.tokens["output"], claimed.dollars, claimed.model) == (
            "report",
            2,
            0.1,
            "claimed",
        )
        files.output.write_text(
            'noise\n{"type": "turn.completed", "usage": {"input_tokens": 3, "output_tokens": 4}}\n{"type": "turn'
        )
        assert (spent_by(files).source, spent_by(files).tokens["output"]) == ("log", 4)
        files.calls.write_text(
            '{"kind": "service", "calls": 1}\n'
            '{"kind": "llm", "model": "m", "input_tokens": 5, "output_tokens": 6, "dollars": 0.5}\n'
        )
        assert (
            spent_by(files).source,
            spent_by(files).tokens["output"],
            spent_by(files).dollars,
        ) == ("proxy", 6, 0.5)

    @pytest.mark.parametrize(
        "claim",
        ["", "[]", '{"dollars": -1}', '{"dollars": NaN}', '{"input_tokens": true}', "{" * 9999],
    )
    def test_claims_that_say_nothing(self, files, claim):
        (files.workspace / "reports" / "usage.json").write_text(claim)
        assert spent_by(files).source == ""


def test_scripts_that_come_along_are_executable_bash():
    from pytest_a2perf.domains.posttrain import agents

    folder = os.path.dirname(agents.__file__)
    for name in ("copy", "random", "cheater"):
        path = os.path.join(folder, name, "start.sh")
        assert os.stat(path).st_mode & stat.S_IXUSR
        assert subprocess.run(["bash", "-n", path], check=False, timeout=30).returncode == 0
