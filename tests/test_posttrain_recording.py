from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posttrain_runs import write

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.recording import Monitor, ShadowRepository, scan
from pytest_a2perf.domains.posttrain.recording.git import Git, GitError
from pytest_a2perf.domains.posttrain.recording.power import CpuEnergy, GpuLoad
from pytest_a2perf.domains.posttrain.recording.shadow import MANIFEST
from pytest_a2perf.domains.posttrain.sandbox.spec import Usage
from pytest_a2perf.errors import InfraError
from pytest_a2perf.meters.energy.rapl import RaplDomain


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def shadow(tmp_path, work):
    return ShadowRepository(tmp_path / "revisions.git", work)


def contents(shadow, commit):
    files = shadow.files(commit)
    read = shadow.read(blob.hash for blob in files.values())
    return {path: read[blob.hash] for path, blob in files.items() if path != MANIFEST}


def test_commits_hold_the_folder_as_it_was(shadow, work):
    assert shadow.head() == ""
    write(work, {"code/train.py": "a = 1\n", "notes.md": "first\n"})
    first = shadow.commit("submission 1")
    write(work, {"code/train.py": "a = 2\n", "code/more.py": "b = 1\n"})
    (work / "notes.md").unlink()
    second = shadow.commit("submission 2")
    assert contents(shadow, first) == {"code/train.py": b"a = 1\n", "notes.md": b"first\n"}
    assert contents(shadow, second) == {"code/train.py": b"a = 2\n", "code/more.py": b"b = 1\n"}
    assert shadow.head() == second != first
    assert shadow.notes == []
    diff = shadow.diff(first, second)
    assert "-a = 1\n+a = 2\n" in diff
    assert "deleted file" in diff
    assert MANIFEST not in diff
    assert "+a = 1" in shadow.diff("", first)
    assert "/dev/null" not in shadow.diff(first, first)


def test_nothing_changed_is_a_commit_too(shadow, work):
    write(work, {"a.py": "1"})
    first = shadow.commit("one")
    second = shadow.commit("two")
    assert "" not in (first, second)
    assert contents(shadow, first) == contents(shadow, second)
    assert shadow.diff(first, second) == ""


