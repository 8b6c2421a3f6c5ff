"""The tasks by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from pytest_a2perf.domains.posttrain.tasks.base import Task
from pytest_a2perf.errors import UnknownNameError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["get_task", "task_names", "task_options"]

_TASKS = {
    "a2perf/arithmetic": "arithmetic:ArithmeticTask",
    "a2perf/programs": "programs:ProgramsTask",
    "a2perf/replies": "replies:RepliesTask",
    "a2perf/household": "household:HouseholdTask",
    "a2perf/shop": "shop:ShopTask",
    "a2perf/search": "search:SearchTask",
    "gsm8k": "gsm8k:Gsm8kTask",
    "humaneval": "humaneval:HumanevalTask",
    "alpacaeval": "alpacaeval:AlpacaevalTask",
    "alfworld": "alfworld:AlfworldTask",
    "webshop": "webshop:WebshopTask",
    "deepsearchqa": "deepsearchqa:DeepsearchqaTask",
    "smith": "smith:SmithTask",
}
"""Module in this folder and class; it is called with the options."""


def task_names() -> list[str]:
    """Return the names of all tasks."""
    return sorted(_TASKS)


def get_task(name: str, options: Mapping[str, Any] | None = None) -> Task:
    """Return a task.

    Args:
        name: e.g. ``a2perf/arithmetic``.
        options: of the scenario, for this task.

    Raises:
        UnknownNameError: there is none of that name.
        pydantic.ValidationError: the task has no such option, or it has a wrong value.
    """
    found: Task = _task_class(name)(options)
    return found


def task_options(name: str) -> type[BaseModel]:
    """Return the model of a task's options.

    Raises:
        UnknownNameError: there is none of that name.
    """
    found: type[BaseModel] = _task_class(name).Options
    return found


def _task_class(name: str) -> Any:
    if name not in _TASKS:
        raise UnknownNameError(f"unknown task {name!r}{did_you_mean(name, task_names())}")
    module, _, attribute = _TASKS[name].partition(":")
    return getattr(importlib.import_module(f"{__package__}.{module}"), attribute)
