"""Sandboxes by Landlock: no namespaces, but files, TCP and signals are confined by the kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.sandbox import system
from pytest_a2perf.domains.posttrain.sandbox.cgroups import parents
from pytest_a2perf.domains.posttrain.sandbox.outside import Outside, start_outside
from pytest_a2perf.domains.posttrain.sandbox.running import KeptBox
from pytest_a2perf.domains.posttrain.sandbox.runtime.confine import (
    EXECUTE,
    LIST,
    READ,
    WRITE,
    Rules,
    landlock_version,
)
from pytest_a2perf.domains.posttrain.sandbox.seccomp import supported, syscalls_filter
from pytest_a2perf.domains.posttrain.sandbox.spec import Box

__all__ = ["Landlock"]

_NEEDED = 6
_ALSO_READ = (
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/filesystems",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class Landlock:
    """Boxes without namespaces; see `spec.Sandbox`.

    It needs no privileges and works inside ordinary containers. Paths inside cannot differ from
    the host's: those that stand in command, environment and folder are replaced (`outside`), so
    programs must go by their environment. Forwarded ports are others than asked for, likewise.
    There are no sockets but TCP to these ports, no unix sockets but pairs, no shared memory by
    name, and no ``/proc/self``. What remains: names, sizes and times of the host's files can be
    asked for where their folder's permissions let anyone, and where the box runs as their owner,
    permissions and times can be changed (not contents).
    """

    name = "landlock"
    isolated = True

    def __init__(self, *, groups: bool = True) -> None:
        self._grouped = groups and bool(parents())
        version = landlock_version()
        if version < _NEEDED:
            raise SandboxError(
                f"Landlock of version {_NEEDED} or later is needed (Linux 6.12, enabled in the "
                f"kernel's `lsm=`), here it is {version or 'not there'}"
            )
        if not supported():
            raise SandboxError("the filter of system calls knows only x86_64 and aarch64")
        self.details = {
            "landlock": str(version),
            "limits": "cgroup" if self._grouped else "rlimits and watchdog",
            "filter": "seccomp",
        }

    def start(self, box: Box, output: IO[bytes]) -> KeptBox:
        """Start a box whose stdout and stderr go to ``output``.

        Raises:
            SandboxError: it cannot be started.
        """
        if box.network:
            raise SandboxError("landlock offers no network; use bubblewrap, or leave it off")
        system.shown_hidden(box)

        def confine(outside: Outside) -> dict[str, Any]:
            rules: Rules = {"paths": list(_paths(box, outside.temporary)), "ports": outside.ports}
            program = syscalls_filter(own_network=False, tcp=bool(outside.ports))
            return {"landlock": rules, "filter": program.hex()}

        return start_outside(self.name, box, output, grouped=self._grouped, confine=confine)


def _paths(box: Box, temporary: Path) -> Iterator[tuple[str, int]]:
    """Return what may be read, run and written; hidden files are left out by their siblings."""
    hidden = {Path(os.path.realpath(path)) for path in (*box.hidden, *system.own_files())}
    folders = [*system.SYSTEM, *system.CONFIGURATION, *map(str, system.python_folders())]
    for name in folders:
        for path, rights in _around(Path(os.path.realpath(name)), hidden, listed=True):
            yield path, rights | EXECUTE
    for name in _ALSO_READ:
        if Path(name).exists():
            yield name, READ
    for name in (*_DEVICES, *box.devices):
        yield name, READ | WRITE
    yield str(temporary), READ | WRITE | EXECUTE
    for mount in box.mounts:
        source = Path(os.path.realpath(mount.source))
        others = hidden - {source}  # what is mounted is meant to be seen
        if mount.writable and any(part.is_relative_to(source) for part in others):
            raise SandboxError(f"landlock cannot hide files below {source}, which is writable")
        for path, rights in _around(source, others, listed=False):
            yield path, rights | EXECUTE | (WRITE if mount.writable else 0)


def _around(path: Path, hidden: set[Path], *, listed: bool) -> Iterator[tuple[str, int]]:
    """Return a path, or all of its parts but the hidden ones, with the right to read them.

    Links are followed in listed folders, the system's; in others, anybody may have made them.
    """
    above = {parent for part in hidden for parent in part.parents}
    waiting, seen = [path], set()
    while waiting:
        place = waiting.pop()
        if place in hidden or place in seen or not place.exists():
            continue
        seen.add(place)
        if place not in above:
            yield str(place), READ
            continue
        if listed:  # modules are found by listing their folder; the names of hidden ones show
            yield str(place), LIST
        for child in place.iterdir():
            if not child.is_symlink():
                waiting.append(child)
            elif listed:
                target = Path(os.path.realpath(child))
                waiting += [target] if hidden.isdisjoint(target.parents) else []
