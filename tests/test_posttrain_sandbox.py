"""Sandboxes as boxes are run in them: status, output, limits, and that nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from posttrain_boxes import (
    MAKERS,
    WALL,
    as_owner,
    python,
    run_box,
    run_in,
    sandbox,
    start,
    wait_for,
    workspace,
)

from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.sandbox import choose, container, probe_all, running, system
from pytest_a2perf.domains.posttrain.sandbox.cgroups import make_groups, parents, remove_groups
from pytest_a2perf.domains.posttrain.sandbox.container import Container
from pytest_a2perf.domains.posttrain.sandbox.outside import on_host
from pytest_a2perf.domains.posttrain.sandbox.runtime import keeper, meter
from pytest_a2perf.domains.posttrain.sandbox.runtime.board import Board, State
from pytest_a2perf.domains.posttrain.sandbox.runtime.files import remove_tree
from pytest_a2perf.domains.posttrain.sandbox.runtime.groups import Groups
from pytest_a2perf.domains.posttrain.sandbox.runtime.keeper import Keeper
from pytest_a2perf.domains.posttrain.sandbox.runtime.meter import Disk, disk_usage
from pytest_a2perf.domains.posttrain.sandbox.seccomp import syscalls_filter
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Limits, Mount, Sandbox

linux = pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's")

MIB = 1 << 20


@pytest.fixture(params=MAKERS)
def box_in(request) -> Sandbox:
    return sandbox(request.param)


@pytest.fixture(
    params=["bubblewrap-groups", "bubblewrap-watchdog", "landlock-watchdog", "none-groups"]
)
def limiting(request) -> Sandbox:
    """A sandbox with control groups, and one that makes do without."""
    name, _, how = request.param.partition("-")
    if how == "groups" and not parents():
        pytest.skip("control groups cannot be made here")
    return sandbox(name, groups=how == "groups")


def marked(mark: str) -> list[psutil.Process]:
    """Return the processes that have a mark among their arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(mark in argument for argument in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def mark_of(tmp_path: Path) -> str:
    return f"mark-{os.getpid()}-{abs(hash(tmp_path))}"


@linux
def test_limit_of_cpu_counts_all_processes(limiting, tmp_path):
    code = """
        import os
        for _ in range(2):
            os.fork()
        while True:
            pass
    """
    ended = run_in(limiting, tmp_path, python(code), Limits(cpu=0.5, wall=WALL))
    assert (ended.limit, ended.status) == ("cpu", -9)
    assert ended.usage.cpu > 0.5
    assert ended.usage.exact == ("cgroup" in limiting.details["limits"])


@pytest.mark.slow
@linux
def test_limit_of_cpu_is_named_where_the_kernel_was_faster(tmp_path, monkeypatch):
    change_keeper(monkeypatch, "_LOOK=1000")
    ended = run_in(sandbox("none"), tmp_path, python("while True: pass"), Limits(cpu=0.5))
    assert (ended.limit, ended.status) == ("cpu", -9)


def change_keeper(monkeypatch, constants: str) -> None:
    """Have keepers run with other constants."""
    whole = running.program

    def changed(*arguments: object) -> list[str]:
        command = whole(*arguments)
        return [
            part.replace("main()", f"main.__globals__.update({constants}); main()")
            for part in command
        ]

    monkeypatch.setattr(running, "program", changed)


@pytest.mark.slow
@linux
def test_limit_of_memory_counts_all_processes(limiting, tmp_path):
    code = """
        import os, time
        for _ in range(2):
            os.fork()
        kept = []
        while True:
            kept.append(b"x" * (4 << 20))
            time.sleep(0.02)
    """
    ended = run_in(limiting, tmp_path, python(code), Limits(memory=160 * MIB, wall=WALL))
    assert (ended.limit, ended.status) == ("memory", -9)
    assert ended.usage.memory_peak >= 160 * MIB


@linux
def test_limit_of_wall(limiting, tmp_path):
    ended = run_in(limiting, tmp_path, ["sleep", "100"], Limits(wall=0.3))
    assert (ended.limit, ended.status) == ("wall", -9)


WRITTEN = {
    "kept": "",
    "removed": "os.unlink(name)",
    "removed and mapped": """
mapped.append(mmap.mmap(files[-1].fileno(), 0))
files.pop().close()
os.closerange(3, 100)  # the map's own descriptor as well
os.unlink(name)
""",
    "below long names": """
for _ in range(0 if number else 20):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
""",
}


@pytest.mark.slow
@linux
@pytest.mark.parametrize("how", WRITTEN)
def test_limit_of_disk(box_in, tmp_path, how):
    code = f"""
import mmap, os, time
files, mapped = [], []
for number in range(1000):
    name = f"file{{number}}"
    files.append(open(name, "w+b"))
    files[-1].write(os.urandom(2 << 20))
    files[-1].flush()
{textwrap.indent(WRITTEN[how], "    ")}
    time.sleep(0.05)
"""
    ended = run_in(box_in, tmp_path, python(code), Limits(disk=8 * MIB, wall=WALL))
    assert (ended.limit, ended.status) == ("disk", -9)


@linux
def test_limit_of_a_file(box_in, tmp_path):
    code = """
        with open("file", "wb") as file:
            file.write(b"x" * 100000)
    """
    ended = run_in(box_in, tmp_path, python(code), Limits(file=50000, wall=WALL))
    assert ended.status == 1
    assert "File too large" in ended.output
    assert (tmp_path / "workspace" / "file").stat().st_size <= 50000


@linux
def test_fork_bomb_is_contained(limiting, tmp_path):
    mark = mark_of(tmp_path)
    code = """
        import os, time
        for _ in range(9):
            try:
                os.fork()
            except OSError:
                pass
        time.sleep(0.5)
    """
    ended = run_in(limiting, tmp_path, python(code, mark), Limits(processes=20, wall=WALL))
    assert (ended.limit, ended.status) in {("", 0), ("processes", -9)}
    if "cgroup" in limiting.details["limits"]:  # the kernel refuses; the watchdog can only end it
        assert ended.limit == ""
    assert marked(mark) == []


@pytest.mark.slow
def test_status_is_the_commands(box_in, tmp_path):
    for command, status in ((["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -SEGV $$"], -11)):
        assert run_in(box_in, tmp_path, command).status == status
    missing = run_in(box_in, tmp_path, ["no-such-program"])
    assert missing.status == 127
    assert "no-such-program: No such file" in missing.output


def test_box_has_what_it_is_given(box_in, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train").write_text("examples")
    text = (
        'echo "$GREETING"; cat $DATA_PATH/train; echo x > made; test -z "$PYTEST_CURRENT_TEST"; id'
    )
    ended = run_in(
        box_in,
        tmp_path,
        ["sh", "-ec", text],
        mounts=[Mount(tmp_path / "data", "/data")],
        env={"GREETING": "hello", "DATA_PATH": "/data"},
    )
    assert ended.status == 0, ended.output
    assert ended.output.startswith("hello\nexamples")
    assert (tmp_path / "workspace" / "made").read_text() == "x\n"


def test_temporary_files_are_the_boxs_own(box_in, tmp_path):
    code = """
        import os, tempfile
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(b"x")
        print(file.name, *os.listdir(os.path.dirname(file.name)))
    """
    name, *beside = run_in(box_in, tmp_path, python(code)).output.split()
    assert Path(name).name in beside
    assert not [other for other in beside if other.startswith("pytest-of-")]
    assert not Path(name).exists()


def test_wait_has_a_limit_and_stop_ends_it(box_in, tmp_path):
    running = start(box_in, Box(["sleep", "100"], [workspace(tmp_path)]))
    assert running.wait(0.05) is None
    assert psutil.pid_exists(running.pid)
    assert running.usage().processes >= 0
    running.stop(WALL)
    assert running.wait(0) == -signal.SIGTERM
    assert running.limit_hit == ""
    assert not psutil.pid_exists(running.pid)
    running.stop()  # once more does no harm


STUBBORN = {
    "ignores SIGTERM": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "is stopped": "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.kill(os.getpid(), signal.SIGSTOP)",
    "is a daemon": """
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
""",
}


@pytest.mark.parametrize("how", STUBBORN)
def test_nothing_is_left_after_stop(box_in, tmp_path, how):
    mark = mark_of(tmp_path)
    text = f"import os, signal, sys, time\nprint('on', flush=True)\n{STUBBORN[how]}\ntime.sleep(99)"
    with tempfile.TemporaryFile() as output:
        running = start(box_in, Box([sys.executable, "-c", text, mark]), output)
        wait_for(
            lambda: len(marked(mark)) > (how == "is a daemon") and os.fstat(output.fileno()).st_size
        )
        running.stop(0.1)
    assert marked(mark) == []
    assert running.wait(0) is not None


def test_daemons_end_with_the_command_and_are_counted(box_in, tmp_path):
    mark = mark_of(tmp_path)
    code = """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            for number in range(3):
                os.close(number)
            time.sleep(99)
        os.wait()
    """
    ended = run_in(box_in, tmp_path, python(code, mark))
    assert (ended.status, ended.left) == (0, 1)
    assert marked(mark) == []


@pytest.mark.slow
def test_box_ends_when_the_harness_is_killed(box_in, tmp_path):
    mark = mark_of(tmp_path)
    text = f"""
import sys, tempfile, time
from pytest_a2perf.domains.posttrain.sandbox.{type(box_in).__module__.rpartition(".")[2]} import *
from pytest_a2perf.domains.posttrain.sandbox.spec import Box
box_in = {type(box_in).__name__}({repr(box_in.name) if isinstance(box_in, Container) else ""})
with tempfile.TemporaryFile() as output:
    running = box_in.start(Box(["sh", "-c", "setsid sleep 98 & sleep 99", {mark!r}]), output)
    print(running.pid, flush=True)
    time.sleep(99)
"""
    with subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True
    ) as harness:
        pid = int(harness.stdout.readline())
        assert psutil.pid_exists(pid)
        harness.kill()
    wait_for(lambda: not psutil.pid_exists(pid) and marked(mark) == [])


def test_box_ends_when_its_keeper_is_killed(box_in, tmp_path):
    mark = mark_of(tmp_path)
    running = start(box_in, Box(["sh", "-c", "sleep 99; true", mark], limits=Limits(wall=WALL)))
    running._keeper.kill()
    assert running.wait(WALL) == -9
    wait_for(lambda: marked(mark) == [])


def keeper_of(box) -> psutil.Process:
    return psutil.Process(box._keeper.pid)


@linux
@pytest.mark.parametrize("groups", [True, False])
def test_box_ends_when_its_keeper_has_no_descriptors_left(tmp_path, groups):
    box_in = sandbox("landlock", groups=groups)
    mark = mark_of(tmp_path)
    code = """
        import os, socket, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
        while not os.path.exists("go"):
            time.sleep(0.01)
        held = []
        while True:
            held.append(socket.socket())
            held[-1].setblocking(False)
            held[-1].connect_ex(("127.0.0.1", int(os.environ["PORT"].split(":")[1])))
            time.sleep(0.01)
    """
    box = Box(
        python(code, mark),
        [workspace(tmp_path)],
        env={"PORT": "127.0.0.1:5000"},
        folder="/workspace",
        limits=Limits(wall=WALL),
        forward={5000: "/workspace/socket"},
    )
    with socket.socket(socket.AF_UNIX) as service, contextlib.chdir(tmp_path):
        workspace(tmp_path)
        service.bind("workspace/socket")
        service.listen(100)
        started = start(box_in, box)
        process = keeper_of(started)
        most = process.num_fds() + 20
        process.rlimit(psutil.RLIMIT_NOFILE, (most, most))
        (tmp_path / "workspace" / "go").touch()
        assert started.wait(WALL) == -9
    assert started.limit_hit == ""
    assert "Too many open files" in started._last.error
    assert marked(mark) == []


@pytest.mark.slow
@linux
def test_harness_ends_what_its_keeper_cannot(tmp_path, monkeypatch):
    if not parents():
        pytest.skip("control groups cannot be made here")
    change_keeper(monkeypatch, "_END_LIMIT=1")
    mark = mark_of(tmp_path)
    started = start(sandbox("none"), Box(["sh", "-c", "setsid sleep 98 & sleep 99", mark]))
    wait_for(lambda: len(marked(mark)) > 0)
    keeper_of(started).rlimit(psutil.RLIMIT_NOFILE, (3, 3))
    assert started.wait(WALL) == -9
    assert started._last.error == "processes of the box cannot be ended"
    assert marked(mark) == []


@pytest.mark.slow
def test_box_outlives_the_thread_that_started_it(box_in, tmp_path):
    started = []
    thread = threading.Thread(
        target=lambda: started.append(start(box_in, Box(["sh", "-c", "sleep 0.5; exit 5"])))
    )
    thread.start()
    thread.join()
    assert started[0].wait(WALL) == 5


def test_usage_is_known_after_the_end(limiting, tmp_path):
    code = """
        import os, time
        if os.fork() == 0:
            while time.process_time() < 0.3:
                pass
            os._exit(0)
        os.wait()
    """
    usage = run_in(limiting, tmp_path, python(code)).usage
    assert 0.3 <= usage.cpu < 30
    assert usage.memory_peak > 1 << 20
    assert usage.processes == 0


def test_output_is_cut_at_the_limit_of_a_file(box_in, tmp_path):
    ended = run_in(box_in, tmp_path, ["sh", "-c", "yes | head -c 300000"], Limits(file=100000))
    assert (ended.status, len(ended.output)) == (0, 100000)


def test_output_must_be_a_file(box_in):
    import io

    with pytest.raises(SandboxError, match="real file or pipe"):
        start(box_in, Box(["true"]), io.BytesIO())


def test_folder_that_is_missing_is_named(box_in):
    with pytest.raises(SandboxError, match="nowhere"):
        start(box_in, Box(["true"], folder="/nowhere"))


@linux
def test_temporary_folders_are_limited():
    box_in = sandbox("bubblewrap")
    code = """
        for folder in ("/tmp", "/dev/shm"):
            try:
                with open(folder + "/file", "wb") as file:
                    for _ in range(20):
                        file.write(b"x" * (1 << 20))
                print("written", folder)
            except OSError as error:
                print(error.strerror)
    """
    limits = Limits(disk=4 * MIB, memory=256 * MIB, wall=WALL)
    ended = run_box(box_in, Box(python(code), limits=limits))
    assert ended.output.splitlines()[0] in {"No space left on device", "File too large"}
    assert ended.status == 0


def test_choice_says_what_is_missing():
    names = [found.name for found in probe_all()]
    assert names == ["bubblewrap", "landlock", "docker", "podman", "none"]
    assert all(found.works or found.why for found in probe_all())
    with pytest.raises(SandboxError, match="must be allowed explicitly"):
        choose("none")
    with pytest.raises(SandboxError, match="unknown sandbox 'jail'; there are: auto, bubblewrap"):
        choose("jail")
    assert choose("none", allow_unisolated=True).isolated is False
    for found in probe_all():
        if not found.works:
            with pytest.raises(SandboxError, match=re.escape(found.why[:20])):
                choose(found.name)


@given(st.lists(st.sampled_from(["/workspace", "/tmp", "/tmp/venv", "/data", "127.0.0.1:5000"])))
def test_paths_are_replaced_once(names):
    changes = {
        "/workspace": "/tmp/host/workspace",
        "/tmp": "/tmp/own",
        "/tmp/venv": "/tmp/venv",
        "127.0.0.1:5000": "127.0.0.1:41234",
    }
    expected = ":".join(changes.get(name, name) for name in names)
    assert on_host(":".join(names), changes) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/workspace/output", "/host/output"),
        ("--out=/workspace", "--out=/host"),
        ("/workspaces", "/workspaces"),
        ("/my/workspace", "/my/workspace"),
        ("http://localhost:5000/submit", "http://localhost:7/submit"),
        ("localhost:50001", "localhost:50001"),
    ],
)
def test_only_whole_paths_are_replaced(text, expected):
    assert on_host(text, {"/workspace": "/host", "localhost:5000": "localhost:7"}) == expected


