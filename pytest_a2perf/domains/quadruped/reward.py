"""The imitation reward of DeepMimic and A2Perf: five terms, each 1 where the robot is exact."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.reference import Reference

__all__ = ["WEIGHTS", "Attitude", "Tracking", "attitude", "compare"]

Floats = NDArray[np.float64]

WEIGHTS = {
    "pose": 0.5,
    "velocity": 0.05,
    "end_effector": 0.2,
    "root_pose": 0.15,
    "root_velocity": 0.1,
}


class Attitude(NamedTuple):
    """How the trunk is turned; in plain numbers, which is several times faster than arrays of 4.

    Attributes:
        rotation: quaternion (w, x, y, z).
        roll: about the axis to the front, rad.
        pitch: about the axis to the left, rad; down is positive.
        yaw: the heading, rad.
    """

    rotation: tuple[float, float, float, float]
    roll: float
    pitch: float
    yaw: float


class Tracking(NamedTuple):
    """How well the robot follows the reference.

    Attributes:
        terms: from 0 to 1, before they are weighted.
        distance: of the root from its reference, m.
        angle: between the root and its reference, rad.
    """

    terms: dict[str, float]
    distance: float
    angle: float

    @property
    def reward(self) -> float:
        """The weighted sum, from 0 to 1."""
        return sum(WEIGHTS[name] * term for name, term in self.terms.items())


def attitude(qpos: list[float]) -> Attitude:
    """Return how the trunk is turned, from MuJoCo's ``qpos``."""
    w, x, y, z = qpos[3:7]
    return Attitude(
        (w, x, y, z),
        math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
        math.asin(min(max(2 * (w * y - z * x), -1.0), 1.0)),
        math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
    )


def compare(
    reference: Reference, step: int, qpos: Floats, qvel: Floats, *, feet: Floats, now: Attitude
) -> Tracking:
    """Compare the robot with a row of the reference.

    Args:
        reference: of the episode.
        step: its row.
        qpos: MuJoCo's positions, shape (19,).
        qvel: MuJoCo's velocities, shape (18,): angular ones in the body's frame.
        feet: their centres in the world, shape (4, 3), m.
        now: attitude of the trunk.
    """
    joints = reference.joints[step] - qpos[7:]
    speeds = reference.joint_velocities[step] - qvel[6:]
    # Plain numbers from here: several times faster than arrays of 3.
    px, py, pz, *wanted = reference.rows[step].tolist()
    rotation, linear, angular, wanted = wanted[:4], wanted[4:7], wanted[7:10], wanted[10:]
    ox, oy, _ = reference.origin.tolist()
    x, y, z = qpos[:3].tolist()
    off = (px + ox - x) ** 2 + (py + oy - y) ** 2 + (pz - z) ** 2
    angle = _angle_between(rotation, now.rotation)
    a, b, c, *local = qvel[:6].tolist()
    speed = (linear[0] - a) ** 2 + (linear[1] - b) ** 2 + (linear[2] - c) ** 2
    a, b, c = _turned(now.rotation, local)
    spin = (angular[0] - a) ** 2 + (angular[1] - b) ** 2 + (angular[2] - c) ** 2
    cosine, sine = math.cos(now.yaw), math.sin(now.yaw)
    ends = 0.0
    for leg, (foot_x, foot_y, foot_z) in enumerate(feet.tolist()):
        front, left, height = wanted[3 * leg : 3 * leg + 3]
        a, b = foot_x - x, foot_y - y
        ends += (a * cosine + b * sine - front) ** 2 + (b * cosine - a * sine - left) ** 2
        ends += 3 * (foot_z - height) ** 2
    return Tracking(
        {
            "pose": math.exp(-5 * (joints @ joints)),
            "velocity": math.exp(-0.1 * (speeds @ speeds)),
            "end_effector": math.exp(-40 * ends),
            "root_pose": math.exp(-20 * (off + 0.5 * angle * angle)),
            "root_velocity": math.exp(-2 * (speed + 0.1 * spin)),
        },
        math.sqrt(off),
        angle,
    )


def _angle_between(one: list[float], other: tuple[float, float, float, float]) -> float:
    a, b, c, d = one
    w, x, y, z = other
    # The parts of one times the inverse of the other.
    real = a * w + b * x + c * y + d * z
    i = b * w - a * x + d * y - c * z
    j = c * w - a * y + b * z - d * x
    k = d * w - a * z + c * x - b * y
    return 2 * math.atan2(math.sqrt(i * i + j * j + k * k), abs(real))


def _turned(
    rotation: tuple[float, float, float, float], vector: list[float]
) -> tuple[float, float, float]:
    w, x, y, z = rotation
    a, b, c = vector
    i, j, k = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return a + w * i + y * k - z * j, b + w * j + z * i - x * k, c + w * k + x * j - y * i
