"""Where things are kept that are made once and used by many runs."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """Return the folder: ``$A2PERF_CACHE``, or ``a2perf`` in the user's cache."""
    given = os.environ.get("A2PERF_CACHE")
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "a2perf"
