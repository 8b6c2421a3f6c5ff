"""What ``[system]`` may say: the system under test, what it costs, and how its power is read."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pytest_a2perf.scenarios.models import Duration, Strict, in_unit
from pytest_a2perf.units import UNITS

__all__ = [
    "DISCLOSED", "DeclaredPowerOptions", "NvmlPowerOptions", "PowerOptions",
    "PrometheusPowerOptions", "SystemOptions",
    "disclosure", "missing_disclosure",
]  # fmt: skip

DISCLOSED = (
    "accelerator", "accelerators", "engine", "engine_version", "parallelism", "driver", "model",
    "quantisation",
)  # fmt: skip
"""What must be said of a system before any of its figures is divided by anything."""

_PRICE = re.compile(r"\s*([\d._]+(?:[eE][-+]?\d+)?)\s*([A-Z]{3}|\$)?\s*\Z")
_POWER_UNITS = [name for name, (base, _) in UNITS.items() if base in ("W", "J") and name]


def _watts(value: object) -> object:
    return in_unit(value, "W")


def _unit(value: str) -> str:
    if value not in _POWER_UNITS:
        raise ValueError(f"expected a unit of power or energy, one of: {', '.join(_POWER_UNITS)}")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"expected an address like 'http://host:9400/metrics', got {value!r}")
    if parts.username or parts.password:
        raise ValueError("an address is kept in records: it must not hold a name or a password")
    return value


def _as_it_is(value: object) -> object:
    """Let a schema allow what the model itself takes apart."""
    return value


def _several(value: object) -> object:
    """Let one address stand for a list of one."""
    return (value,) if isinstance(value, str) else value


Watts = Annotated[float, BeforeValidator(_watts, json_schema_input_type=str | float), Field(gt=0)]
Url = Annotated[str, AfterValidator(_url)]
Urls = Annotated[
    tuple[Url, ...],
    BeforeValidator(_several, json_schema_input_type=str | list[str]),
    Field(min_length=1),
]


class NvmlPowerOptions(Strict):
    """Power of the NVIDIA accelerators of this host."""

    source: Literal["nvml"]
    devices: tuple[Annotated[int, Field(ge=0)] | str, ...] = Field(
        (), description="numbers in the order of the PCI bus, or UUIDs; default: all visible ones"
    )
    interval: Duration = Field(0.15, ge=0.05, description="between two readings")


class PrometheusPowerOptions(Strict):
    """Power by one or more exporters, which are asked directly, without a Prometheus server."""

    source: Literal["prometheus"]
    url: Urls = Field(description="of the exporter, or of one on each host; all are summed")
    preset: Literal["dcgm", "node-exporter", "rapl"] | None = Field(
        None,
        description="metrics of NVIDIA's DCGM exporter, or those of the node exporter for sensors "
        "(hwmon) or for processors (rapl)",
    )
    metric: str | None = Field(None, min_length=1, description="instead: name of a metric")
    unit: Annotated[str, AfterValidator(_unit)] = Field(
        "W", description="of that metric; J and its like make it a counter of energy"
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="only series with these labels, e.g. gpu = '0'"
    )
    boundary: str | None = Field(
        None, min_length=1, description="what is inside, e.g. 'node' or 'rack'"
    )
    interval: Duration = Field(1.0, ge=0.05, description="between two readings")
    timeout: Duration = Field(2.0, description="after which an exporter is down")

    @model_validator(mode="after")
    def _check(self) -> PrometheusPowerOptions:
        if (self.preset is None) == (self.metric is None):
            raise ValueError("say either preset or metric")
        if self.boundary is None and self.preset in (None, "node-exporter"):
            raise ValueError(
                "nobody but you knows what these sensors measure: say boundary, e.g. 'node'"
            )
        return self


class DeclaredPowerOptions(Strict):
    """Power that nobody measured, such as a TDP: figures made of it are labelled ``modelled``."""

    source: Literal["declared"]
    watts: Watts = Field(description="of the whole system under test, e.g. '5.6 kW'")
    boundary: str = Field(min_length=1, description="what is inside, e.g. 'accelerator board'")
    note: str = Field("", description="where the number is from, e.g. 'TDP of the data sheet'")


PowerOptions = Annotated[
    NvmlPowerOptions | PrometheusPowerOptions | DeclaredPowerOptions, Field(discriminator="source")
]


class SystemOptions(Strict):
    """The system under test."""

    name: str = Field("", description="shown in reports")
    accelerator: str = Field("", description="the product, e.g. 'H100 SXM 80 GB'")
    accelerators: int | None = Field(None, ge=1, description="how many, over all systems")
    systems: int = Field(1, ge=1, description="nodes that they stand in")
    accelerators_per_rack: int | None = Field(None, ge=1, description="in a full rack")
    systems_per_rack: int | None = Field(None, ge=1, description="instead: nodes in a full rack")
    price: Annotated[
        float | None, BeforeValidator(_as_it_is, json_schema_input_type=str | float | None)
    ] = Field(None, gt=0, description="of an hour, e.g. 2.49 or '2.49 USD'")
    price_per: Literal["accelerator", "system"] = Field(
        "accelerator", description="what the price buys"
    )
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="of the price")
    price_source: str = Field("", description="whose price it is")
    price_date: str = Field("", description="when it was the price")
    power: PowerOptions | None = Field(None, description="how power is read")
    metrics: Urls | None = Field(
        None,
        description="addresses of the engine's Prometheus metrics; default: /metrics beside the "
        "endpoint, if it answers",
    )
    engine: str = Field("", description="e.g. 'vLLM'")
    engine_version: str = Field("", description="e.g. '0.11.0'")
    parallelism: str = Field("", description="e.g. 'TP8'")
    driver: str = Field("", description="of the accelerators; NVML fills it in on this host")
    model: str = Field("", description="that is served")
    model_revision: str = Field("", description="branch, tag or commit")
    quantisation: str = Field("", description="e.g. 'FP8', or 'none'")
    notes: str = Field("", description="anything else")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="free table, e.g. the engine's arguments"
    )

    @model_validator(mode="before")
    @classmethod
    def _split_price(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("price"), str):
            return data
        match = _PRICE.match(data["price"])
        if match is None:
            raise ValueError(f"price: expected something like '2.49 USD', got {data['price']!r}")
        number, currency = match[1].replace("_", ""), (match[2] or "").replace("$", "USD")
        if currency and data.get("currency", currency) != currency:
            raise ValueError(f"price is in {currency}, but currency says {data['currency']}")
        return {**data, "price": number, **({"currency": currency} if currency else {})}

    @model_validator(mode="after")
    def _check_rack(self) -> SystemOptions:
        if self.accelerators_per_rack is not None and self.systems_per_rack is not None:
            raise ValueError("say either accelerators_per_rack or systems_per_rack")
        return self


def _driver(options: SystemOptions) -> str:
    """Return the driver; NVML may say it only where the accelerators are those of this host."""
    if options.driver or options.power is None or options.power.source != "nvml":
        return options.driver
    from pytest_a2perf.meters.energy.nvml_device import driver_version

    return driver_version() or ""


def disclosure(options: SystemOptions) -> dict[str, Any]:
    """Return all that is said of a system, as plain JSON for the record."""
    said = options.model_dump(mode="json", exclude_defaults=True)
    driver = _driver(options)
    return {**said, **({"driver": driver} if driver else {})}


def missing_disclosure(options: SystemOptions) -> list[str]:
    """Return which of `DISCLOSED` is not said."""
    said = disclosure(options)
    return [name for name in DISCLOSED if not said.get(name)]
