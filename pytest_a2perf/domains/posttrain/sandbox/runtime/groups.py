"""Control groups of Linux, versions 1 and 2: what is used in them, and how to empty them."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from .files import passed_over

__all__ = ["NEEDED", "Groups", "groups_of", "hierarchies"]

NEEDED = {"memory": "memory", "pids": "pids", "cpu": "cpuacct"}
"""What is measured, and the controller that does it in version 1."""


class Groups:
    """Control groups of a box: one for each controller (version 1), or one (version 2).

    Attributes:
        paths: controller (``memory``, ``pids``, ``cpu``) -> folder.
    """

    def __init__(self, paths: dict[str, str]) -> None:
        self.paths = paths

    def join(self) -> None:
        """Move this process into them.

        Raises:
            OSError: it may not.
        """
        for path in self._folders():
            _write(f"{path}/cgroup.procs", "0")

    def cpu(self) -> float:
        """Return CPU seconds of all that ever ran in them; NaN if that cannot be told."""
        path = self.paths.get("cpu", "")
        with passed_over:
            return int(_read(f"{path}/cpuacct.usage")) / 1e9
        with contextlib.suppress(KeyError), passed_over:
            return _table(f"{path}/cpu.stat")["usage_usec"] / 1e6
        return float("nan")

    def memory(self) -> float:
        """Return bytes in use now, files that are merely cached left out; NaN if not known."""
        path = self.paths.get("memory", "")
        with passed_over:
            table = _table(f"{path}/memory.stat")
            if "anon" in table:
                return table["anon"] + table["shmem"]
            return table["total_rss"] + table.get("total_shmem", 0)
        return float("nan")

    def exhausted(self) -> bool:
        """Tell whether the kernel has killed a process because memory was used up."""
        path = self.paths.get("memory", "")
        for name in ("memory.events", "memory.oom_control"):
            with passed_over:
                return _table(f"{path}/{name}").get("oom_kill", 0) > 0
        return False

    def members(self) -> list[int]:
        """Return the processes in them.

        Those of other process namespaces show as 0, which a signal would take for its sender's own
        group: they are left out.
        """
        found: set[int] = set()
        for path in self._folders():
            with passed_over:
                found.update(map(int, _read(f"{path}/cgroup.procs").split()))
        return sorted(pid for pid in found if pid > 0)

    def kill(self) -> None:
        """Let no process be born any more, and kill those that are."""
        for path in self._folders():
            for name, value in (("pids.max", "0"), ("cgroup.kill", "1")):
                with contextlib.suppress(OSError):
                    _write(f"{path}/{name}", value)
        for pid in self.members():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """Remove them; they must be empty, which takes the kernel a moment."""
        for path in self._folders():
            for _ in range(50):
                try:
                    os.rmdir(path)  # noqa: PTH106
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
                else:
                    break

    def _folders(self) -> list[str]:
        return list(dict.fromkeys(self.paths.values()))


def hierarchies() -> list[tuple[str, str, list[str]]]:
    """Return the mounted ones: folder, which part of it, controllers (version 2: none)."""
    found: list[tuple[str, str, list[str]]] = []
    with contextlib.suppress(OSError):
        for line in _read("/proc/self/mountinfo").splitlines():
            mount, _, kind = line.partition(" - ")
            about, fields = kind.split(), mount.split()
            if about[0] in {"cgroup", "cgroup2"}:
                controllers = about[2].split(",") if about[0] == "cgroup" else []
                found.append((fields[4], fields[3], controllers))
    return found


def groups_of(pid: int | str) -> dict[str, str]:
    """Return the groups of a process, as `Groups` wants them; empty if they are not to be found."""
    own: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in _read(f"/proc/{pid}/cgroup").splitlines():
            _, names, path = line.split(":", 2)
            own.update(dict.fromkeys(names.split(","), path))
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    for folder, root, controllers in hierarchies():
        if not controllers and "" in own:
            second = dict.fromkeys(NEEDED, _below(folder, root, own[""]))
        for what, controller in NEEDED.items():
            if controller in controllers and controller in own:
                first[what] = _below(folder, root, own[controller])
    return first if len(first) == len(NEEDED) else second


def _below(folder: str, root: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.relpath(path, root)))  # noqa: PTH118


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)


def _table(path: str) -> dict[str, int]:
    """Read lines of a name and a number."""
    pairs = (line.split() for line in _read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
