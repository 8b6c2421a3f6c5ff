"""Run commands in sandboxes, for tests of what they hold and what they do not."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from posttrain_image import offer_image

from pytest_a2perf.domains.posttrain.sandbox.bubblewrap import Bubblewrap
from pytest_a2perf.domains.posttrain.sandbox.container import Container
from pytest_a2perf.domains.posttrain.sandbox.ladder import probe
from pytest_a2perf.domains.posttrain.sandbox.landlock import Landlock
from pytest_a2perf.domains.posttrain.sandbox.plain import Plain
from pytest_a2perf.domains.posttrain.sandbox.running import RUNTIME, KeptBox
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Limits, Mount, Sandbox, Usage

MAKERS = {
    "bubblewrap": Bubblewrap,
    "landlock": Landlock,
    "docker": lambda groups: Container("docker"),
    "podman": lambda groups: Container("podman"),
    "none": Plain,
}
ISOLATED = ("bubblewrap", "landlock", "docker", "podman")
WALL = 120.0


def sandbox(name: str, *, groups: bool = True) -> Sandbox:
    """Return a sandbox by name, or skip the test where it does not work."""
    if name == "podman":
        offer_image()
    found = probe(name)
    if not found.works:
        pytest.skip(f"{name}: {found.why}")
    return MAKERS[name](groups=groups)


@dataclass(frozen=True)
class Ended:
    status: int | None
    output: str
    limit: str
    usage: Usage
    left: int


def python(text: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-c", textwrap.dedent(text), *map(str, arguments)]


def workspace(folder: Path) -> Mount:
    (folder / "workspace").mkdir(exist_ok=True)
    return Mount(folder / "workspace", "/workspace", writable=True)


def start(box_in: Sandbox, box: Box, output: object = None) -> KeptBox:
    with tempfile.TemporaryFile() as nowhere:
        return box_in.start(box, output or nowhere)


def run_box(box_in: Sandbox, box: Box) -> Ended:
    with tempfile.TemporaryFile() as output:
        running = start(box_in, box, output)
        status = running.wait(WALL)
        if status is None:
            running.stop(0)
        output.seek(0)
        text = output.read().decode(errors="replace")
        return Ended(status, text, running.limit_hit, running.usage(), running.left)


def run_in(
    box_in: Sandbox, folder: Path, command: list[str], limits: Limits | None = None, **about
) -> Ended:
    """Run a command in a box with a writable workspace."""
    mounts = [workspace(folder), *about.pop("mounts", [])]
    about.setdefault("folder", "/workspace")
    return run_box(box_in, Box(command, mounts, limits=limits or Limits(wall=WALL), **about))


def wait_for(found: Callable[[], object], seconds: float = WALL) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def as_owner(text: str, *arguments: object) -> str:
    """Return what a program prints that is an ordinary owner of its files, also where root runs it.

    It has ``os``, ``sys``, and the modules of the runtime.
    """
    start = f"""
import os, sys
sys.path.insert(0, {str(RUNTIME.parent)!r})
from runtime import confine, files, forward, meter
confine._drop_capabilities(confine._libc())
"""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", start + textwrap.dedent(text), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return ran.stdout.strip()
