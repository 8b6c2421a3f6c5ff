"""The controller's side of pytest-xdist: workers, their GPUs and manifests, the scheduler."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_a2perf.scheduling.launch import Launch
from pytest_a2perf.scheduling.leases import CUDA, HIP, LEASE, leases
from pytest_a2perf.scheduling.manifest import Manifest
from pytest_a2perf.scheduling.scheduler import TrialScheduling
from pytest_a2perf.settings import Config
from pytest_a2perf.trials.isolation import GRACE

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

__all__ = ["Nodes"]

_MARGIN = 2 * GRACE + 1.0
"""Seconds beyond its timeout after which a trial that ends itself no more loses its worker."""


class Nodes:
    """Leases GPUs to workers, hears what they collected, and schedules their items.

    Args:
        config: pytest's.
        options: the plugin's.
        durations: mean seconds of a trial by scenario, from earlier runs.
        decided: whether no more seeds of a scenario are wanted.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: Config,
        *,
        durations: Mapping[str, float],
        decided: Callable[[str], bool],
    ) -> None:
        self._config = config
        self._options = options
        self._durations = durations
        self._decided = decided
        self._manifests: dict[str, Manifest] = {}
        self._scheduler: TrialScheduling | None = None
        self._started: dict[str, float] = {}
        self._overdue: set[str] = set()
        self._launch = Launch(options, config.invocation_params.dir)
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None

    @property
    def dropped(self) -> list[str]:
        """Trials that were not wanted any more."""
        return [] if self._scheduler is None else self._scheduler.dropped

    def timed_out(self, nodeid: str) -> bool:
        """Whether a trial's worker was killed because the trial took too long."""
        return nodeid in self._overdue

    # -- workers -------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[Any]) -> None:
        """Give each worker on this machine its GPU, unless the user has given it one."""
        local = [spec for spec in specs if spec.popen and not spec.python and not spec.via]
        if self._options.launcher or self._options.cluster:
            # A command need not pass these on, and without them a worker would run other tests.
            ours = {name: value for name, value in os.environ.items() if _is_of_pytest(name)}
            for spec in local:
                spec.python = self._launch.command
                spec.env = {**ours, **(spec.env or {})}
            return
        free = [spec for spec in local if not {CUDA, HIP} & {*(spec.env or {})}]
        for spec, lease in zip(free, leases(len(free), self._options.workers_per_gpu), strict=True):
            if lease is not None:
                # The second variable tells the record what was leased.
                lent = {lease.variable: lease.device, LEASE: f"{lease.variable}={lease.device}"}
                spec.env = {**(spec.env or {}), **lent}

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self) -> Generator[None, None, None]:
        """Say in one line why a worker could not be launched."""
        try:
            yield
        except Exception as error:
            failure = self._launch.failure()
            if failure is None:
                raise
            raise pytest.UsageError(failure) from error

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """As above, for a worker that was to replace another."""
        try:
            return (yield)
        except Exception as error:
            failure = self._launch.failure()
            if failure is None:
                raise
            raise session.Failed(failure) from error

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        """Open a channel on which the worker will tell what it has collected."""
        channel = node.gateway.newchannel()
        name = node.gateway.id
        channel.setcallback(lambda line: self._hear(name, line))
        node.workerinput["a2perf_channel"] = channel

    def _hear(self, worker: str, line: str) -> None:
        # In execnet's thread; the worker's collection, which follows, is handled in the main one.
        self._manifests[worker] = Manifest.from_line(line)

    def manifest(self, node: WorkerController) -> Manifest | None:
        """Return what a worker has told."""
        return self._manifests.get(node.gateway.id)

    # -- scheduling ----------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> TrialScheduling | None:
        """Replace xdist's default; another ``--dist`` is the user's choice."""
        if config.getvalue("dist") != "load":
            return None
        self._scheduler = TrialScheduling(
            config,
            len(config.getvalue("tx")),
            self._manifests,
            expected=self._durations,
            decided=self._decided,
            started=self._started.__contains__,
        )
        self._watch = threading.Thread(target=self._watch_over, name="a2perf-watch", daemon=True)
        self._watch.start()
        return self._scheduler

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember since when an item runs."""
        self._started[nodeid] = time.monotonic()

    def pytest_sessionfinish(self) -> None:
        """Stop watching."""
        self._launch.close()
        self._closed.set()
        if self._watch is not None:
            self._watch.join()

    def _watch_over(self) -> None:
        """Kill workers whose trial is long overdue: not even its own process could end it."""
        assert self._scheduler is not None
        runs = 2 if self._options.against else 1  # the other version may take as long
        while not self._closed.wait(0.5):
            now = time.monotonic()
            for node, nodeid, timeout in self._scheduler.running():
                begun = self._started.get(nodeid)
                if begun is not None and now > begun + runs * (timeout + _MARGIN):
                    self._overdue.add(nodeid)
                    node.gateway._io.kill()  # noqa: SLF001 - gateway.exit waits for the worker


def _is_of_pytest(name: str) -> bool:
    mine = name == "PYTEST_CURRENT_TEST" or name.startswith("PYTEST_XDIST_")
    return name.startswith("PYTEST_") and not mine
