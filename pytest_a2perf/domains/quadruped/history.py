"""The observations of an episode, of which each has what was new in the two before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

__all__ = ["HISTORY", "Histories"]

HISTORY = 3
"""How many control steps an observation has of the robot and of the actions, newest first."""


class Histories:
    """Observations to write on: what is noted once is in all observations that have it.

    Args:
        steps: of the longest episode.
        size: of an observation.
    """

    def __init__(self, steps: int, size: int) -> None:
        # Before the first observation are those whose ends it has; after the last, one's begin.
        self._rows: NDArray[np.float32] = np.zeros((steps + 2 * HISTORY - 1, size), np.float32)
        self._inertial = self._places(0, 4)
        self._actions = self._places(12, 12)
        self._joints = self._places(48, 12)

    def _places(self, first: int, size: int) -> NDArray[np.float32]:
        """Return a view of shape (rows, HISTORY, size): where the numbers of a row belong.

        The newest begin at ``first``, in the row itself; in the next rows they are further on.
        """
        row, number = self._rows.strides
        return as_strided(
            self._rows[:, first:],
            (len(self._rows) - HISTORY + 1, HISTORY, size),
            (row, row + size * number, number),
        )

    def note(
        self,
        step: int,
        inertial: Sequence[float] | NDArray[np.float64],
        action: NDArray[Any],
        joints: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Write down what is new, and return the observation itself.

        Args:
            step: of the episode; from 1 - HISTORY, for what was before it.
            inertial: roll, pitch and their rates.
            action: that led here, shape (12,).
            joints: their angles, shape (12,).
        """
        row = step + HISTORY - 1
        self._inertial[row], self._actions[row], self._joints[row] = inertial, action, joints
        seen: NDArray[np.float32] = self._rows[row]
        return seen
