"""Ways out of the sandboxes, tried in earnest; none must lead anywhere."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from posttrain_boxes import ISOLATED, python, run_in, sandbox, start, wait_for, workspace

import pytest_a2perf
from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.sandbox.container import Container
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Mount, Sandbox

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="the sandboxes are Linux's, and the numbers of system calls are those of x86_64",
)

# Prints a JSON object: what was tried -> what came of it, "no" if it failed.
TRY = """
import ctypes, json, os, socket, sys
found = {}
def attempt(name, action):
    try:
        found[name] = repr(action())
    except (OSError, ValueError, AttributeError) as error:
        found[name] = "no"
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result
def text(path):
    with open(path, "rb") as file:
        return file.read()
def processes():
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
def change(path):
    with open(path, "r+b") as file:
        file.write(b"changed")
"""
SAY = "\nprint(json.dumps(found))\n"


@pytest.fixture(params=ISOLATED)
def box_in(request) -> Sandbox:
    return sandbox(request.param)


def attempts(box_in: Sandbox, folder: Path, code: str, *arguments, **about) -> dict[str, str]:
    ended = run_in(box_in, folder, python(TRY + code + SAY, *arguments), **about)
    assert ended.status == 0, ended.output
    return json.loads(ended.output)


def told(output: str) -> dict[str, str]:
    # Containers pass the two streams on apart from each other.
    (found,) = (line for line in output.splitlines() if line.startswith("{"))
    return json.loads(found)


def nothing_came_of(found: dict[str, str]) -> bool:
    assert found
    assert {name: result for name, result in found.items() if result != "no"} == {}
    return True


def test_files_of_the_host_cannot_be_read(box_in, tmp_path):
    (tmp_path / "hidden").mkdir()
    secret = tmp_path / "hidden" / "private.json"
    secret.write_text("secret")
    code = """
secret = bytes.fromhex(sys.argv[1]).decode()
attempt("directly", lambda: text(secret))
attempt("listing", lambda: os.listdir(os.path.dirname(secret)))
attempt("upwards", lambda: text("/workspace/../hidden/private.json"))
attempt("upwards from here", lambda: text("../hidden/private.json"))
os.symlink(secret, "link")
attempt("through a link", lambda: text("link"))
attempt("hard link", lambda: os.link(secret, "hard"))
attempt("move", lambda: os.rename(secret, "moved"))
attempt("remove", lambda: os.unlink(secret))
attempt("cut", lambda: os.truncate(secret, 0))
attempt("root of init", lambda: text("/proc/1/root" + secret))
attempt("folder of the parent", lambda: text(f"/proc/{os.getppid()}/cwd/{secret}"))
attempt("shadow", lambda: text("/etc/shadow"))
attempt("home", lambda: os.listdir(os.path.expanduser("~root") + "/.ssh"))
"""
    # In hexadecimal, or Landlock's boxes would have it replaced as a path of /tmp.
    found = attempts(box_in, tmp_path, code, str(secret).encode().hex())
    if isinstance(box_in, Container):
        del found["shadow"]  # the image's own, not the host's
    assert nothing_came_of(found)
    assert secret.read_text() == "secret"


def test_hidden_paths_are_not_seen_through_mounts(box_in, tmp_path):
    shown = tmp_path / "data"
    (shown / "private").mkdir(parents=True)
    (shown / "train.json").write_text("train")
    (shown / "private" / "a.json").write_text("secret")
    (shown / "answers.json").write_text("secret")
    code = """
