"""Power as somebody declares it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from pytest_a2perf.domains.serving.system.power import PowerReading

__all__ = ["DeclaredPower"]


class DeclaredPower:
    """Always says the same; figures made of it are labelled ``modelled``.

    Args:
        watts: of the whole system under test.
        boundary: what is inside.
        note: where the number is from.
    """

    def __init__(self, watts: float, boundary: str, note: str = "") -> None:
        self._watts = watts
        self._boundary = boundary
        self._note = note

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def over(self, begin: float, end: float) -> PowerReading:
        """Return what was declared."""
        joules = self._watts * (end - begin)
        note = "; ".join(filter(None, ("declared, not measured", self._note)))
        return PowerReading(self._watts, joules, "declared", "modelled", self._boundary, note=note)
