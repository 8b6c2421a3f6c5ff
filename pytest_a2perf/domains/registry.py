"""The domains by name: ours, those of installed packages, those that a conftest registers."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from pytest_a2perf.domains.base import Domain
from pytest_a2perf.errors import UnknownNameError
from pytest_a2perf.suggest import did_you_mean

if TYPE_CHECKING:
    from pytest_a2perf.scenarios.models import Scenario

__all__ = ["domain_names", "get_domain", "register_domain", "runs_alone"]

GROUP = "pytest_a2perf.domains"
"""Entry points of this group give a domain, or a class of one."""

_BUILTIN = {
    "assistant": "pytest_a2perf.domains.assistant.domain:AssistantDomain",
    "circuit": "pytest_a2perf.domains.circuit.domain:CircuitDomain",
    "gym": "pytest_a2perf.domains.gym.domain:GymDomain",
    "posttrain": "pytest_a2perf.domains.posttrain.domain:PosttrainDomain",
    "quadruped": "pytest_a2perf.domains.quadruped.domain:QuadrupedDomain",
    "serving": "pytest_a2perf.domains.serving.domain:ServingDomain",
    "web": "pytest_a2perf.domains.web.domain:WebDomain",
}
_domains: dict[str, Domain] = {}


def register_domain(domain: Domain) -> None:
    """Register a domain under its name; a later one replaces an earlier one."""
    _domains[domain.name] = domain


def domain_names() -> list[str]:
    """Return the names of all domains."""
    return sorted({*_BUILTIN, *_domains, *(point.name for point in entry_points(group=GROUP))})


def get_domain(name: str) -> Domain:
    """Return a domain, loading it first if an installed package provides it.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in _domains:
        if name in _BUILTIN:
            module, _, attribute = _BUILTIN[name].partition(":")
            register_domain(getattr(importlib.import_module(module), attribute)())
        else:
            for point in entry_points(group=GROUP, name=name):
                found = point.load()
                _domains[name] = found() if isinstance(found, type) else found
    if name not in _domains:
        raise UnknownNameError(f"unknown domain {name!r}{did_you_mean(name, domain_names())}")
    return _domains[name]


def runs_alone(scenario: Scenario) -> bool:
    """Whether trials run alone on their machine, because the scenario or its domain says so."""
    if scenario.exclusive or scenario.domain == "python":  # which no domain runs, the test does
        return scenario.exclusive
    return bool(getattr(get_domain(scenario.domain), "exclusive", False))