attempt("folder", lambda: text(os.environ["DATA"] + "/private/a.json"))
attempt("file", lambda: text(os.environ["DATA"] + "/answers.json").strip() or 1 / 0)
print(text(os.environ["DATA"] + "/train.json").decode(), file=sys.stderr)
"""
    code = code.replace("1 / 0", 'int("")')
    ended = run_in(
        box_in,
        tmp_path,
        python(TRY + code + SAY),
        mounts=[Mount(shown, "/data")],
        hidden=[shown / "private", shown / "answers.json"],
        env={"DATA": "/data"},
    )
    assert "train" in ended.output
    assert nothing_came_of(told(ended.output))


def test_links_in_mounts_lead_nowhere_beside_hidden_files_either(box_in, tmp_path):
    shown = tmp_path / "data"
    (shown / "private").mkdir(parents=True)
    (tmp_path / "outside").write_text("secret")
    (shown / "link").symlink_to(tmp_path / "outside")
    code = 'attempt("link", lambda: text(os.environ["DATA"] + "/link"))'
    mounts, env = [Mount(shown, "/data")], {"DATA": "/data"}
    found = attempts(box_in, tmp_path, code, mounts=mounts, env=env, hidden=[shown / "private"])
    assert nothing_came_of(found)


def test_what_is_hidden_cannot_be_mounted(box_in, tmp_path):
    (tmp_path / "hidden").mkdir()
    mounts = [Mount(tmp_path / "hidden", "/data")]
    with pytest.raises(SandboxError, match="is to be hidden"):
        run_in(box_in, tmp_path, ["true"], mounts=mounts, hidden=[tmp_path / "hidden"])


def test_this_package_is_not_there(box_in, tmp_path):
    code = "import importlib.util as u; assert u.find_spec('numpy'); import pytest_a2perf.plugin"
    if isinstance(box_in, Container):
        code = code.replace("numpy", "json")  # the image's Python has only what it comes with
    ended = run_in(box_in, tmp_path, [sys.executable, "-c", code])
    assert ended.status == 1
    assert "No module named 'pytest_a2perf" in ended.output


def test_this_package_is_there_where_it_is_mounted(box_in, tmp_path):
    package = Path(pytest_a2perf.__file__).parent
    code = "import os, runpy; runpy.run_path(os.environ['PACKAGE'] + '/errors.py')"
    ended = run_in(
        box_in,
        tmp_path,
        [sys.executable, "-c", code],
        mounts=[Mount(package, "/run/package")],
        env={"PACKAGE": "/run/package"},
    )
    assert ended.status == 0, ended.output


def test_environment_of_the_harness_is_not_seen(box_in, tmp_path, monkeypatch):
    monkeypatch.setenv("A2PERF_TEST_KEY", "key-of-the-host")
    code = """
found["own"] = str(dict(os.environ))
for pid in ["1", "self", str(os.getppid()), *processes(), *sys.argv[1:]]:
    try:
        found[pid] = repr(text(f"/proc/{pid}/environ") + text(f"/proc/{pid}/cmdline"))
    except OSError:
        pass
"""
    found = attempts(box_in, tmp_path, code, str(os.getpid()), env={"GIVEN": "yes"})
    assert "GIVEN" in found["own"]
    assert "key-of-the-host" not in str(found)
    # Nor is what stands above the workspace named in anyone's arguments.
    assert str(tmp_path) not in str({name: value for name, value in found.items() if name == "1"})


def test_read_only_mounts_stay_as_they_are(box_in, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    (base / "model.bin").write_text("weights")
    code = """
