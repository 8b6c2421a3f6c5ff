"""Reports of our own version's trials, on their way from its companion."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Sequence

import pytest

__all__ = ["from_text", "to_text"]


def to_text(config: pytest.Config, reports: Sequence[pytest.TestReport]) -> str:
    """Return text that holds the reports as they are; both ends are of the same interpreter."""
    serialize = config.hook.pytest_report_to_serializable
    data = [serialize(config=config, report=report) for report in reports]
    return base64.b64encode(pickle.dumps(data)).decode()


def from_text(config: pytest.Config, text: str) -> list[pytest.TestReport]:
    """Inverse of `to_text`."""
    restore = config.hook.pytest_report_from_serializable
    data = pickle.loads(base64.b64decode(text))  # noqa: S301 - from our own child
    return [restore(config=config, data=part) for part in data]