ALLOW = 0x7FFF0000
CODES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(program: bytes, number: int, *arguments: int, code: int) -> int:
    """Run a filter as the kernel does: errno, or 0 where the call is allowed."""
    data = struct.pack("=iIQ6Q", number, code, 0, *(*arguments, *[0] * (6 - len(arguments))))
    instructions = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        operation, yes, no, value = instructions[position]
        position += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x06:
            return 0 if value == ALLOW else value & 0xFFFF
        else:
            tests = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: accumulator & value,
            }
            position += yes if tests[operation] else no


@pytest.mark.parametrize(
    ("machine", "calls"),
    [
        (
            "x86_64",
            {"mount": 165, "clone": 56, "clone3": 435, "socket": 41, "read": 0, "limit": 302},
        ),
        (
            "aarch64",
            {"mount": 40, "clone": 220, "clone3": 435, "socket": 198, "read": 63, "limit": 261},
        ),
    ],
)
def test_filter_denies_what_it_should(machine, calls):
    code = CODES[machine]
    wide = syscalls_filter(machine)
    narrow = syscalls_filter(machine, own_network=False, tcp=True)
    closed = syscalls_filter(machine, own_network=False)
    for program in (wide, narrow, closed):
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096
        assert verdict(program, calls["read"], code=code) == 0
        assert verdict(program, calls["mount"], code=code) == 1
        assert verdict(program, calls["clone3"], code=code) == 38
        assert verdict(program, calls["clone"], 0x11, code=code) == 0
        assert verdict(program, calls["clone"], 0x10000011, code=code) == 1
        assert verdict(program, calls["read"], code=0x40000003) == 38  # 32-bit programs
        assert verdict(program, calls["socket"], 40, 1, code=code) != 0
    unix, tcp, udp, multipath = (1, 1), (2, 1), (2, 2), (2, 1, 262)
    sockets = {
        program: [
            verdict(program, calls["socket"], *each, code=code) == 0
            for each in (unix, tcp, udp, multipath)
        ]
        for program in (wide, narrow, closed)
    }
    assert sockets == {
        wide: [True, True, True, True],
        narrow: [False, True, False, False],
        closed: [False, False, False, False],
    }
    assert verdict(narrow, calls["limit"], 0, code=code) == 0
    assert verdict(narrow, calls["limit"], 1234, code=code) == 1
    assert verdict(wide, calls["limit"], 1234, code=code) == 0


