"""Device files and GPUs that agents and evaluators get."""

from __future__ import annotations

import os
from collections.abc import Sequence
from glob import glob

from pytest_a2perf.errors import InfraError

__all__ = ["CUDA", "device_files", "gpus_to_use"]

CUDA = "CUDA_VISIBLE_DEVICES"


def gpus_to_use(named: Sequence[str], devices: Sequence[str]) -> tuple[str, ...]:
    """Return the GPUs to use where there are device files: those named, or the worker's lease."""
    if named or not devices:
        return tuple(named)
    return tuple(filter(None, os.environ.get(CUDA, "").split(",")))


def device_files(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return device files, for patterns those that match.

    Raises:
        InfraError: there is none.
    """
    found: list[str] = []
    for pattern in patterns:
        matching = sorted(glob(pattern))  # noqa: PTH207 - an absolute pattern
        if not matching:
            raise InfraError(f"devices: there is no {pattern}: is the driver loaded?")
        found += matching
    return tuple(dict.fromkeys(found))
