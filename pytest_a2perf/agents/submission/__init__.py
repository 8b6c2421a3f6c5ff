"""Agents in A2Perf's layout: a folder with ``train.py`` and ``inference.py``."""

from __future__ import annotations

from pytest_a2perf.agents.submission.layout import is_submission
from pytest_a2perf.agents.submission.submission import Submission

__all__ = ["Submission", "is_submission"]