@pytest.mark.parametrize(
    ("machine", "calls"),
    [
        ("x86_64", {"chmod": 90, "fchmodat": 268, "mknodat": 259, "open": 2, "openat": 257}),
        ("aarch64", {"fchmod": 52, "fchmodat": 53, "mknodat": 33, "openat": 56}),
    ],
)
def test_filter_denies_set_uid_files(machine, calls):
    for program in (syscalls_filter(machine), syscalls_filter(machine, own_network=False)):
        for name, number in calls.items():
            flags = (0x40,) if name.startswith("open") else ()  # O_CREAT
            path = (0, 0) if name.endswith("at") else (0,)
            for mode in (0o4755, 0o2755, 0o6000, 0o104644):
                assert verdict(program, number, *path, *flags, mode, code=CODES[machine]) == 1
            assert verdict(program, number, *path, *flags, 0o1777, code=CODES[machine]) == 0
            if flags:  # without the flag, anything may stand there
                assert verdict(program, number, *path, 0, 0o4755, code=CODES[machine]) == 0
        assert verdict(program, 437, code=CODES[machine]) == 38


def test_board_tells_torn_readings():
    with tempfile.TemporaryFile() as file:
        board = Board(file.fileno())
        assert vars(board.read()) == {}
        board.write(State(pid=7, cpu=1.5, limit="cpu"))
        assert vars(board.read()) == {"pid": 7, "cpu": 1.5, "limit": "cpu"}
        os.pwrite(file.fileno(), b"9", 20)
        assert vars(board.read()) == {}