def test_what_the_agent_tells_git_has_no_effect(shadow, work, tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    hook = f"#!/bin/sh\ntouch {marker}\n"
    config = f'[core]\nfsmonitor = touch {marker}\nhooksPath = hooks\n[filter "x"]\nclean = touch {marker}\n[diff "x"]\ntextconv = touch {marker}\ncommand = touch {marker}\n'
    write(
        work,
        {
            ".gitattributes": "* filter=x diff=x text eol=crlf ident export-subst\n*.py binary\n",
            ".gitignore": "*\n",
            ".gitmodules": '[submodule "a"]\npath = a\nurl = ext::touch ran\n',
            ".git/config": config,
            ".git/hooks/post-commit": hook,
            "inner/.git": "gitdir: ../../revisions.git\n",
            "inner/.GIT/config": config,
            "inner/kept.py": "$Id$\r\nx = 1\n",
        },
    )
    for number, (name, value) in enumerate(
        [("core.hooksPath", str(work)), ("core.fsmonitor", f"touch {marker}")]
    ):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    monkeypatch.setenv("GIT_DIR", str(work / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {marker}")
    first = shadow.commit("one")
    write(work, {"inner/kept.py": "$Id$\r\nx = 2\n"})
    second = shadow.commit("two")
    assert contents(shadow, first)["inner/kept.py"] == b"$Id$\r\nx = 1\n"
    assert "+x = 2" in shadow.diff(first, second)  # though attributes call it binary
    left_out = {entry["path"]: entry["why"] for entry in shadow.manifest(first)}
    assert left_out.keys() == {".git", "inner/.git", "inner/.GIT", ".gitmodules"}
    assert not marker.exists()
    assert not (tmp_path / "index").exists()


def test_links_pipes_and_folders_without_end(shadow, work, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("hidden")
    (work / "file").symlink_to(secret / "key")
    (work / "folder").symlink_to(secret, target_is_directory=True)
    os.mkfifo(work / "pipe")
    deep = work
    for _ in range(60):
        deep = deep / "d"
        deep.mkdir()
    (deep / "x").write_text("too deep")
    commit = shadow.commit("one")
    files = shadow.files(commit)
    assert files["file"].mode == files["folder"].mode == "120000"
    assert contents(shadow, commit) == {
        "file": os.fsencode(secret / "key"),
        "folder": os.fsencode(secret),
    }
    why = {entry["why"] for entry in shadow.manifest(commit)}
    assert why == {"neither file, folder nor link", "too deep"}


def test_large_files_and_weights_are_known_by_their_hash(tmp_path, work):
    shadow = ShadowRepository(tmp_path / "r.git", work, largest=1000)
    big, weights = b"x" * 1001, b"w" * 10
    write(
        work,
        {
            "big.json": big,
            "output/v1/model.safetensors": weights,
            "data/rows.csv": "1,2\n",
            "data/prepare.py": "1\n",
            "small.txt": b"s" * 1000,
        },
    )
    first = shadow.commit("one")
    assert contents(shadow, first).keys() == {"data/prepare.py", "small.txt"}
    notes = {entry["path"]: entry for entry in shadow.manifest(first)}
    assert notes["big.json"]["sha256"] == hashlib.sha256(big).hexdigest()
    assert notes["output/v1/model.safetensors"]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert notes["big.json"]["size"] == 1001
    assert notes["data/rows.csv"]["why"] == "given by the task"
    (work / "output/v1/model.safetensors").write_bytes(b"v" * 10)
    os.utime(work / "output/v1/model.safetensors", ns=(0, 0))
    second = {entry["path"]: entry for entry in shadow.manifest(shadow.commit("two"))}
    assert second["output/v1/model.safetensors"]["sha256"] == hashlib.sha256(b"v" * 10).hexdigest()


def test_what_is_stored_has_a_limit(tmp_path, work):
    shadow = ShadowRepository(tmp_path / "r.git", work, most=1500)
    write(work, {"a.txt": b"a" * 1000, "b.txt": b"b" * 1000})
    first = shadow.commit("one")
    assert contents(shadow, first).keys() == {"a.txt"}
    (entry,) = shadow.manifest(first)
    assert entry["why"] == "too much is stored already"
    assert entry["sha256"] == hashlib.sha256(b"b" * 1000).hexdigest()
    assert contents(shadow, shadow.commit("two")).keys() == {"a.txt"}


def test_the_name_of_the_manifest_cannot_be_taken(shadow, work):
    write(work, {MANIFEST: '{"left_out": []}', "a.bin": b"1"})
    notes = {entry["path"] for entry in shadow.manifest(shadow.commit("one"))}
    assert notes == {MANIFEST, "a.bin"}


def test_a_folder_with_the_name_of_the_manifest_hides_nothing(shadow, work):
    write(work, {f"{MANIFEST}/train.py": "cheat()", "a.py": "1"})
    commit = shadow.commit("one")
    assert contents(shadow, commit) == {"a.py": b"1"}
    (entry,) = shadow.manifest(commit)
    assert (entry["path"], entry["why"]) == (f"{MANIFEST}/train.py", "the name of this list")
    assert entry["sha256"] == hashlib.sha256(b"cheat()").hexdigest()


def test_folders_and_what_is_left_out_count_too(shadow, work, monkeypatch):
    monkeypatch.setattr(scan, "_MOST_ENTRIES", 10)
    write(work, {"a.py": "1", "z.py": "1"})
    for number in range(20):
        (work / f"folder-{number}").mkdir()
    commit = shadow.commit("one")
    assert contents(shadow, commit) == {"a.py": b"1"}
    (entry,) = shadow.manifest(commit)
    assert entry["why"].startswith("more than 10 files and folders")


def test_paths_have_a_limit_together(shadow, work, monkeypatch):
    monkeypatch.setattr(scan, "_MOST_PATHS", 20_000)
    deep = os.open(work, os.O_RDONLY)
    name = b"\xff" * 250
    for _ in range(20):
        os.mkdir(name, dir_fd=deep)
        below = os.open(name, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    for number in range(100):
        os.mkfifo(b"%03d" % number, dir_fd=deep)
    os.close(deep)
    notes = shadow.manifest(shadow.commit("one"))
    assert sum(len(os.fsencode(entry["path"])) for entry in notes) < 20_000
    assert "20000 bytes of names: what follows is not listed" in notes[-1]["why"]
    assert shadow.notes == []


NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda name: (
        not set(name) & set(b"/\0")
        and name not in (b".", b"..")
        and not name.lower().startswith((b".git", b"git~", b".a2perf"))
        and not name.lower().endswith((b".pt", b".bin"))
    )
)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=30), max_size=5), st.text(max_size=20))
def test_any_name_content_and_message_come_back(tmp_path_factory, files, message):
    root = tmp_path_factory.mktemp("names")
    (root / "w").mkdir()
    for name, content in files.items():
        (root / "w" / os.fsdecode(name)).write_bytes(content)
    shadow = ShadowRepository(root / "r.git", root / "w")
    commit = shadow.commit(message)
    assert shadow.notes == []
    assert contents(shadow, commit) == {os.fsdecode(name): text for name, text in files.items()}


KILLED = """
import sys
from pathlib import Path
from pytest_a2perf.domains.posttrain.recording import ShadowRepository
root = Path(sys.argv[1])
shadow = ShadowRepository(root / "r.git", root / "w")
for number in range(10_000):
    (root / "w" / "a.py").write_text(f"x = {number}")
    assert shadow.commit(str(number)), shadow.notes
    print(number, flush=True)
"""


def has_members(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_kill_in_the_middle_leaves_a_repository_that_goes_on(tmp_path):
    (tmp_path / "w").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: not has_members(process.pid))  # a git that it has started ends by itself
    shadow = ShadowRepository(tmp_path / "r.git", tmp_path / "w")
    before = shadow.head()
    for lock in (tmp_path / "r.git/refs/heads/main.lock", tmp_path / "r.git/packed-refs.lock"):
        lock.write_text("")  # as a killed git leaves them
    after = shadow.commit("after")
    assert after not in ("", before), shadow.notes
    Git(tmp_path / "r.git").run(["fsck", "--strict"])
    history = Git(tmp_path / "r.git").run(["rev-list", after]).decode().split()
    assert before in history


FULL = """
import resource, sys
from pathlib import Path
from pytest_a2perf.domains.posttrain.recording import ShadowRepository
root = Path(sys.argv[1])
shadow = ShadowRepository(root / "r.git", root / "w")
first = shadow.commit("fits")
(root / "w" / "b.txt").write_bytes(__import__("os").urandom(100_000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
print([first, shadow.commit("does not fit"), shadow.notes])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print([shadow.commit("fits again"), shadow.files(shadow.head()).keys()])
"""


def test_a_disk_that_takes_no_more_is_noted_and_the_run_goes_on(tmp_path):
    write(tmp_path / "w", {"a.py": "1"})
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    full, again = result.stdout.splitlines()
    first, second, notes = eval(full)
    assert len(first) == 40
    assert second == ""
    assert "revision not recorded (does not fit)" in notes[0]
    assert "b.txt" in again


def test_several_writers_take_turns(tmp_path, work):
    write(work, {"a.py": "1"})
    hashes = []

    def commit():
        shadow = ShadowRepository(tmp_path / "r.git", work)
        hashes.extend(shadow.commit("one of many") for _ in range(3))
        assert not shadow.notes

    threads = [threading.Thread(target=commit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = Git(tmp_path / "r.git").run(["rev-list", "main"]).decode().split()
    assert sorted(history) == sorted(hashes)
    assert len(set(hashes)) == 9


def test_what_cannot_be_recorded_is_a_note(tmp_path, work):
    blocked = tmp_path / "file"
    blocked.write_text("")
    shadow = ShadowRepository(blocked / "r.git", work)
    assert shadow.commit("one") == ""
    assert "revision not recorded (one)" in shadow.notes[0]
    gone = ShadowRepository(tmp_path / "r.git", tmp_path / "nowhere")
    commit = gone.commit("two")
    assert gone.manifest(commit)[0]["why"].startswith("unreadable")


def test_without_git_the_message_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfraError, match="git is not installed"):
        ShadowRepository(tmp_path / "r.git", tmp_path)


def test_names_of_commits_are_checked(shadow):
    for name in ("--output=/tmp/x", "main", "HEAD"):
        with pytest.raises(GitError, match="is not a commit"):
            shadow.diff(name, name)


def test_long_differences_are_cut_off(shadow, work):
    write(work, {"a.txt": "".join(f"{n}\n" for n in range(5000))})
    commit = shadow.commit("one")
    diff = shadow.diff("", commit, most=1000)
    assert len(diff) < 1100
    assert diff.endswith("... cut off here\n")
    write(work, {"a.txt": b"\0\1\2"})
    assert "Binary files" in shadow.diff(commit, shadow.commit("two"))


# -- monitor -----------------------------------------------------------------------------------


class Running:
    """A process, as a sandbox shows it."""

    def __init__(self, code):
        self.process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
        self.pid = self.process.pid

    def usage(self):
        import psutil

        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return Usage(1e-3, float("nan"), 0, exact=False)
        return Usage(times.user + times.system, float("nan"), 1, exact=True)


@pytest.fixture
def running():
    started = []

    def start(code="import sys; sys.stdin.read()"):
        started.append(Running(code))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def lines(path):
    # The last one may be written just now.
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def test_samples_say_what_is_used(tmp_path, running):
    files = RunFiles(tmp_path)
    write(files.workspace, {"output/weights": b"\1" * 100_000})
    (files.workspace / "loop").symlink_to(files.workspace)
    with Monitor(files, running(), interval=0.02) as monitor:
        wait_for(lambda: files.process.exists() and len(lines(files.process)) >= 3)
        wait_for(lambda: lines(files.process)[-1]["memory"] > 1e6)  # it has begun
    samples = lines(files.process)
    assert all(one["clock"] <= other["clock"] for one, other in pairwise(samples))
    assert samples[0]["memory"] > 0
    assert 100_000 <= samples[0]["disk"] < 1_000_000
    assert samples[-1]["processes"] == 1
    assert "memory_peak" not in samples[0]  # NaN is no JSON
    assert monitor.energy["joules"] == pytest.approx(monitor.last.joules)
    assert monitor.energy["quality"] in ("estimated", "modelled")
    assert monitor.problems == []
    monitor.stop()  # a second time does nothing
    assert len(lines(files.process)) == len(samples)


CHILD = "import subprocess, sys; subprocess.run([sys.executable, 'code/train.py', '--steps', '3'])"


def test_programs_that_run_are_named(tmp_path, running):
    files = RunFiles(tmp_path)
    write(files.workspace, {"code/train.py": "import sys; sys.stdin.read()"})
    code = f"import os; os.chdir({str(files.workspace)!r})\n" + CHILD
    one = running(code)
    with Monitor(files, one, interval=0.02):
        wait_for(lambda: files.process.exists() and "train.py" in files.process.read_text())
    named = [command for sample in lines(files.process) for command in sample.get("commands", ())]
    assert len(named) == 1
    assert named[0].endswith("code/train.py --steps 3")


def test_programs_that_are_installed_are_named(tmp_path, running):
    files = RunFiles(tmp_path / "run")
    trl = tmp_path / "bin" / "trl"
    write(tmp_path, {"bin/trl": "import sys; sys.stdin.read()"})
    files.workspace.mkdir(parents=True)
    one = running(f"import subprocess, sys; subprocess.run([sys.executable, {str(trl)!r}, 'grpo'])")
    with Monitor(files, one, interval=0.02):
        wait_for(lambda: files.process.exists() and "bin/trl grpo" in files.process.read_text())


MONITORED = """
import os, sys
from pathlib import Path
from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.recording import Monitor
from pytest_a2perf.domains.posttrain.sandbox.spec import Usage
class Running:
    pid = os.getpid()
    def usage(self): return Usage(1.0, 2.0, 1, True)
Monitor(RunFiles(Path(sys.argv[1])), Running(), interval=0.01).__enter__()
sys.stdin.read()
"""


def test_samples_survive_a_kill(tmp_path):
    (tmp_path / "workspace").mkdir()
    files = RunFiles(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", MONITORED, str(tmp_path)], stdin=subprocess.PIPE
    ) as process:
        try:
            wait_for(
                lambda: files.process.exists() and files.process.read_bytes().count(b"\n") >= 3
            )
        finally:
            process.kill()
    *whole, _ = files.process.read_text().split("\n")
    assert len(whole) >= 3
    assert all(json.loads(line)["memory_peak"] == 2.0 for line in whole)


def test_a_file_that_cannot_be_written_is_a_problem_not_an_error(tmp_path, running):
    files = RunFiles(tmp_path)
    files.process.mkdir()
    with Monitor(files, running(), interval=0.02) as monitor:
        wait_for(lambda: monitor.problems)
    assert "process samples end early" in monitor.problems[0]


def test_the_file_of_samples_has_a_limit(tmp_path, running):
    files = RunFiles(tmp_path)
    with Monitor(files, running(), interval=0.005, most=1000):
        wait_for(lambda: files.process.exists() and files.process.stat().st_size > 600)
    assert files.process.stat().st_size <= 1000
    assert lines(files.process)


def test_a_box_that_has_ended_is_sampled_without_error(tmp_path, running):
    one = running("pass")
    one.process.wait()
    sample = Monitor(RunFiles(tmp_path), one).sample()
    assert sample.memory == 0
    assert sample.processes == 0


def test_energy_is_the_boxes_share_of_the_counters(tmp_path):
    counter = tmp_path / "energy_uj"
    counter.write_text("9000000")
    energy = CpuEnergy(domains=[RaplDomain("package-0", counter, 10_000_000)])
    counter.write_text("1000000")  # it has wrapped: 2 J
    # The box cannot have used less than it says, however little the machine seems to have done.
    assert 0 < energy.add(1e6) <= 2.0
    assert (energy.source, energy.quality) == ("rapl", "estimated")
    before = energy.joules
    assert energy.add(1e6) == before  # no CPU time, no share
    counter.unlink()
    assert energy.add(1e6 + 2) == pytest.approx(before + 8)
    assert energy.source.startswith("cpu-time-model")


def test_energy_without_counters_is_modelled():
    energy = CpuEnergy(watts=5, domains=[])
    assert energy.add(2.0) == 10.0
    assert energy.add(1.0) == 10.0  # usage never falls, even if what counts it does
    assert energy.quality == "modelled"


class Board:
    board_uuid = "GPU-1"

    def __init__(self, counter):
        self.counter = counter

    def read(self, function, *_, of_board=True):
        from types import SimpleNamespace

        return {
            "nvmlDeviceGetTotalEnergyConsumption": self.counter,
            "nvmlDeviceGetPowerUsage": 200_000,
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=50),
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=10**9),
        }[function]


@pytest.mark.parametrize("counter", [1000, None], ids=["counter", "power"])
def test_gpus_are_read(counter):
    board = Board(counter)
    load = GpuLoad([board])
    load.read(0.0)
    if counter is not None:
        board.counter += 400_000
    reading = load.read(2.0).to_json()
    assert reading == {"utilization": 0.5, "memory": 1e9, "watts": 200.0, "joules": 400.0}


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
