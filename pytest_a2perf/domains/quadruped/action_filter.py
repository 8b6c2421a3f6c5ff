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
        gain = self.gain
        # Direct form II, transposed: (input, state) -> (output, next state), all linear.
        self._matrix: Floats = np.array(
            [[gain, 1, 0], [(2 - one) * gain, -one, 1], [(1 - two) * gain, -two, 0]]
        )
        self._inputs: Floats = np.stack([start, start - gain * start, (gain - two) * start])
        self._state = self._inputs[1:]

    def __call__(self, x: Floats) -> Floats:
        """Return the next output, shape (n,)."""
        self._inputs[0] = x
        outputs: Floats = self._matrix.dot(self._inputs)  # quicker than @
        self._state[:] = outputs[1:]
        y: Floats = outputs[0]
        return y

    def input_for(self, wanted: Floats) -> Floats:
        """Return the input that, held for two samples, makes ``wanted`` the second output.

        To ask for it at once would not be stable.
        """
        # The second output is gain * x, and what the first step leaves behind.
        part, *rest = self._matrix[1] + [self.gain, 0, 0]
        found: Floats = (wanted - rest @ self._state) / part
        return found
