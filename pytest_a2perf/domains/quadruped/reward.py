"""The imitation reward of DeepMimic and A2Perf: five terms, each 1 where the robot is exact."""

from __future__ import annotations

import math
import operator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.reference import STATE_SIZE

__all__ = ["WEIGHTS", "Tracking", "compare"]

Floats = NDArray[np.float64]

WEIGHTS = {
    "pose": 0.5,
    "velocity": 0.05,
    "end_effector": 0.2,
    "root_pose": 0.15,
    "root_velocity": 0.1,
}


class Tracking(NamedTuple):
    """How well the robot follows the reference.

    Attributes:
        terms: from 0 to 1, before they are weighted.
        reward: their weighted sum, from 0 to 1.
        distance: of the root from its reference, m.
        angle: between the root and its reference, rad.
    """

    terms: dict[str, float]
    reward: float
    distance: float
    angle: float


def _sums() -> Floats:
    """Return which squares of a state's errors make a sum, and with what weight, shape (49, 6)."""
    sums = np.zeros((STATE_SIZE, 6))
    position, rotation, pose = slice(3), slice(3, 7), slice(7, 19)
    linear, angular, velocity, feet = slice(19, 22), slice(22, 25), slice(25, 37), slice(37, 49)
    sums[pose, 0] = sums[velocity, 1] = sums[position, 3] = sums[rotation, 4] = 1.0
    sums[feet, 2] = [1.0] * 8 + [3.0] * 4
    sums[linear, 5], sums[angular, 5] = 1.0, 0.1
    return sums


_SUMS = _sums()


def compare(state: Floats, wanted: Floats) -> Tracking:
    """Compare the robot with its reference.

    Args:
        state: of the robot, shape (49,): see `STATE_SIZE`.
        wanted: of the reference, likewise.
    """
    error = state - wanted
    pose, velocity, feet, off, chord, moves = ((error * error) @ _SUMS).tolist()
    # A quaternion and its negative are the same rotation; chord is the square of the distance.
    angle = 4 * math.asin(math.sqrt(min(chord, abs(4 - chord))) / 2)
    terms = {
        "pose": math.exp(-5 * pose),
        "velocity": math.exp(-0.1 * velocity),
        "end_effector": math.exp(-40 * feet),
        "root_pose": math.exp(-20 * (off + 0.5 * angle * angle)),
        "root_velocity": math.exp(-2 * moves),
    }
    reward = sum(map(operator.mul, WEIGHTS.values(), terms.values()))
    return Tracking(terms, reward, math.sqrt(off), angle)
