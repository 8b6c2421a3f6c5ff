"""Side by side: the same trials on another version of the project."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest

from pytest_a2perf.against.baseline import read_base
from pytest_a2perf.against.relocation import RelocatingFinder, Relocation
from pytest_a2perf.runs.store import read_records

pytestmark = pytest.mark.slow

TESTS = """
    import time
    import pytest
    from my.policy import act

    @pytest.mark.a2perf(
        seeds=6, gates={"reported.value.mean": {"regression": "5 %", "better": "higher"}}
    )
    def test_policy(trial):
        time.sleep(0.05)
        trial.report("value", act(trial.seed))
"""
NAME = "test_policy.py::test_policy"
CLOCK = """
now = 0.0

def sleep(seconds):
    global now
    now += seconds

def perf_counter():
    return now
"""


def git(folder, *arguments):
    done = subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def write_policy(folder, body, path="src/my/policy.py"):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(f"def act(seed):\n    {body}\n")


@pytest.fixture
def repository(pytester):
    """A project with src layout; its policy is worth 10 in the only commit."""
    path = pytester.path
    pytester.makepyfile(test_policy=TESTS)
    pytester.makeini("[pytest]\npythonpath = src\n")
    (path / ".gitignore").write_text(".a2perf\n__pycache__\nstdout\nstderr\nrunpytest-*\n")
    write_policy(path, "return 10 + seed")
    git(path, "init", "-q", "-b", "main")
    git(path, "add", ".")
    git(path, "commit", "-qm", "version 1")
    return pytester


def simulate_time(repository):
    """Commit a clock that only what is tested moves: how fast this machine is does not matter."""
    repository.makepyfile(clock=CLOCK)
    repository.makeconftest("import clock, pytest_a2perf.meters.time as m; m.time = clock")
    test = repository.path / "test_policy.py"
    timed = '"time.wall": {"regression": "5 %"}, "reported'
    text = test.read_text().replace("import time", "import clock").replace('"reported', timed)
    test.write_text(text.replace("time.sleep(0.05)", "clock.sleep(0.05 + trial.seed / 1000)"))


def run(repository, *arguments, ref="HEAD"):
    options = ["--a2perf", "--a2perf-against", ref, "-p", "no:cacheprovider"]
    return repository.runpytest_subprocess(*options, *arguments)


def run_folder(repository):
    (folder,) = (repository.path / ".a2perf" / "runs").iterdir()
    return folder


def values(records):
    return {record.seed: record.reported["value"].value for record in records}


def pairs(repository):
    """Return the records of both versions by seed: ours, theirs."""
    folder = run_folder(repository)
    head = {record.seed: record for record in read_records(folder)}
    base = {record.seed: record for record in read_base(folder)}
    assert head.keys() == base.keys()
    return {seed: (head[seed], base[seed]) for seed in sorted(head)}


def span(record):
    begin = datetime.fromisoformat(record.started).timestamp()
    return begin, begin + record.duration


def assert_clean(repository):
    assert len(git(repository.path, "worktree", "list").splitlines()) == 1
    assert not (run_folder(repository) / "base" / "tree").exists()


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_each_version_runs_its_own_code(repository, workers):
    write_policy(repository.path, "return 8 + seed")  # not committed: head is what is on disk
    result = run(repository, *workers)
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(
        [
            "a2perf: against HEAD (*); working tree at commit *, with uncommitted changes",
            "*FAIL*reported.value.mean at most 5 % worse*",
            "*% worse * than 'HEAD' over 6 paired seeds*",
        ]
    )
    both = pairs(repository)
    assert values(head for head, _ in both.values()) == {seed: 8 + seed for seed in range(6)}
    assert values(base for _, base in both.values()) == {seed: 10 + seed for seed in range(6)}
    for head, base in both.values():
        assert head.context["version"] == "head"
        assert base.context["version"] == "base"
        assert head.context["process"] == base.context["process"]
        assert head.worker == base.worker
        assert "memory.children_peak" not in head.quantities  # the companion is not the trial's
    assert len({head.context["process"] for head, _ in both.values()}) == 6
    assert_clean(repository)


def test_versions_never_overlap(repository):
    run(repository).assert_outcomes(passed=7)
    for head, base in pairs(repository).values():
        first, second = sorted([("head", head), ("base", base)], key=lambda side: span(side[1]))
        assert span(first[1])[1] <= span(second[1])[0] + 0.002  # times are in whole milliseconds
        assert head.context["order"] == base.context["order"] == f"{first[0]} first"


def test_trials_are_dealt_out_to_ten_pairs_of_processes(repository):
    simulate_time(repository)
    test = repository.path / "test_policy.py"
    test.write_text(
        test.read_text().replace("seeds=6", "seeds=20")
        + "\n@pytest.mark.a2perf(seeds=4)\ndef test_few(trial):\n    trial.report('value', 1)\n"
        + "\ndef test_ordinary():\n    pass\n"
    )
    git(repository.path, "add", ".")
    git(repository.path, "commit", "-qam", "times")
    write_policy(repository.path, "import clock; clock.sleep(0.5); return 10 + seed")
    result = run(repository, "-v")
    result.assert_outcomes(passed=26, failed=1)
    result.stdout.fnmatch_lines(["*% worse * over 20 paired seeds in 10 pairs of processes (p *"])
    records = [*read_records(run_folder(repository))]
    ran = [(record.scenario.rpartition("_")[2], record.seed) for record in records]
    dealt = [[("policy", 2 * turn), ("policy", 2 * turn + 1), ("few", turn)] for turn in range(10)]
    assert ran == [
        trial for turn in dealt for trial in turn if trial[0] == "policy" or trial[1] < 4
    ]
    processes = list(dict.fromkeys(record.context["process"] for record in records))
    assert len(processes) == 10
    for turn, process in enumerate(processes):
        inside = [record for record in records if record.context["process"] == process]
        assert [record.seed for record in inside[:2]] == [2 * turn, 2 * turn + 1]
        assert {record.context["order"] for record in inside[:2]} == {"head first", "base first"}
    lines = result.stdout.str()
    assert lines.index("test_policy[19]") < lines.index("::test_ordinary")


def test_an_unchanged_tree_is_equal(repository):
    result = run(repository, "-rA")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["a2perf: against HEAD (*); working tree at commit *, the same"])
    run_json = json.loads((run_folder(repository) / "run.json").read_text())
    assert run_json["against"] == {
        "ref": "HEAD",
        "commit": git(repository.path, "rev-parse", "HEAD"),
    }


def test_isolated_trials_of_scenario_files(repository):
    (repository.path / "scenarios").mkdir()
    (repository.path / "scenarios" / "cart.toml").write_text(
        'schema = 1\n[[scenario]]\nname = "cart"\ntask = "CartPole-v1"\nagent = "agents:act"\n'
        'seeds = 4\ntimeout = "5 min"\n[scenario.gates]\n"return.mean" = { regression = "5 %" }\n'
    )
    (repository.path / "agents.py").write_text("def act(o):\n    return int(o[2] + o[3] / 2 > 0)\n")
    git(repository.path, "add", ".")
    git(repository.path, "commit", "-qm", "version 2")
    (repository.path / "agents.py").write_text("def act(o):\n    return 0\n")
    result = run(repository, "scenarios")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*% worse*than 'HEAD'*4 paired seeds*"])
    for head, base in pairs(repository).values():
        assert head.episodes[0].total < 20 < base.episodes[0].total


def test_a_crash_of_the_base_version(repository):
    write_policy(repository.path, "import os; return 10 + seed if seed != 2 else os._exit(3)")
    git(repository.path, "commit", "-qam", "crashes")
    write_policy(repository.path, "return 10 + seed")
    result = run(repository)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(
        [f"a2perf: 1 pair left out, HEAD gave no result: {NAME}*2*: its process exited with*3*"]
    )
    assert sorted(record.seed for record in read_base(run_folder(repository))) == [0, 1, 3, 4, 5]
    assert_clean(repository)


def test_after_two_crashes_in_a_row_it_goes_on_alone(repository):
    write_policy(repository.path, "import os; os._exit(3)")
    git(repository.path, "commit", "-qam", "crashes")
    write_policy(repository.path, "return 10 + seed")
    result = run(repository, "-k", "test_policy")
    result.assert_outcomes(passed=6, skipped=1)
    result.stdout.fnmatch_lines(["*NEW *", "a2perf: 6 pairs left out*exited with status 3*"])


def test_an_error_of_the_base_version(repository):
    write_policy(repository.path, "return 10 + 1 // (seed - 3) * 0 + seed")
    git(repository.path, "commit", "-qam", "divides")
    write_policy(repository.path, "return 10 + seed")
    result = run(repository)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["*1 pair left out*test_policy?3?: error: *division*by zero*"])


def test_a_base_version_that_hangs(repository):
    test = repository.path / "test_policy.py"
    test.write_text(test.read_text().replace("seeds=6", "seeds=2, timeout=1, isolate=False"))
    write_policy(
        repository.path,
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [14]); "
        "import time; time.sleep(1000)",
    )
    git(repository.path, "commit", "-qam", "hangs")
    write_policy(repository.path, "return 10 + seed")
    begin = time.monotonic()
    result = run(repository)
    assert time.monotonic() - begin < 600
    result.stdout.fnmatch_lines(["*2 pairs left out*no answer within 4 s and was killed*"])
    assert_clean(repository)


def test_without_a_companion_of_ours(repository):
    """A conftest that cannot be loaded twice: the trials run in pytest itself, unpaired."""
    (repository.path / "conftest.py").write_text(
        "import os\nassert not os.environ.get('TWICE'), 'not twice'\nos.environ['TWICE'] = '1'\n"
    )
    result = run(repository)
    result.assert_outcomes(passed=6, skipped=1)
    result.stdout.fnmatch_lines(["*6 pairs left out*our companion did not start*not twice*"])


def test_a_new_scenario(repository):
    test = repository.path / "test_policy.py"
    test.write_text(
        test.read_text()
        + "\n@pytest.mark.a2perf(seeds=2)\ndef test_new(trial):\n    trial.report('value', 1)\n"
    )
    result = run(repository)
    result.assert_outcomes(passed=9)
    result.stdout.fnmatch_lines(["a2perf: not in HEAD, so without a pair: 2 (*test_new?0?*"])


def test_a_base_version_that_cannot_be_collected(repository):
    write_policy(repository.path, "return (")
    git(repository.path, "commit", "-qam", "breaks")
    write_policy(repository.path, "return 10 + seed")
    result = run(repository)
    result.assert_outcomes(passed=6, skipped=1)
    result.stdout.fnmatch_lines(
        ["*6 pairs left out*test_policy.py could not be collected: Syntax*"]
    )


def test_a_changed_scenario_is_said(repository):
    test = repository.path / "test_policy.py"
    test.write_text(test.read_text().replace("seeds=6", "seeds=6, episodes=2"))
    result = run(repository)
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines([f"a2perf: {NAME} is defined differently in HEAD; compared*"])


def test_a_missing_version(repository):
    result = run(repository, ref="relaese")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no 'relaese' in *git fetch may bring it (branches here: main)"])
    assert_clean(repository)


def test_a_shallow_clone(repository):
    git(repository.path, "commit", "-q", "--allow-empty", "-m", "second")
    clone = repository.mkdir("clone")
    git(clone, "clone", "-q", "--depth", "1", f"file://{repository.path}", ".")
    os.chdir(clone)
    for ref, advice in {
        "origin/release": "git fetch --depth 1 origin release, then * --a2perf-against FETCH_HEAD",
        "HEAD~1": "git fetch --unshallow origin first",
    }.items():
        result = run(repository, ref=ref)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*this clone is shallow: run {advice}"])


def test_no_repository(pytester):
    pytester.makepyfile(test_policy="def test_nothing(): pass")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*is in no git repository*"])


def test_no_git(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository.path))
    result = run(repository)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*git cannot be run*please install it*"])


def test_an_interpreter_without_the_plugin(repository):
    python = repository.path / "python"
    python.write_text("#!/bin/sh\necho \"No module named 'pytest_a2perf'\" >&2; exit 1\n")
    python.chmod(0o755)
    result = run(repository, f"--a2perf-against-python={python}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*No module named 'pytest_a2perf'; install pytest-a2perf there"])


def test_an_interpreter_of_another_environment(repository):
    python = repository.path / "python"
    python.symlink_to(sys.executable)
    target = repository.mkdir("elsewhere") / "python"
    target.write_text(f'#!/bin/sh\nOTHER=1 exec {sys.executable} "$@"\n')
    target.chmod(0o755)
    write_policy(repository.path, "import os; return 10 + bool(os.getenv('OTHER')) + seed")
    git(repository.path, "commit", "-qam", "asks")
    run(repository, f"--a2perf-against-python={target}")
    base = values(base for _, base in pairs(repository).values())
    assert base == {seed: 11 + seed for seed in range(6)}


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "xdist"])
def test_ctrl_c_leaves_nothing_behind(repository, workers):
    began = repository.path / "began"
    write_policy(
        repository.path, f"import time; open({str(began)!r}, 'w').close(); time.sleep(1000)"
    )
    git(repository.path, "commit", "-qam", "slow")
    options = ["--a2perf", "--a2perf-against=HEAD", "-p", "no:cacheprovider", *workers]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    folder = repository.path / ".a2perf" / "runs"
    until(lambda: list(folder.glob("*/base/tree/test_policy.py")))
    until(began.exists, 300)
    assert "companion" in processes(repository)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    until(lambda: "companion" not in processes(repository))
    assert_clean(repository)


def processes(repository):
    """Return the command lines of the processes that work in the repository."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                inside = os.readlink(f"{entry.path}/cwd").startswith(str(repository.path))
                with open(f"{entry.path}/cmdline") as file:
                    found += [file.read()] if inside else []
            except OSError:
                continue
    return "\n".join(found)


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_a_killed_run_left_is_swept(repository):
    folder = repository.path / ".a2perf" / "runs" / "20200101-000000-dead" / "base"
    folder.mkdir(parents=True)
    git(repository.path, "worktree", "add", "-q", "--detach", str(folder / "tree"), "HEAD")
    (folder / "tree.lock").touch()
    run(repository).assert_outcomes(passed=7)
    assert not (folder / "tree").exists()
    assert len(git(repository.path, "worktree", "list").splitlines()) == 1


