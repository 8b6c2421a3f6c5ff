"""Clips and actions for tests of the quadruped."""

from __future__ import annotations

import numpy as np

from pytest_a2perf.domains.quadruped.clips import Clip
from pytest_a2perf.domains.quadruped.kinematics import DEFAULT_HEIGHT, DEFAULT_POSE

ZERO = np.zeros(12, dtype=np.float32)


def standing(steps=40, frame_duration=1.0):
    """A clip of the default pose."""
    return Clip(
        np.tile([0.0, 0.0, DEFAULT_HEIGHT], (steps, 1)),
        np.tile([1.0, 0.0, 0.0, 0.0], (steps, 1)),
        np.tile(DEFAULT_POSE, (steps, 1)),
        frame_duration,
    )
