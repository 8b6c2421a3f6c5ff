"""Control groups for boxes, versions 1 and 2, where this process may make some.

A box's group lies below the group of this process, or (version 2) below the nearest group above
that hands out the controllers. All of CPU, memory and number of processes must be there: half of
the limits would be hard to tell from all of them.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import subprocess
from pathlib import Path

from pytest_a2perf.domains.posttrain.sandbox.runtime.groups import NEEDED, Groups, groups_of
from pytest_a2perf.domains.posttrain.sandbox.spec import Limits

__all__ = ["make_groups", "parents", "remove_groups", "spare_tasks"]

_counter = itertools.count(1)


def spare_tasks() -> int:
    """Return how many tasks are allowed beyond the limit of processes.

    The kernel counts threads, and numeric libraries start some for each CPU.
    """
    return 4 * (os.cpu_count() or 1)


def make_groups(limits: Limits) -> dict[str, str]:
    """Make groups with these limits; empty if that cannot be done here.

    Returns:
        What is measured (``memory``, ``pids``, ``cpu``) -> folder of the group.
    """
    places = parents()
    name = f"a2perf-{os.getpid()}-{next(_counter)}"
    groups = {kind: place / name for kind, place in places.items()}
    try:
        for path in dict.fromkeys(groups.values()):
            path.mkdir()
        if groups:
            _limit(groups["memory"], groups["pids"], limits)
    except OSError:
        remove_groups({kind: str(path) for kind, path in groups.items()})
        return {}
    return {kind: str(path) for kind, path in groups.items()}


def _limit(memory: Path, pids: Path, limits: Limits) -> None:
    if limits.processes is not None:
        (pids / "pids.max").write_text(str(limits.processes + spare_tasks()))
    if limits.memory is None:
        return
    if (memory / "memory.max").exists():
        (memory / "memory.max").write_text(str(limits.memory))
        with contextlib.suppress(OSError):  # no swap is compiled in
            (memory / "memory.swap.max").write_text("0")
        with contextlib.suppress(OSError):
            (memory / "memory.oom.group").write_text("1")
    else:
        (memory / "memory.limit_in_bytes").write_text(str(limits.memory))
        with contextlib.suppress(OSError):  # swap is not accounted
            (memory / "memory.memsw.limit_in_bytes").write_text(str(limits.memory))


def remove_groups(groups: dict[str, str]) -> None:
    """Remove groups in which nothing runs."""
    Groups(groups).remove()


@functools.cache
def parents() -> dict[str, Path]:
    """Find folders below which groups can be made; empty if there are none. Tried, not guessed."""
    own = {kind: Path(path) for kind, path in groups_of("self").items()}
    if len(set(own.values())) == 1:  # version 2
        own = dict.fromkeys(NEEDED, _handing_out(own["memory"]))
    return own if own and _works(own) else {}


def _handing_out(group: Path) -> Path:
    """Return the nearest group from here up that hands out the controllers."""
    for above in (group, *group.parents):
        with contextlib.suppress(OSError):
            handed = (above / "cgroup.subtree_control").read_text(encoding="utf-8").split()
            if {"memory", "pids"} <= set(handed):
                return above
    return group


def _works(places: dict[str, Path]) -> bool:
    """Make groups, and have a process join them."""
    groups = {kind: place / f"a2perf-{os.getpid()}-probe" for kind, place in places.items()}
    made = Groups({kind: str(path) for kind, path in groups.items()})
    try:
        for path in dict.fromkeys(groups.values()):
            path.mkdir(exist_ok=True)
        _limit(groups["memory"], groups["pids"], Limits(memory=1 << 30, processes=64))
        join = "".join(f"echo 0 > '{path}/cgroup.procs' && " for path in made.paths.values())
        tried = subprocess.run(  # noqa: S603
            ["/bin/sh", "-c", join + "true"], check=False, timeout=30, stderr=subprocess.DEVNULL
        )
        return tried.returncode == 0 and made.cpu() >= 0 and made.memory() >= 0
    except OSError:
        return False
    finally:
        made.remove()
