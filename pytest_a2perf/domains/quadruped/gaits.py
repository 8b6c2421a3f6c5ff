"""The clips that ship: pace, trot and spin, made from a few numbers each.

A foot stands still on the ground while it carries, and then swings to its next foothold: where it
is below its hip's place in the middle of its next stance. The trunk moves evenly. Inverse
kinematics give the joints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.clips import Clip, read_clip
from pytest_a2perf.domains.quadruped.errors import QuadrupedError
from pytest_a2perf.domains.quadruped.kinematics import (
    FOOT_RADIUS,
    HIPS,
    SIDE,
    SIDE_LINK,
    joints_for_feet,
)
from pytest_a2perf.domains.quadruped.rotations import about_z, conjugate, rotate
from pytest_a2perf.suggest import did_you_mean

__all__ = ["GAITS", "Gait", "find_clip", "generate"]

Floats = NDArray[np.float64]

FRAMES_PER_SECOND = 60


@dataclass(frozen=True, slots=True)
class Gait:
    """What a clip is made from.

    Attributes:
        period: of a cycle, s.
        duty: part of the cycle in which a foot carries.
        phases: when, as a part of the cycle, the stance of each leg begins, in the order of the
            legs: front right, front left, rear right, rear left.
        stride: way of the trunk in a cycle, m.
        lift: height of a foot in the middle of its swing, m.
        height: of the trunk's centre, m.
        yaw_rate: how fast the trunk turns to the left, rad/s.
        sway: amplitude of the trunk's movement to the side, m.
        stance: distance of the footholds from the thigh's plane to the outside, m.
    """

    period: float
    duty: float
    phases: tuple[float, float, float, float]
    stride: float = 0.0
    lift: float = 0.06
    height: float = 0.44
    yaw_rate: float = 0.0
    sway: float = 0.0
    stance: float = 0.0


GAITS: Mapping[str, Gait] = {
    "pace": Gait(
        0.45, 0.63, (0.0, 0.5, 0.0, 0.5), stride=0.225, lift=0.045, sway=0.0075, stance=-0.01
    ),
    "trot": Gait(0.6, 0.6, (0.0, 0.5, 0.5, 0.0), stride=0.4, lift=0.05, stance=0.01),
    "spin": Gait(0.5, 0.63, (0.0, 0.5, 0.5, 0.0), yaw_rate=1.0, lift=0.045),
}
"""The gaits that ship, by name."""


def generate(gait: Gait) -> Clip:
    """Make a clip of one cycle.

    Raises:
        QuadrupedError: the gait makes no sense, or the legs do not reach that far.
    """
    if not (gait.period > 0 and 0 < gait.duty < 1 and gait.lift > 0):
        raise QuadrupedError(f"period and lift must be above 0, and duty between 0 and 1: {gait}")
    count = max(round(gait.period * FRAMES_PER_SECOND), 8)
    times = np.linspace(0.0, gait.period, count + 1)
    position, yaw = _trunk(gait, times)
    feet = np.stack([_foot(gait, leg, times) for leg in range(4)], axis=1)
    rotation = about_z(yaw)
    relative = rotate(conjugate(rotation)[:, None], feet - position[:, None])
    return Clip(
        position=position - [*position[0, :2], 0.0],
        rotation=rotation,
        joints=joints_for_feet(relative),
        frame_duration=gait.period / count,
        offset_rotation=gait.yaw_rate != 0,
    )


def _trunk(gait: Gait, times: Floats) -> tuple[Floats, Floats]:
    """Return position and heading of the trunk, of shape (..., 3) and (...)."""
    yaw = gait.yaw_rate * times
    speed = gait.stride / gait.period
    if gait.yaw_rate:
        x, y = np.sin(yaw) * speed / gait.yaw_rate, (1 - np.cos(yaw)) * speed / gait.yaw_rate
    else:
        x, y = speed * times, np.zeros_like(times)
    # To the left while the left feet begin to carry.
    side = gait.sway * np.cos(2 * np.pi * (times / gait.period - gait.phases[1] - gait.duty / 2))
    return np.stack(
        [x - side * np.sin(yaw), y + side * np.cos(yaw), np.full_like(x, gait.height)], axis=-1
    ), yaw


def _foot(gait: Gait, leg: int, times: Floats) -> Floats:
    """Return the way of a foot's centre, shape (n, 3)."""
    cycles = times / gait.period - gait.phases[leg]
    number = np.floor(cycles)
    swing = np.clip((cycles - number - gait.duty) / (1 - gait.duty), 0, 1)
    here, there = _foothold(gait, leg, number), _foothold(gait, leg, number + 1)
    # Both begin and end at rest.
    along = swing - np.sin(2 * np.pi * swing) / (2 * np.pi)
    foot = here + (there - here) * along[:, None]
    foot[:, 2] += gait.lift * np.sin(np.pi * swing) ** 2
    return foot


def _foothold(gait: Gait, leg: int, number: Floats) -> Floats:
    """Return where a foot stands in some of its stances, shape (n, 3)."""
    middle = (number + gait.phases[leg] + gait.duty / 2) * gait.period
    straight = Gait(
        gait.period, gait.duty, gait.phases, gait.stride, gait.lift, gait.height, gait.yaw_rate
    )
    position, yaw = _trunk(straight, middle)
    below = HIPS[leg] + [0.0, SIDE[leg] * (SIDE_LINK + gait.stance), 0.0]
    foot = position + rotate(about_z(yaw), np.broadcast_to(below, position.shape))
    foot[:, 2] = FOOT_RADIUS
    return foot


@cache
def _shipped(name: str) -> Clip:
    return generate(GAITS[name])


def find_clip(clip: str | Path | Clip | Gait) -> Clip:
    """Return a clip by the name of one that ships, by the path of a file, or as it is.

    Raises:
        ClipError: the file is no clip.
        QuadrupedError: there is no such clip.
    """
    if isinstance(clip, Clip):
        return clip
    if isinstance(clip, Gait):
        return generate(clip)
    if clip in GAITS:
        return _shipped(str(clip))
    path = Path(clip)
    if path.is_file():
        return read_clip(path)
    raise QuadrupedError(
        f"there is no clip {str(clip)!r}: give a path, or one of "
        f"{', '.join(map(repr, sorted(GAITS)))}{did_you_mean(str(clip), GAITS)}"
    )
