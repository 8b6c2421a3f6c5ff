"""The pytest plugin: options, hooks and fixtures. It imports nothing heavy and nothing early.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_a2perf.domains.gym.fixture import Rollout
    from pytest_a2perf.meters.probes import EnergyProbe, LatencyProbe, MemoryProbe
    from pytest_a2perf.trials.fixtures import ReliabilityProbe
    from pytest_a2perf.trials.trial import Trial

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and their ini twins."""
    from pytest_a2perf.options import add_options

    add_options(parser)


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    """Let ``-n gpu`` through as soon as xdist has added its option, whoever of us came first."""
    if getattr(plugin, "__name__", "") == "xdist.plugin":
        from pytest_a2perf.options import accept_gpu_workers

        config: Any = manager.get_plugin("pytestconfig")
        accept_gpu_workers(config._parser)  # noqa: SLF001 - it has no public name


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the extension points."""
    from pytest_a2perf import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Iterator[None]:
    """Turn ``-n gpu`` into a number of workers before xdist reads it.

    In a worker on another machine, drop the controller's folder for ``tmp_path``.
    """
    basetemp = getattr(config.option, "basetemp", None)
    if hasattr(config, "workerinput") and basetemp and not os.path.isdir(os.path.dirname(basetemp)):  # noqa: PTH112, PTH120
        config.option.basetemp = None
    if getattr(config.option, "numprocesses", None) == "gpu":
        if not _is_on(config):
            raise pytest.UsageError("-n gpu needs --a2perf")
        config.option.numprocesses = config.hook.pytest_xdist_auto_num_workers(config=config)
    return (yield)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Count the workers of ``-n auto`` and ``-n gpu``."""
    if not _is_on(config):
        return None
    from pytest_a2perf.scheduling.leases import number_of_workers

    return number_of_workers(config)


def _is_on(config: pytest.Config) -> bool:
    return bool(config.getoption("a2perf") or config.getini("a2perf"))


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and the rest of the plugin if it is on."""
    config.addinivalue_line(
        "markers",
        "a2perf(seeds, gates, ...): run the test once for each seed and gate its metrics; "
        "takes the keys of a scenario file",
    )
    if _is_on(config):
        from pytest_a2perf.activate import activate

        activate(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip benchmarks in an ordinary run: they are slow and their numbers would not be kept."""
    if not config.pluginmanager.has_plugin("a2perf-active"):
        for item in items:
            if item.get_closest_marker("a2perf") is not None:
                item.add_marker(pytest.mark.skip(reason="a benchmark: run with --a2perf"))


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Iterator[Trial]:
    """The running trial: seed, rng, device, and methods to record what happens."""
    from pytest_a2perf.trials.fixtures import trial_of

    yield from trial_of(request)


@pytest.fixture
def rollout(trial: Trial) -> Rollout:
    """Roll out an agent in a Gymnasium environment: ``rollout("CartPole-v1", agent=...)``."""
    from pytest_a2perf.domains.gym.fixture import Rollout

    return Rollout(trial)


@pytest.fixture
def energy(request: pytest.FixtureRequest, trial: Trial) -> EnergyProbe:
    """``with energy:`` reads the energy of a block; then ``energy.joules``."""
    from pytest_a2perf.trials.fixtures import energy_probe

    return energy_probe(request.config, trial)


@pytest.fixture
def memory(trial: Trial) -> MemoryProbe:
    """``with memory:`` reads the peak memory of a block; then ``memory.peak`` in bytes."""
    from pytest_a2perf.trials.fixtures import memory_probe

    return memory_probe(trial)


@pytest.fixture
def latency(trial: Trial) -> LatencyProbe:
    """``with latency:`` times one decision; then ``latency.p95`` and so on, in seconds."""
    from pytest_a2perf.trials.fixtures import latency_probe

    return latency_probe(trial)


@pytest.fixture
def reliability(trial: Trial) -> ReliabilityProbe:
    """Collects returns and training curves: ``reliability.add(...)``, ``reliability.curve``."""
    from pytest_a2perf.trials.fixtures import ReliabilityProbe

    return ReliabilityProbe(trial)


def pytest_report_header(config: pytest.Config) -> list[str] | None:
    """Say that the plugin is on, and where the run is kept."""
    active: Any = config.pluginmanager.get_plugin("a2perf-active")
    return active.header() if active is not None else None
