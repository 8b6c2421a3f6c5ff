"""Boxes without a file system of their own: paths inside become paths of the host."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from pytest_a2perf.domains.posttrain.sandbox import system
from pytest_a2perf.domains.posttrain.sandbox.cgroups import spare_tasks
from pytest_a2perf.domains.posttrain.sandbox.running import (
    KeptBox,
    Recipe,
    launch_plan,
    program,
    readable,
    user_tasks,
)
from pytest_a2perf.domains.posttrain.sandbox.runtime.files import remove_tree
from pytest_a2perf.domains.posttrain.sandbox.runtime.forward import listen
from pytest_a2perf.domains.posttrain.sandbox.spec import Box

__all__ = ["Outside", "on_host", "start_outside"]


class Outside:
    """A box in terms of the host.

    Attributes:
        box: command, environment and folder name the host's paths and ports.
        temporary: folder of its own, in place of ``/tmp``; goes with the box.
        forward: descriptors of listening sockets on the host, and the unix socket behind each.
        ports: that may be connected to.
    """

    def __init__(self, box: Box) -> None:
        self.temporary = Path(tempfile.mkdtemp(prefix="a2perf-box-"))
        targets = {mount.target: str(mount.source) for mount in box.mounts}
        paths = {"/tmp": str(self.temporary), **targets}  # noqa: S108 - inside
        for folder in system.python_folders():
            paths.setdefault(str(folder), str(folder))
        self.forward: list[tuple[int, str]] = []
        self.ports: list[int] = []
        changes = dict(paths)
        for port, path in box.forward.items():
            listener = listen(0)
            self.ports.append(listener.getsockname()[1])
            self.forward.append((listener.detach(), on_host(path, paths)))
            for host in ("127.0.0.1", "localhost"):
                changes[f"{host}:{port}"] = f"{host}:{self.ports[-1]}"
        env = {name: on_host(value, changes) for name, value in system.inside(box.env).items()}
        self.box = replace(
            box,
            command=[on_host(part, changes) for part in box.command],
            env={"TMPDIR": str(self.temporary), **env},
            folder=on_host(box.folder, paths),
            forward={},
        )

    def close(self) -> None:
        """Undo what was made for a box that is not started after all."""
        remove_tree(self.temporary)
        for number, _ in self.forward:
            os.close(number)


def start_outside(
    name: str,
    box: Box,
    output: IO[bytes],
    *,
    grouped: bool,
    confine: Callable[[Outside], Mapping[str, Any]],
) -> KeptBox:
    """Start a box.

    Args:
        name: of the sandbox.
        box: what is to run.
        output: where stdout and stderr go.
        grouped: whether control groups see to its limits.
        confine: returns what else the plan says (see `launch_plan`).

    Raises:
        SandboxError: it cannot be started.
    """
    outside = Outside(box)
    try:
        confinement = confine(outside)
    except BaseException:
        outside.close()
        raise
    status = os.pipe()
    plan = launch_plan(outside.box, status[1], grouped=grouped, **confinement)
    if not grouped and box.limits.processes is not None:  # the kernel counts all of the user's
        tasks = user_tasks() + box.limits.processes + spare_tasks()
        plan["rlimits"]["RLIMIT_NPROC"] = tasks
    descriptor = readable(plan)
    recipe = Recipe(
        name=name,
        argv=program("launch", descriptor),
        fds=[descriptor],
        forward=outside.forward,
        writable=[*(mount.source for mount in box.mounts if mount.writable), outside.temporary],
        remove=[outside.temporary],
        grouped=grouped,
    )
    return KeptBox.start(recipe, box.limits, status, output)


def on_host(text: str, paths: Mapping[str, str]) -> str:
    """Replace every path (or address) by its counterpart, the longest first, once.

    Args:
        text: an argument or a value of the environment.
        paths: inside -> on the host.
    """
    names: Sequence[str] = sorted(paths, key=len, reverse=True)
    before = {True: r"(?<![\w./-])", False: r"(?<![\w.-])"}  # an address may follow a slash
    pattern = "|".join(before[name.startswith("/")] + re.escape(name) for name in names)
    return re.sub(rf"(?:{pattern})(?![\w.-])", lambda found: paths[found[0]], text)