def test_disk_counts_each_file_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(os.urandom(1 << 20))
    once = disk_usage([str(tmp_path)])
    os.link(tmp_path / "a" / "file", tmp_path / "again")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert 1 << 20 <= once < 1.2 * (1 << 20)
    assert disk_usage([str(tmp_path)]) < once + (1 << 16)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    assert disk_usage([str(tmp_path)]) < once + (1 << 16)
    assert disk_usage([str(tmp_path)], seconds=0) == 0  # time is up at once


def test_disk_says_where_it_could_not_count(tmp_path, monkeypatch):
    def whole() -> bool:
        disk = Disk()
        disk.add(str(tmp_path))
        return disk.whole

    place = tmp_path.joinpath(*["d"] * 120)
    place.mkdir(parents=True)
    (tmp_path / "file").touch()
    assert whole()
    place.joinpath(*["d"] * 20).mkdir(parents=True)
    assert not whole()
    remove_tree(tmp_path / "d")
    assert whole()
    for number in range(10):
        (tmp_path / f"file{number}").touch()
    monkeypatch.setattr(meter, "_MOST_FILES", 10)
    assert not whole()


@linux
def test_disk_counts_what_its_owner_has_hidden(tmp_path):
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "file").write_bytes(b"x" * MIB)
    code = """
        folder = sys.argv[1] + "/shown"
        found = []
        for mode in (0o755, 0o300, 0o400, 0):
            os.chmod(folder, mode)
            disk = meter.Disk()
            disk.add(sys.argv[1])
            found.append((disk.size >= 1 << 20, disk.whole))
        os.chmod(folder, 0o300)
        os.geteuid = lambda: -1  # another's
        disk = meter.Disk()
        disk.add(sys.argv[1])
        print(found, disk.whole)
    """
    assert as_owner(code, tmp_path) == f"{[(True, True)] * 4} False"


