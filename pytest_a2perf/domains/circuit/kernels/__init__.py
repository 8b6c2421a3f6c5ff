"""Loops that numpy cannot do fast enough, compiled by numba; nothing else imports numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from pytest_a2perf.errors import InfraError

try:
    import numba
except ImportError as error:
    raise InfraError(
        "the domain circuit needs numba: pip install 'pytest-a2perf[circuit]'"
    ) from error

__all__ = ["compiled"]

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function at its first call; the result is kept on disk for later processes."""
    return cast("Callable[P, R]", numba.njit(cache=True, nogil=True)(function))