def test_a_resumed_run_keeps_its_pairs(repository):
    run(repository, "--deselect", f"{NAME}[5]", "--deselect", f"{NAME}[4]")
    result = run(repository, "--a2perf-resume")
    result.stdout.fnmatch_lines(["*6 trials*"])
    assert [*pairs(repository)] == [0, 1, 2, 3, 4, 5]


def test_merged_shards_keep_their_pairs(repository):
    simulate_time(repository)
    git(repository.path, "add", ".")
    git(repository.path, "commit", "-qam", "times")
    write_policy(repository.path, "import clock; clock.sleep(0.2); return 8 + seed")
    for index in (1, 2):
        run(repository, "--a2perf-shard", f"{index}/2", "--a2perf-dir", f".a2perf/part{index}")
    merge = (sys.executable, "-m", "pytest_a2perf", "merge")
    result = repository.run(*merge, ".a2perf")
    result.stdout.fnmatch_lines(
        [
            "*% worse * over 6 paired seeds in 6 pairs of processes (p *",
            "*% worse * over 6 paired seeds (p *",
        ]
    )
    for records in (repository.path / ".a2perf").glob("part*/runs/*/*.jsonl"):
        text = re.sub(r',"process":"[^"]*"', "", records.read_text())
        assert '"process"' not in text
        records.write_text(text)
    result = repository.run(*merge, ".a2perf/part1", ".a2perf/part2")
    result.stdout.fnmatch_lines(
        ["*over 6 paired seeds in 1 pair of processes, which cannot decide it: run the trials anew"]
    )