@linux
def test_disk_counts_removed_files_that_are_mapped(tmp_path):
    code = """
        import mmap
        os.chdir(sys.argv[1])
        kept = []
        for name, size in (("file", 3 << 20), ("again", 0), ("shared", 1 << 20)):
            with open(name, "w+b") as file:
                file.write(b"x" * size)
                file.flush()
                if size:
                    kept += [mmap.mmap(file.fileno(), 0), mmap.mmap(file.fileno(), 1 << 20)]
            os.unlink(name)
        os.closerange(3, 100)
        disk = meter.Disk()
        disk.add(".")
        disk.add_removed([os.getpid()])
        print(disk.size >> 20)
    """
    assert as_owner(code, tmp_path) == "4"


def test_disk_is_looked_at_often_however_long_it_takes(tmp_path, monkeypatch):
    clock, pauses = [0.0], []

    class Slow(Disk):
        def add(self, folder: str) -> None:
            clock[0] += 1000

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        watching.ended = True

    monkeypatch.setattr(keeper, "Disk", Slow)
    monkeypatch.setattr(keeper, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    with tempfile.TemporaryFile() as file:
        plan = dict.fromkeys(("board", "output", "output_limit", "skip"), file.fileno())
        plan |= {"groups": {}, "limits": {"disk": MIB}, "writable": [str(tmp_path)]}
        watching = Keeper(plan)
        os.close(watching.output.write_end)
        watching._watch_disk()
    assert pauses == [5.0]


DEEP = """
    for number in range(1500):
        os.mkdir("d")
        os.chdir("d")
        if number % 100 == 0:
            open("file", "w").close()
"""


@linux
@pytest.mark.parametrize("name", ["landlock", "none"])
def test_nothing_is_left_of_deep_folders(tmp_path, name):
    code = f"""
    import os
    print(os.environ["TMPDIR"], flush=True)
    os.chdir(os.environ["TMPDIR"])
    {DEEP}
    raise SystemExit(3)
    """
    ended = run_in(sandbox(name), tmp_path, python(code), Limits(wall=WALL))
    assert ended.status == 3
    assert not Path(ended.output.strip()).exists()


@linux
def test_trees_are_removed_whatever_their_owner_did(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "other" / "folder").mkdir(parents=True)
    (tmp_path / "other" / "folder" / "file").write_text("another's")
    code = """
        os.chdir(sys.argv[1] + "/tree")
        os.symlink("../other", "link")
        os.symlink("../../other/folder/file", "link to a file")
        for mode in (0, 0o100, 0o200, 0o300, 0o400, 0o500):
            os.makedirs(f"{mode}/below/file")
            os.symlink("../../other", f"{mode}/link")
            os.chmod(f"{mode}/below", mode)
            os.chmod(f"{mode}", mode)
        os.makedirs("/".join(["e" * 250] * 10))
        for number in range(1500):
            os.mkdir("d")
            os.chdir("d")
        os.chdir(sys.argv[1])
        os.chmod("tree", 0)
        files.remove_tree("tree")
        files.remove_tree("tree")
        print(os.listdir("."), os.listdir("other/folder"))
    """
    assert as_owner(code, tmp_path) == "['other'] ['file']"
    (tmp_path / "link").symlink_to("other")
    with pytest.raises(OSError, match="link"):
        remove_tree(tmp_path / "link")
    assert (tmp_path / "other" / "folder" / "file").read_text() == "another's"


def test_processes_of_other_namespaces_get_no_signal(tmp_path, monkeypatch):
    (tmp_path / "cgroup.procs").write_text("0\n7\n0\n")
    groups = Groups({"pids": str(tmp_path)})
    killed = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(pid))
    groups.kill()
    assert (groups.members(), killed) == ([7], [7])
    monkeypatch.setattr(meter, "_read", lambda path: "0 7" if "/task/" in path else "")
    monkeypatch.setattr(os, "listdir", lambda path: ["1"] if path == "/proc/5/task" else [])
    assert meter.processes_below(5) == [7]


