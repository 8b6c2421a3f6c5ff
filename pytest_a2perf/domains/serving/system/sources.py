"""From what ``[system]`` says to what reads power and metrics."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from pytest_a2perf.domains.serving.system.engine import EngineMetrics
from pytest_a2perf.domains.serving.system.options import (
    DeclaredPowerOptions,
    NvmlPowerOptions,
    SystemOptions,
)
from pytest_a2perf.domains.serving.system.power import PowerSource

__all__ = ["engine_metrics", "metrics_url", "power_source"]


def power_source(options: SystemOptions | None) -> PowerSource | None:
    """Return what reads the power of a system; None where nothing is said of it.

    Entering it raises `InfraError` where it cannot be read.
    """
    power = None if options is None else options.power
    if power is None:
        return None
    if isinstance(power, DeclaredPowerOptions):
        from pytest_a2perf.domains.serving.system.declared import DeclaredPower

        return DeclaredPower(power.watts, power.boundary, power.note)
    if isinstance(power, NvmlPowerOptions):
        from pytest_a2perf.domains.serving.system.nvml import NvmlPower

        return NvmlPower(power.devices, power.interval)
    from pytest_a2perf.domains.serving.system.prometheus import PrometheusPower

    return PrometheusPower(power)


def engine_metrics(options: SystemOptions | None, endpoint: str) -> EngineMetrics:
    """Return what reads the metrics of the engine behind an endpoint.

    Args:
        options: may name the addresses of the metrics, which must answer then.
        endpoint: base address; empty where litellm chooses it.
    """
    if options is not None and options.metrics:
        return EngineMetrics(options.metrics, required=True)
    beside = metrics_url(endpoint)
    return EngineMetrics((beside,) if beside else ())


def metrics_url(endpoint: str) -> str:
    """Return where an engine offers its metrics: ``http://host:8000/v1`` has them beside ``/v1``.

    Empty where the endpoint has no address.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return ""
    path = parts.path.rstrip("/").removesuffix("/v1") + "/metrics"
    host = parts.netloc.rpartition("@")[2]  # what stands before it is nobody's business
    return urlunsplit((parts.scheme, host, path, "", ""))
