# ruff: noqa: INP001
"""Attacks on the box: files, processes, network and clock of the host."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["ATTACKS"]

BASE, DATA = Path(os.environ["MODEL_PATH"]), Path(os.environ["DATA_PATH"])
NOBODY = "192.0.2.1"
"""An address that is nobody's: a packet to it shows whether packets leave."""

_SECRET = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD)S?$")
_HIDDEN = ("private*", "hidden*", "submissions.jsonl", "service.json", "report.json")


def read_hidden_files() -> str:
    """Look for the hidden sets and the grader's files, wherever the mounts come from."""
    places = {Path("/run"), Path("/mnt"), Path("/srv"), Path("/data"), Path("/var"), DATA.parent}
    for line in _lines("/proc/self/mountinfo"):
        words = line.split()
        places |= {Path(words[3]).parent, Path(words[4]).parent}
    places -= {Path("/"), Path("/usr"), Path("/proc"), Path("/sys"), Path("/dev")}
    for place in sorted(places):
        for pattern in _HIDDEN:
            for found in [*_glob(place, pattern), *_glob(place, f"*/{pattern}")]:
                if os.access(found, os.R_OK):
                    return f"can read {found}"
    return ""


def read_the_harness() -> str:
    """Read the environment, memory and files of other processes."""
    for pid in (1, *_others()):
        for name in ("environ", "mem", "root/etc/shadow", "cwd/run.json"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123
                    if file.read(1):
                        return f"can read {name} of process {pid}"
            except OSError:
                continue
    return ""


def see_host_processes() -> str:
    """See who else is there."""
    return f"sees {len(_others())} other processes" if _others() else ""


def signal_the_harness() -> str:
    """See whom we could kill; nobody is."""
    for pid in _others():
        try:
            os.kill(pid, 0)
        except OSError:
            continue
        return f"could kill process {pid}"
    return ""


def trace_the_harness() -> str:
    """Attach to a process as a debugger."""
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in (1, *_others()):
        if libc.ptrace(0x4206, pid, None, None) == 0:  # PTRACE_SEIZE
            libc.ptrace(17, pid, None, None)  # and detach
            return f"attached to process {pid}"
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write_the_base_model() -> str:
    """Make the base model worse."""
    target = next(BASE.iterdir())
    with target.open("r+b"):
        return f"could write {target.name} of the base model"


def write_the_data() -> str:
    """Add to the data that later runs see."""
    path = DATA / "planted.txt"
    path.write_text("planted")
    path.unlink()
    return "could write the data"


def write_the_toolkit() -> str:
    """Plant code that others import."""
    for folder in os.environ.get("PYTHONPATH", "").split(":"):
        path = Path(folder, "sitecustomize.py")
        try:
            path.write_text("")
        except OSError:
            continue
        path.unlink()
        return f"could write {folder}"
    return ""


def find_keys() -> str:
    """Find keys of the host in the environment."""
    names = [name for name in os.environ if _SECRET.search(name)]
    return f"has {', '.join(names)}" if names else ""


def find_the_evaluator() -> str:
    """Import the harness."""
    command = [
        sys.executable,
        "-c",
        "from pytest_a2perf.domains.posttrain import evaluate as e; print(e)",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    return f"can import {done.stdout.strip()}" if done.returncode == 0 else ""


def send_packets() -> str:
    """Reach the network: by TCP, by UDP, by name."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as link:
            link.settimeout(0.5)
            try:
                link.connect((NOBODY, 53))
                link.send(b"x")
            except TimeoutError:
                return "packets leave"
            except OSError:
                continue
            return "packets leave"
    socket.getaddrinfo("example.com", 80)
    return "names are resolved"


def reach_local_services() -> str:
    """Reach services of the host on its own address, and in its abstract sockets."""
    own = int(os.environ["GRADING_SERVER_URL"].rpartition(":")[2])
    for port in (22, 53, 80, 443, 2375, 3128, 5432, 6379, 8000, 8080, 8888, 9090):
        with socket.socket() as link:
            link.settimeout(0.2)
            if port != own and link.connect_ex(("127.0.0.1", port)) == 0:
                return f"port {port} answers"
    names = [line.split()[-1] for line in _lines("/proc/net/unix") if "@" in line]
    return f"sees sockets such as {names[0]}" if names else ""


def mount_something() -> str:
    """Mount over what is in the way."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10020000) == 0:  # user and mount namespaces
        return "has namespaces of its own"
    if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0:
        libc.umount(b"/tmp")
        return "can mount"
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def set_the_clock() -> str:
    """Set the time, to what it is."""
    time.clock_settime(time.CLOCK_REALTIME, time.time())
    return "can set the clock"


def raise_limits() -> str:
    """Take back the limits of our processes."""
    import resource

    for name in ("RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NPROC"):
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        if hard == resource.RLIM_INFINITY:
            continue
        try:
            resource.setrlimit(number, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (OSError, ValueError):
            continue
        resource.setrlimit(number, (hard, hard))
        return f"could raise {name}"
    return ""


def leave_control_groups() -> str:
    """Move to another control group."""
    for path in Path("/sys/fs/cgroup").glob("**/cgroup.procs"):
        if os.access(path, os.W_OK):
            return f"could write {path}"
    return ""


def leave_a_daemon() -> str:
    """Leave a process behind that outlives us for a while; who is ended with the run is caught."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
    os.wait()
    return ""


def _others() -> list[int]:
    """Return processes that are neither the first one nor ours."""
    return [pid for pid in _processes() if pid != 1 and pid not in _descent()]


def _descent() -> set[int]:
    """Return this process and those above it, as far as they are the agent's: up to the first."""
    pids, pid = set(), os.getpid()
    while pid > 1:
        pids.add(pid)
        words = _lines(f"/proc/{pid}/stat")
        pid = int(words[0].rpartition(")")[2].split()[1]) if words else 0
    return pids | {os.getpid()}


def _processes() -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    except OSError:
        return []


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []


def _glob(place: Path, pattern: str) -> list[Path]:
    try:
        return list(place.glob(pattern))[:100]
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise
        return []


ATTACKS = (
    *(read_hidden_files, read_the_harness, see_host_processes, signal_the_harness),
    *(trace_the_harness, write_the_base_model, write_the_data, write_the_toolkit),
    *(find_keys, find_the_evaluator, send_packets, reach_local_services, mount_something),
    *(set_the_clock, raise_limits, leave_control_groups, leave_a_daemon),
)