def test_container_is_asked_for_what_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(Container, "_daemon", lambda self: "1")
    (tmp_path / "data" / "private").mkdir(parents=True)
    monkeypatch.setattr(container, "_owner", lambda box: "1000:1000")
    box = Box(
        ["bash", "start.sh"],
        [workspace(tmp_path), Mount(tmp_path / "data", "/data")],
        limits=Limits(memory=1 << 30, processes=64, disk=1 << 20),
        hidden=[tmp_path / "data" / "private"],
        devices=["/dev/nvidia0"],
    )
    arguments = list(
        Container("docker", "image:1", cpus=2).arguments(box, "name", tmp_path / "plan")
    )
    runtime = Path(container.__file__).parent / "runtime"
    assert (
        arguments[: arguments.index("image:1") + 1]
        == textwrap.dedent(
            f"""\
        docker run --rm --name name --hostname box --pull=never --network none --read-only
        --cap-drop ALL --security-opt no-new-privileges --user 1000:1000 --workdir / --ulimit core=0
        --pids-limit=64 --memory=1073741824 --memory-swap=1073741824 --cpus=2
        --tmpfs /tmp:rw,nosuid,nodev,exec,mode=1777,size=1048576 --shm-size=1073741824
        --mount type=bind,source={runtime},target=/run/box/runtime,readonly
        --mount type=bind,source={tmp_path}/plan,target=/run/box/plan,readonly
        --mount type=bind,source={tmp_path}/workspace,target=/workspace
        --mount type=bind,source={tmp_path}/data,target=/data,readonly
        --mount type=bind,source={tmp_path}/plan/empty,target=/data/private,readonly --device /dev/nvidia0 --entrypoint python3 image:1
        """
        ).split()
    )
    assert arguments[-1] == "/run/box/plan/plan"


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_container_runs_a_box(name, tmp_path):
    ended = run_in(sandbox(name), tmp_path, ["sh", "-c", "echo hello; exit 3"])
    assert (ended.status, ended.output) == (3, "hello\n")


