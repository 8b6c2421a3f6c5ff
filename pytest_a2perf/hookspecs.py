"""Extension points, as pytest hooks. Entry points do the same for whole packages.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import pytest

    from pytest_a2perf.agents.base import AgentFactory
    from pytest_a2perf.domains.base import Domain
    from pytest_a2perf.meters.base import Meter
    from pytest_a2perf.metrics.registry import MetricFamily


def pytest_a2perf_domains(config: pytest.Config) -> Iterable[Domain]:  # type: ignore[empty-body]
    """Return domains to register, see `pytest_a2perf.domains.base.Domain`."""


def pytest_a2perf_agents(config: pytest.Config) -> Mapping[str, AgentFactory]:  # type: ignore[empty-body]
    """Return agents to register: name -> factory."""


def pytest_a2perf_meters(config: pytest.Config) -> Iterable[Callable[[], Meter]]:  # type: ignore[empty-body]
    """Return factories of meters; one that raises `MeterUnavailableError` is left out."""


def pytest_a2perf_metrics(config: pytest.Config) -> Iterable[MetricFamily]:  # type: ignore[empty-body]
    """Return families of metrics to register."""


def pytest_a2perf_publish(config: pytest.Config, run: Path) -> None:
    """Publish a finished run: ``run`` is its folder, with ``run.json`` and ``records.jsonl``."""
