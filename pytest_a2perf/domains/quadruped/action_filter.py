"""The low-pass filter between actions and motors."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.model import CONTROL_STEP

__all__ = ["CUTOFF", "LowPass"]

Floats = NDArray[np.float64]

CUTOFF = 4.0
"""Hz"""


class LowPass:
    """A Butterworth filter of second order, for any number of channels.

    Args:
        start: what input and output were until now, shape (n,).
        cutoff: where the power is halved, Hz.
        rate: of the samples, Hz.
    """

    def __init__(
        self, start: Floats, cutoff: float = CUTOFF, rate: float = 1 / CONTROL_STEP
    ) -> None:
        warped = math.tan(math.pi * cutoff / rate)
        scale = 1 / (1 + math.sqrt(2) * warped + warped**2)
        self.gain = warped**2 * scale
        one = 2 * (warped**2 - 1) * scale
        two = (1 - math.sqrt(2) * warped + warped**2) * scale
        self._weights: Floats = np.array([self.gain, 2 * self.gain, self.gain, -one, -two])
        # The input, the two before it, and the last two outputs.
        self._past: Floats = np.tile(start, (5, 1))

    def __call__(self, x: Floats) -> Floats:
        """Return the next output, shape (n,)."""
        past = self._past
        past[0] = x
        y: Floats = self._weights @ past
        past[2], past[1] = past[1], x
        past[4], past[3] = past[3], y
        return y

    def input_for(self, wanted: Floats) -> Floats:
        """Return the input that, held for two samples, makes ``wanted`` the second output.

        To ask for it at once would not be stable.
        """
        weights = self._weights
        _, x1, x2, y1, y2 = self._past
        first = weights[1:] @ np.stack([x1, x2, y1, y2])  # without the input's own part
        second = weights[2:] @ np.stack([x1, first, y1])
        part = weights[0] + weights[1] + weights[3] * weights[0]
        found: Floats = (wanted - second) / part
        return found