@linux
def test_only_groups_of_the_container_itself_are_counted_and_emptied():
    if not parents():
        pytest.skip("control groups cannot be made here")
    group = make_groups(Limits())
    join = [f"echo 0 > {path}/cgroup.procs" for path in group.values()]
    try:
        with (
            tempfile.TemporaryFile() as file,
            subprocess.Popen(
                ["sh", "-c", f"{' && '.join(join)} && echo in && cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as process,
        ):
            assert process.stdout.readline() == b"in\n"
            name = Path(group["memory"]).name
            found = {}
            for named, pid in ((name, process.pid), ("another", process.pid), (name, os.getpid())):
                descriptor = os.dup(file.fileno())
                plan = {"inspect": ["echo", named, str(pid)], "env": dict(os.environ), "groups": {}}
                keeper = Keeper(
                    plan | dict.fromkeys(("board", "output", "output_limit", "skip"), descriptor)
                )
                keeper._find_groups()
                os.close(descriptor)
                os.close(keeper.output.write_end)
                found[named, pid] = keeper.groups and keeper.groups.paths
            assert list(found.values()) == [group, None, None]
            process.stdin.close()
    finally:
        remove_groups(group)


def test_own_package_is_hidden_wherever_it_lies(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "pytest_a2perf"
    package.mkdir(parents=True)
    monkeypatch.setattr(system, "own_files", lambda: [package])
    shown = system.shown_hidden(Box(["true"], [Mount(tmp_path, "/all")]))
    assert shown == [("/all/site-packages/pytest_a2perf", True)]
    below = Box(["true"], [Mount(package, "/toolkit")])
    assert system.shown_hidden(below) == []