base = os.environ["MODEL_PATH"]
attempt("change", lambda: change(base + "/model.bin"))
attempt("cut", lambda: os.truncate(base + "/model.bin", 0))
attempt("add", lambda: open(base + "/new", "w"))
attempt("remove", lambda: os.unlink(base + "/model.bin"))
attempt("rename", lambda: os.rename(base + "/model.bin", base + "/other"))
attempt("replace", lambda: os.rename(base, base + "2"))
attempt("link", lambda: os.link(base + "/model.bin", "hard"))
os.symlink(base + "/model.bin", "soft")
attempt("through a link", lambda: change("soft"))
attempt("map", lambda: __import__("mmap").mmap(os.open(base + "/model.bin", os.O_RDWR), 0))
attempt("descriptor", lambda: change("/proc/self/fd/%d" % os.open(base + "/model.bin", 0)))
attempt("remount", lambda: call(165, b"none", base.encode(), b"", 32, b""))
attempt("python", lambda: open(os.path.dirname(os.__file__) + "/os.py", "a"))
attempt("programs", lambda: open("/usr/bin/evil", "w"))
attempt("configuration", lambda: open("/etc/passwd", "a"))
attempt("root", lambda: open("/evil", "w"))
"""
    mounts, env = [Mount(base, "/models/base")], {"MODEL_PATH": "/models/base"}
    assert nothing_came_of(attempts(box_in, tmp_path, code, mounts=mounts, env=env))
    assert (base / "model.bin").read_text() == "weights"
    assert [path.name for path in base.iterdir()] == ["model.bin"]


def test_links_out_of_the_workspace_lead_nowhere(box_in, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("host")
    workspace(tmp_path)
    (tmp_path / "workspace" / "link").symlink_to(outside)
    code = """
