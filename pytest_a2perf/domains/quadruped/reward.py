"""The imitation reward of DeepMimic and A2Perf: five terms, each 1 where the robot is exact."""

from __future__ import annotations

import math
from math import dist, exp
from operator import mul
from typing import Any, NamedTuple

__all__ = ["WEIGHTS", "Tracking", "compare"]

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

    terms: dict[str, Any]
    reward: float
    distance: float
    angle: float


def compare(state: list[float], wanted: list[float]) -> Tracking:
    """Compare the robot with its reference.

    Args:
        state: of the robot, 49 numbers: see `STATE_SIZE`.
        wanted: of the reference, likewise.
    """
    # Of so few numbers, and after a step of the physics, arrays take longer.
    off = dist(state[:3], wanted[:3])
    chord = dist(state[3:7], wanted[3:7]) ** 2
    pose = dist(state[7:19], wanted[7:19]) ** 2
    moves = dist(state[19:22], wanted[19:22]) ** 2 + 0.1 * dist(state[22:25], wanted[22:25]) ** 2
    velocity = dist(state[25:37], wanted[25:37]) ** 2
    feet = dist(state[37:45], wanted[37:45]) ** 2 + 3 * dist(state[45:], wanted[45:]) ** 2
    # A quaternion and its negative are the same rotation; chord is the square of the distance.
    angle = 4 * math.asin(math.sqrt(min(chord, abs(4 - chord))) / 2)
    terms = {
        "pose": exp(-5 * pose),
        "velocity": exp(-0.1 * velocity),
        "end_effector": exp(-40 * feet),
        "root_pose": exp(-20 * (off * off + 0.5 * angle * angle)),
        "root_velocity": exp(-2 * moves),
    }
    reward = sum(map(mul, WEIGHTS.values(), terms.values()))
    return Tracking(terms, reward, off, angle)
