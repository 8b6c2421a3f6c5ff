"""Where the feet are, and which joint angles put them there: the legs in closed form.

All arrays have any leading shape (...,). Legs come in the order front right, front left, rear
right, rear left, and the joints of a leg are abduction, hip, knee. Angles are those of Laikago's
clips: at zero, a thigh leans back by `HIP_OFFSET` and a knee is stretched by `KNEE_OFFSET` less
than the straight leg; positive abduction moves a right foot to the left, and a left one to the
right. The body's frame has x to the front, y to the left, z up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.errors import QuadrupedError

__all__ = [
    "DEFAULT_HEIGHT",
    "DEFAULT_POSE",
    "FOOT_RADIUS",
    "HIPS",
    "HIP_OFFSET",
    "JOINT_HIGH",
    "JOINT_LOW",
    "KNEE_OFFSET",
    "LEGS",
    "SHANK",
    "SIDE",
    "SIDE_LINK",
    "THIGH",
    "feet_in_body",
    "joints_for_feet",
]

Floats = NDArray[np.float64]

LEGS = ("FR", "FL", "RR", "RL")
SIDE: Floats = np.array([-1.0, 1.0, -1.0, 1.0])
"""-1 for right legs, 1 for left ones."""
HIPS: Floats = np.stack([[0.2, 0.2, -0.2, -0.2], 0.083 * SIDE, np.zeros(4)], axis=-1)
"""Where the legs begin, in the body's frame, shape (4, 3), m."""
SIDE_LINK = 0.037
"""From the abduction axis outwards to the thigh, m."""
THIGH = 0.285
SHANK = 0.265
"""From knee to the centre of the foot, m."""
FOOT_RADIUS = 0.035
HIP_OFFSET = 0.6
KNEE_OFFSET = -0.66
JOINT_LOW: Floats = np.tile([-0.9, -1.6, -2.0], 4)
JOINT_HIGH: Floats = np.tile([0.9, 1.6, 0.5], 4)
DEFAULT_POSE: Floats = np.tile([0.0, 0.07, -0.59], 4)
"""Joint angles around which actions are offsets: hips at 0.67 rad, knees at -1.25 rad."""


def feet_in_body(joints: Floats) -> Floats:
    """Return the centres of the feet in the body's frame.

    Args:
        joints: angles, shape (..., 12), rad.

    Returns:
        Positions, shape (..., 4, 3), m.
    """
    angles = joints.reshape(*joints.shape[:-1], 4, 3)
    lean = angles[..., 1] + HIP_OFFSET
    shank = lean + angles[..., 2] + KNEE_OFFSET
    roll = -SIDE * angles[..., 0] * _ABDUCTION
    down = -THIGH * np.cos(lean) - SHANK * np.cos(shank)
    out = SIDE * SIDE_LINK
    feet = np.stack(
        [
            -THIGH * np.sin(lean) - SHANK * np.sin(shank),
            out * np.cos(roll) - down * np.sin(roll),
            out * np.sin(roll) + down * np.cos(roll),
        ],
        axis=-1,
    )
    return feet + HIPS


def joints_for_feet(feet: Floats) -> Floats:
    """Return the joint angles, knees pointing back, that put the feet somewhere.

    Args:
        feet: centres of the feet in the body's frame, shape (..., 4, 3), m.

    Returns:
        Angles, shape (..., 12), rad.

    Raises:
        QuadrupedError: a leg is too short or too long.
    """
    x, y, z = np.moveaxis(feet - HIPS, -1, 0)
    plane = y**2 + z**2 - SIDE_LINK**2
    reach = x**2 + plane
    bend = (reach - THIGH**2 - SHANK**2) / (2 * THIGH * SHANK)
    if not (np.all(plane > 0) and np.all(np.abs(bend) < 1)):
        raise QuadrupedError("the legs do not reach that far; stride or height are too large")
    down = np.sqrt(plane)
    out = SIDE * SIDE_LINK
    roll = np.arctan2(z, y) - np.arctan2(-down, out)
    roll = (roll + np.pi) % (2 * np.pi) - np.pi
    knee = -np.arccos(bend)
    lean = np.arctan2(-x, down) - np.arctan2(SHANK * np.sin(knee), THIGH + SHANK * np.cos(knee))
    angles = [-SIDE * roll * _ABDUCTION, lean - HIP_OFFSET, knee - KNEE_OFFSET]
    return np.stack(angles, axis=-1).reshape(*feet.shape[:-2], 12)


_ABDUCTION = -1.0
DEFAULT_HEIGHT: float = FOOT_RADIUS - float(feet_in_body(DEFAULT_POSE)[0, 2])
"""Height of the trunk's centre in the default pose, m."""