attempt("read", lambda: text("link"))
attempt("write", lambda: change("link"))
"""
    assert nothing_came_of(attempts(box_in, tmp_path, code))
    assert outside.read_text() == "host"


@pytest.fixture
def services(tmp_path) -> Iterator[dict[str, object]]:
    """Services of the host: TCP, UDP, a unix socket with a path, one without; and who called."""
    called: list[str] = []
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    named, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    path = tmp_path / "s"
    with contextlib.chdir(tmp_path):  # paths of sockets are short
        named.bind("s")
    abstract.bind(f"\0a2perf-test-{os.getpid()}")
    for listener in (named, abstract):
        listener.listen()
    for each in (tcp, udp, named, abstract):
        each.settimeout(0)
    yield {
        "tcp": tcp.getsockname()[1],
        "udp": udp.getsockname()[1],
        "path": str(path),
        "abstract": f"a2perf-test-{os.getpid()}",
        "sockets": {"tcp": tcp, "udp": udp, "path": named, "abstract": abstract},
        "called": called,
    }
    for each in (tcp, udp, named, abstract):
        each.close()


def test_network_cannot_be_reached(box_in, tmp_path, services, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = """
tcp, udp, path, abstract = int(sys.argv[1]), int(sys.argv[2]), *(
    bytes.fromhex(part).decode() for part in sys.argv[3:]
)
def tcp_to(*address, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
    with socket.socket(family, kind, protocol) as client:
        client.settimeout(3)
        client.connect(*address)
def fast(port):
    with socket.socket() as client:
        client.sendto(b"x", 0x20000000, ("127.0.0.1", port))
def datagram(*address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", *address)
attempt("tcp", lambda: tcp_to(("127.0.0.1", tcp)))
attempt("tcp 6", lambda: tcp_to(("::1", tcp), family=socket.AF_INET6))
attempt("tcp 6 to 4", lambda: tcp_to(("::ffff:127.0.0.1", tcp), family=socket.AF_INET6))
attempt("any address", lambda: tcp_to(("0.0.0.0", tcp)))
attempt("fast open", lambda: fast(tcp))
attempt("multipath", lambda: tcp_to(("127.0.0.1", tcp), protocol=262))
attempt("outside", lambda: tcp_to(("192.0.2.1", 80)))
attempt("outside 6", lambda: tcp_to(("2001:db8::1", 80), family=socket.AF_INET6))
attempt("unix", lambda: tcp_to(path, family=socket.AF_UNIX))
attempt("abstract", lambda: tcp_to("\\0" + abstract, family=socket.AF_UNIX))
attempt("names", lambda: socket.getaddrinfo("example.org", 80))
attempt("packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("audit", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9))
attempt("events", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15))
attempt("hypervisor", lambda: socket.socket(40, socket.SOCK_STREAM))
attempt("crypto", lambda: socket.socket(38, socket.SOCK_SEQPACKET))
attempt("docker", lambda: tcp_to("/run/docker.sock", family=socket.AF_UNIX))
try:
    datagram(("127.0.0.1", udp))
    datagram(("192.0.2.1", 53))
except OSError:
    pass
"""
    arguments = [str(services["tcp"]), str(services["udp"])]
    arguments += [str(services[name]).encode().hex() for name in ("path", "abstract")]
    found = attempts(box_in, tmp_path, code, *arguments)
    assert nothing_came_of(found)
    for name, listener in services["sockets"].items():
        with pytest.raises(BlockingIOError):
            listener.recv(1) if name == "udp" else listener.accept()


@pytest.mark.slow
def test_only_the_forwarded_port_is_reached(box_in, tmp_path, services):
    with socket.create_server(("127.0.0.1", 0)) as other, service(tmp_path / "g") as path:
        code = """
import urllib.request as r
print(r.urlopen(os.environ["URL"], timeout=60).read().decode(), file=sys.stderr)
def tcp_to(port):
    with socket.socket() as client:
        client.settimeout(3)
        client.connect(("127.0.0.1", port))
def fast(port):
    with socket.socket() as client:
        client.sendto(b"x", 0x20000000, ("127.0.0.1", port))
attempt("other", lambda: tcp_to(int(sys.argv[1])))
attempt("fast open", lambda: fast(int(sys.argv[1])))
"""
        ended = run_in(
            box_in,
            tmp_path,
            python(TRY + code + SAY, str(other.getsockname()[1])),
            mounts=[Mount(path.parent, "/run/grader")],
            env={"URL": "http://127.0.0.1:5000/health"},
            forward={5000: "/run/grader/socket"},
        )
    assert "answered /health" in ended.output, ended.output
    assert nothing_came_of(told(ended.output))


@contextlib.contextmanager
def service(folder: Path) -> Iterator[Path]:
    """Serve HTTP on a unix socket."""
    from http.server import BaseHTTPRequestHandler
    from socketserver import ThreadingUnixStreamServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"answered {self.path}".encode())

        def log_message(self, *arguments):
            pass

        def address_string(self):
            return ""

    folder.mkdir()
    with contextlib.chdir(folder):
        server = ThreadingUnixStreamServer("socket", Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield folder / "socket"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["landlock", "none"])
def test_connections_do_not_use_up_the_keeper(name, tmp_path):
    code = """
import os, socket, time, urllib.request
address = os.environ["URL"].split("/")[2].split(":")
held = []
for _ in range(400):
    held.append(socket.socket())
    held[-1].setblocking(False)
    held[-1].connect_ex((address[0], int(address[1])))
open("held", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
for each in held:
    each.close()
print(urllib.request.urlopen(os.environ["URL"], timeout=60).read().decode())
"""
    with service(tmp_path / "g") as path, tempfile.TemporaryFile() as output:
        box = Box(
            python(code),
            [workspace(tmp_path), Mount(path.parent, "/run/grader")],
            env={"URL": "http://127.0.0.1:5000/health"},
            folder="/workspace",
            forward={5000: "/run/grader/socket"},
        )
        running = start(sandbox(name), box, output)
        keeper, place = psutil.Process(running._keeper.pid), tmp_path / "workspace"
        try:
            wait_for((place / "held").exists)
            wait_for(lambda: keeper.num_fds() > 2 * 128)
            time.sleep(1)
            assert keeper.num_fds() < 2 * 128 + 50
            assert keeper.num_threads() < 2 * 128 + 10
            (place / "go").touch()
            assert running.wait(120) == 0
        finally:  # or the service would wait for its clients
            running.stop(0)
        output.seek(0)
        assert output.read() == b"answered /health\n"


def test_processes_of_the_host_are_out_of_reach(box_in, tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as victim:
        code = """
import signal
pid, harness = map(int, sys.argv[1:])
for name, target in (("victim", pid), ("harness", harness)):
    attempt(f"stop {name}", lambda: os.kill(target, signal.SIGSTOP))
    attempt(f"look at {name}", lambda: text(f"/proc/{target}/status"))
    attempt(f"memory of {name}", lambda: text(f"/proc/{target}/maps"))
    attempt(f"trace {name}", lambda: call(101, 16, target, 0, 0))
    attempt(f"read {name}", lambda: call(310, target, 0, 0, 0, 0, 0))
    attempt(f"limit {name}", lambda: __import__("resource").prlimit(target, 4, (9, 9)))
    attempt(f"pin {name}", lambda: os.sched_setaffinity(target, {0}))
    attempt(f"schedule {name}", lambda: os.sched_setscheduler(target, 3, os.sched_param(0)))
attempt("stop parent", lambda: call(62, os.getppid(), 19) if os.getppid() > 1 else text(""))
attempt("trace own child", lambda: call(101, 0, 0, 0, 0))
attempt("scheduling", lambda: os.setpriority(os.PRIO_PROCESS, harness, 19))
found["seen"] = "yes" if len(processes()) > 3 else "no"
"""
        found = attempts(box_in, tmp_path, code, str(victim.pid), str(os.getpid()))
        assert nothing_came_of(found)
        assert psutil.Process(victim.pid).status() != psutil.STATUS_STOPPED
        victim.stdin.close()


def test_kernel_interfaces_are_closed(box_in, tmp_path):
    code = """
import time
attempt("mount", lambda: call(165, b"none", b"/workspace", b"tmpfs", 0, b""))
attempt("unmount", lambda: call(166, b"/usr", 2))
attempt("new mount", lambda: call(430, b"tmpfs", 0))
attempt("open tree", lambda: call(428, -100, b"/", 1))
attempt("pivot", lambda: call(155, b".", b"."))
attempt("chroot", lambda: os.chroot("."))
attempt("user namespace", lambda: call(272, 0x10000000))
attempt("mount namespace", lambda: call(272, 0x20000))
attempt("process namespace", lambda: call(56, 0x30000011, 0, 0, 0, 0))
attempt("clone3", lambda: call(435, b"\\0" * 88, 88))
attempt("join namespace", lambda: call(308, os.open("/proc/1/ns/net", 0), 0))
attempt("clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
attempt("clock 2", lambda: call(164, b"\\0" * 16, None))
attempt("host name", lambda: socket.sethostname("evil"))
attempt("keyring", lambda: call(248, b"user", b"name", b"x", 1, -3))
attempt("session keyring", lambda: call(250, 1, b"name"))
attempt("bpf", lambda: call(321, 0, b"\\0" * 72, 72))
attempt("perf", lambda: call(298, b"\\0" * 128, 0, -1, -1, 0))
attempt("faults", lambda: call(323, 0))
attempt("io_uring", lambda: call(425, 1, b"\\0" * 120))
attempt("handle", lambda: call(304, -100, b"\\0" * 16, 0))
attempt("module", lambda: call(175, b"", 0, b""))
attempt("reboot", lambda: call(169, 0xfee1dead, 672274793, 0, 0))
attempt("kernel log", lambda: call(103, 3, ctypes.create_string_buffer(10), 10))
attempt("32-bit convention", lambda: call(0x40000000 + 39))
attempt("device", lambda: os.mknod("device", 0o60666, os.makedev(254, 0)))
attempt("terminal", lambda: call(16, 0, 0x5412, b"x"))
for path in ("kernel/core_pattern", "kernel/sysrq", "vm/drop_caches", "kernel/hostname"):
    attempt(path, lambda: open("/proc/sys/" + path, "w").write("1"))
attempt("sysrq", lambda: open("/proc/sysrq-trigger", "w"))
attempt("kernel memory", lambda: open("/proc/kcore", "rb"))
attempt("kernel messages", lambda: open("/dev/kmsg", "rb"))
attempt("physical memory", lambda: open("/dev/mem", "rb"))
attempt("keys", lambda: text("/proc/keys") or int(""))
attempt("groups", lambda: os.mkdir("/sys/fs/cgroup/evil"))
attempt("other user", lambda: os.setuid(0) if os.getuid() else os.setuid(1))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, -10))
attempt("raise a limit", lambda: __import__("resource").setrlimit(4, (1, 1)))
attempt("disk", lambda: [open("/dev/" + d, "rb") for d in ("vda", "sda", "nvme0n1", "loop0")][0])
try:
    status = text("/proc/self/status").decode()
except OSError:
    status = ""
for line in status.splitlines():
    name, _, value = line.partition(":")
    if name in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
        found[name] = "no" if int(value, 16) == 0 else value
    if name in ("NoNewPrivs", "Seccomp"):
        found[name] = "no" if int(value) > 0 else value
"""
    assert nothing_came_of(attempts(box_in, tmp_path, code, env={"A": "b"}))


def test_setuid_programs_gain_nothing(box_in, tmp_path):
    workspace(tmp_path)
    program = tmp_path / "workspace" / "program"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    ended = run_in(box_in, tmp_path, ["./program"])
    assert ended.status == 0
    assert "euid" not in ended.output


def test_no_set_uid_files_are_left_on_the_host(box_in, tmp_path):
    code = """
os.umask(0)
for mode in (0o4755, 0o2755, 0o6777):
    name = f"file{mode}"
    with open(name, "w") as file:
        attempt(f"{mode} open file", lambda: os.fchmod(file.fileno(), mode))
    attempt(f"{mode} file", lambda: os.chmod(name, mode))
    attempt(f"{mode} relative", lambda: call(268, -100, name.encode(), mode))
    attempt(f"{mode} without links", lambda: call(452, -100, name.encode(), mode, 0))
    attempt(f"{mode} new", lambda: os.open(f"new{mode}", os.O_CREAT | os.O_WRONLY, mode))
    attempt(f"{mode} new, old call", lambda: call(2, b"new2", os.O_CREAT | os.O_WRONLY, mode))
    attempt(f"{mode} nameless", lambda: os.open(".", os.O_TMPFILE | os.O_WRONLY, mode))
    attempt(f"{mode} creat", lambda: call(85, b"new3", mode))
    attempt(f"{mode} node", lambda: os.mknod(f"new4{mode}", 0o100000 | mode))
    attempt(f"{mode} node, old call", lambda: call(133, b"new5", 0o100000 | mode, 0))
attempt("by a structure", lambda: call(437, -100, b"new6", (0o101).to_bytes(8, "little")
    + (0o4755).to_bytes(8, "little") + bytes(8), 24))
os.chmod("file" + str(0o4755), 0o755)
os.mkdir("shared")
os.chmod("shared", 0o1777)
"""
    assert nothing_came_of(attempts(box_in, tmp_path, code))
    made = {path.name: path.stat().st_mode for path in (tmp_path / "workspace").iterdir()}
    assert {name: mode for name, mode in made.items() if mode & 0o6000} == {}
    assert made[f"file{0o4755}"] & 0o7777 == 0o755
    assert made["shared"] & 0o7777 == 0o1777


def test_output_cannot_be_changed_afterwards(box_in, tmp_path):
    code = """
print("said", flush=True)
for path in ("/proc/self/fd/1", "/dev/stdout", "/dev/fd/1"):
    try:
        os.truncate(path, 0)
    except OSError:
        pass
try:
    os.ftruncate(1, 0)
    os.lseek(1, 0, 0)
except OSError:
    pass
print("more")
"""
    ended = run_in(box_in, tmp_path, python("import os\n" + code))
    assert ended.output.split() == ["said", "more"]
