"""Where agents and evaluators run: a ladder of sandboxes, probed at start."""

from __future__ import annotations

from pytest_a2perf.domains.posttrain.sandbox.ladder import choose, probe_all
from pytest_a2perf.domains.posttrain.sandbox.system import search_path

__all__ = ["choose", "probe_all", "search_path"]