def test_an_editable_install_does_not_lead_back(tmp_path, monkeypatch):
    """Whatever finds the working tree, the other tree is imported from."""
    here, there = tmp_path / "here", tmp_path / "here" / "runs" / "tree"
    for root, name in ((here, "new"), (there, "old")):
        (root / "against_package" / "part").mkdir(parents=True)
        (root / "against_package" / "__init__.py").write_text(f"NAME = {name!r}\n")
        (root / "against_package" / "part" / "leaf.py").write_text(f"NAME = {name!r}\n")
    (here / "against_package" / "built.py").touch()
    monkeypatch.syspath_prepend(str(here))
    finder = RelocatingFinder(Relocation(here, there, tmp_path / "venv"))
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    from against_package.part import leaf

    assert leaf.NAME == sys.modules["against_package"].NAME == "old"
    sys.modules["against_package"].__path__.append(str(here / "against_package"))
    with pytest.raises(ModuleNotFoundError, match="--a2perf-against-python"):
        importlib.import_module("against_package.built")


def test_relocation_spares_the_environment(tmp_path):
    move = Relocation(tmp_path, tmp_path / "runs" / "tree", tmp_path / ".venv")
    assert move.moved(tmp_path / "src") == str(tmp_path / "runs" / "tree" / "src")
    for path in (tmp_path / ".venv" / "lib", tmp_path / "runs" / "tree" / "src", "/usr/lib"):
        assert move.moved(path) == str(path)
