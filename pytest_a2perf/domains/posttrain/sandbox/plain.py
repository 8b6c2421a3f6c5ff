"""No sandbox: a process in a session of its own, for platforms that offer nothing better."""

from __future__ import annotations

from typing import IO

from pytest_a2perf.domains.posttrain.sandbox.cgroups import parents
from pytest_a2perf.domains.posttrain.sandbox.outside import start_outside
from pytest_a2perf.domains.posttrain.sandbox.running import KeptBox
from pytest_a2perf.domains.posttrain.sandbox.spec import Box

__all__ = ["Plain"]


class Plain:
    """Boxes that are only called so; see `spec.Sandbox`.

    Limits hold and the environment is the box's own, but all files and the network of the host are
    within reach, read-only mounts and hidden paths included.
    """

    name = "none"
    isolated = False

    def __init__(self, *, groups: bool = True) -> None:
        self._grouped = groups and bool(parents())
        self.details = {"limits": "cgroup" if self._grouped else "rlimits and watchdog"}

    def start(self, box: Box, output: IO[bytes]) -> KeptBox:
        """Start a box whose stdout and stderr go to ``output``.

        Raises:
            SandboxError: it cannot be started.
        """
        return start_outside(self.name, box, output, grouped=self._grouped, confine=lambda _: {})
