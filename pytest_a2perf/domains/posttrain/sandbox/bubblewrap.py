"""Sandboxes by bubblewrap: namespaces of their own, and a file system put together for each box."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.sandbox import system
from pytest_a2perf.domains.posttrain.sandbox.cgroups import parents, spare_tasks
from pytest_a2perf.domains.posttrain.sandbox.running import (
    RUNTIME,
    KeptBox,
    Recipe,
    launch_plan,
    program,
    readable,
)
from pytest_a2perf.domains.posttrain.sandbox.seccomp import syscalls_filter
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Mount

__all__ = ["Bubblewrap"]

_RUNTIME_INSIDE = "/run/box"
_TEMPORARY = 1 << 30
"""Bytes of ``/tmp`` and of ``/dev/shm``, where no lower limit is given."""

_COVERED = (
    "acpi",
    "asound",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "sysrq-trigger",
    "timer_list",
)
"""Of ``/proc``, what tells of the host or is privileged."""


class Bubblewrap:
    """Boxes in namespaces of their own; see `spec.Sandbox`.

    User, process, mount, network, IPC, host name and control group namespaces, no capabilities, no
    new privileges, a filter of system calls. What remains: ``/proc/self/mountinfo`` names the
    folders of the host that mounts come from (not what lies beside them), and the kernel is shared.
    A box with `network` shares the host's network, abstract unix sockets included.
    """

    name = "bubblewrap"
    isolated = True

    def __init__(self, *, groups: bool = True) -> None:
        self._grouped = groups and bool(parents())
        found = shutil.which("bwrap")
        if found is None:
            raise SandboxError("bubblewrap is not installed: install the package `bubblewrap`")
        self._bwrap = found
        version = subprocess.run(  # noqa: S603
            [found, "--version"], capture_output=True, text=True, check=False, timeout=30
        )
        self._version = version.stdout.split()[-1] if version.stdout else "?"
        self.details = {
            "bubblewrap": self._version,
            "limits": "cgroup" if self._grouped else "rlimits and watchdog",
            "filter": "seccomp",
        }

    def start(self, box: Box, output: IO[bytes]) -> KeptBox:
        """Start a box whose stdout and stderr go to ``output``.

        Raises:
            SandboxError: it cannot be started.
        """
        status = os.pipe()
        files = _Files()
        env = system.inside(box.env)
        plan = launch_plan(box, status[1], grouped=self._grouped, env=env)
        if box.limits.processes is not None and os.getuid() != 0:  # root is never refused
            plan["rlimits"]["RLIMIT_NPROC"] = box.limits.processes + spare_tasks() + 2
        first = program("launch", files.add(plan), _RUNTIME_INSIDE)
        arguments = [
            *self._namespaces(box),
            *_file_system(box, files, sized=_number(self._version) >= (0, 7)),
            *("--seccomp", str(files.add(syscalls_filter()))),
            *("--chdir", "/"),
        ]
        text = b"".join(os.fsencode(argument) + b"\0" for argument in arguments)
        recipe = Recipe(
            name=self.name,
            grouped=self._grouped,
            argv=[self._bwrap, "--args", str(files.add(text)), "--", *first],
            fds=files.numbers,
            skip=2,
            writable=[mount.source for mount in box.mounts if mount.writable],
            counted=os.getuid() != 0,
        )
        return KeptBox.start(recipe, box.limits, status, output)

    def _namespaces(self, box: Box) -> list[str]:
        arguments = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
        arguments += ["--as-pid-1", "--uid", "1000", "--gid", "1000", "--hostname", "box"]
        arguments += ["--cap-drop", "ALL", "--clearenv"]
        if box.network:
            arguments.append("--share-net")
        if _number(self._version) >= (0, 8):
            arguments.append("--disable-userns")
        return arguments


class _Files:
    """Descriptors that bubblewrap reads from."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def add(self, data: object) -> int:
        self.numbers.append(readable(data))
        return self.numbers[-1]


def _file_system(box: Box, files: _Files, *, sized: bool) -> Iterator[str]:
    """Mounts in their order: parents first, and what is hidden covered at once.

    Args:
        box: see `Box`.
        files: see `_Files`.
        sized: whether this version can limit ``/tmp``; else they count as memory alone.
    """

    def limited(limit: int | None) -> list[str]:
        return ["--size", str(_at_most(_TEMPORARY, limit))] if sized else []

    yield from ("--proc", "/proc", "--dev", "/dev")
    for name in _COVERED:
        if Path("/proc", name).is_dir():
            yield from ("--tmpfs", f"/proc/{name}", "--remount-ro", f"/proc/{name}")
        elif Path("/proc", name).exists():
            yield from ("--ro-bind", "/dev/null", f"/proc/{name}")
    yield from ("--ro-bind", "/proc/sys", "/proc/sys")
    yield from (*limited(box.limits.memory), "--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108
    yield from (*limited(box.limits.disk), "--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108
    yield from ("--dir", "/var", "--symlink", "/tmp", "/var/tmp", "--dir", "/run")  # noqa: S108
    for path in system.SYSTEM:
        if Path(path).is_symlink():
            yield from ("--symlink", str(Path(path).readlink()), path)
    for path, text in system.etc_files(box).items():
        if not (box.network and path == "/etc/hosts"):
            yield from ("--perms", "0444", "--ro-bind-data", str(files.add(text.encode())), path)
    mounts = [*system_mounts(box), *box.mounts]
    covered = dict(system.shown_hidden(box, system_mounts(box)))
    for mount in sorted(mounts, key=lambda mount: Path(mount.target).parts):
        yield from ("--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target)
        for path in [path for path in covered if Path(path).is_relative_to(mount.target)]:
            folder = covered[path]
            yield from (("--tmpfs", path) if folder else ("--ro-bind", "/dev/null", path))
    for device in box.devices:
        yield from ("--dev-bind", device, device)
    for path, folder in covered.items():
        if folder:
            yield from ("--remount-ro", path)
    yield from ("--remount-ro", "/dev", "--remount-ro", "/proc", "--remount-ro", "/")


def system_mounts(box: Box) -> list[Mount]:
    """Return mounts of the system for a box: programs, libraries, Python, certificates."""
    paths = [path for path in system.SYSTEM if Path(path).exists() and not Path(path).is_symlink()]
    paths += [path for path in system.CONFIGURATION if Path(path).exists()]
    paths += map(str, system.python_folders())
    if box.network:
        paths += ["/etc/resolv.conf", "/etc/hosts"]
    if box.devices:
        paths += ["/sys"]
    mounts = [Mount(Path(os.path.realpath(path)), path) for path in paths]
    return [*mounts, Mount(RUNTIME, f"{_RUNTIME_INSIDE}/runtime")]


def _at_most(size: int, limit: int | None) -> int:
    return size if limit is None else min(size, limit)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
