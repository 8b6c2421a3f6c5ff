"""Clips: motions to imitate, in the format of DeepMimic and motion_imitation.

A file is JSON: ``LoopMode``, ``FrameDuration``, ``EnableCycleOffsetPosition`` and ``-Rotation``,
and ``Frames`` of 19 numbers: position and rotation (x, y, z, w) of the root, and 12 joint angles.
Laikago's root, for which the files are made, looks along its z axis and has its y axis upwards;
`Clip` has the usual axes instead, x to the front and z up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.errors import ClipError
from pytest_a2perf.domains.quadruped.rotations import (
    about_z,
    conjugate,
    heading,
    multiply,
    rotate,
    rotation_vector,
    slerp,
)

__all__ = ["FRAME_SIZE", "Clip", "Motion", "read_clip", "write_clip"]

Floats = NDArray[np.float64]

FRAME_SIZE = 19
LOOP_MODES = ("Wrap", "Clamp")
_TOLERANCE = 1e-2
"""How far from 1 a quaternion's length may be: files have five digits."""
_ROOT: Floats = np.array([0.5, 0.5, 0.5, 0.5])
"""The rotation of a file's root in the usual axes."""


@dataclass(frozen=True, slots=True)
class Motion:
    """A motion at k points in time.

    Attributes:
        position: of the root, shape (k, 3), m.
        rotation: of the root, shape (k, 4).
        joints: angles, shape (k, 12), rad.
        linear: velocity of the root in the world's frame, shape (k, 3), m/s.
        angular: velocity of the root in the world's frame, shape (k, 3), rad/s.
        joint_velocities: shape (k, 12), rad/s.
    """

    position: Floats
    rotation: Floats
    joints: Floats
    linear: Floats
    angular: Floats
    joint_velocities: Floats


@dataclass(frozen=True)
class Clip:
    """Equidistant frames of a motion; between them it is interpolated.

    Attributes:
        position: of the root, shape (n, 3), m.
        rotation: of the root, shape (n, 4).
        joints: angles, shape (n, 12), rad.
        frame_duration: between two frames, s.
        wrap: begin again after the last frame, which is the first one; or stay there.
        offset_position: where a cycle begins, the last one ended; or at the origin.
        offset_rotation: likewise for the heading.
    """

    position: Floats
    rotation: Floats
    joints: Floats
    frame_duration: float
    wrap: bool = True
    offset_position: bool = True
    offset_rotation: bool = False

    @property
    def duration(self) -> float:
        """Length of a cycle, s."""
        return self.frame_duration * (len(self.position) - 1)

    @cached_property
    def velocities(self) -> tuple[Floats, Floats, Floats]:
        """Linear, angular and joint velocities: differences to the next frame."""
        turned = multiply(self.rotation[1:], conjugate(self.rotation[:-1]))
        steps = (
            np.diff(self.position, axis=0),
            rotation_vector(turned),
            np.diff(self.joints, axis=0),
        )
        linear, angular, joints = (
            np.concatenate([step, step[-1:]]) / self.frame_duration for step in steps
        )
        return linear, angular, joints

    def cycles(self, times: Floats) -> NDArray[np.int64]:
        """Return how many cycles are over, shape (k,)."""
        count = np.floor(times / self.duration).astype(np.int64)
        return count if self.wrap else np.clip(count, 0, 1)

    def sample(self, times: Floats) -> Motion:
        """Return the motion at some times, shape (k,), s; any, also before the first frame."""
        last = len(self.position) - 1
        count = np.floor(times / self.duration) if self.wrap else np.zeros_like(times)
        frames = np.clip(times / self.duration - count, 0, 1) * last
        first = np.minimum(frames.astype(np.int64), last - 1)
        blend = frames - first
        weight = blend[:, None]
        second = first + 1

        def between(values: Floats) -> Floats:
            blended: Floats = values[first] * (1 - weight) + values[second] * weight
            return blended

        linear, angular, joint_velocities = (between(values) for values in self.velocities)
        position = between(self.position)
        rotation = slerp(self.rotation[first], self.rotation[second], blend)
        turn, offset = self._cycle_offsets(count)
        if self.offset_rotation:
            cycle = about_z(turn)
            rotation = multiply(cycle, rotation)
            position, linear, angular = (rotate(cycle, v) for v in (position, linear, angular))
        if not self.wrap:
            over = ((times <= 0) | (times >= self.duration))[:, None]
            linear, angular, joint_velocities = (
                np.where(over, 0.0, v) for v in (linear, angular, joint_velocities)
            )
        return Motion(
            position + offset, rotation, between(self.joints), linear, angular, joint_velocities
        )

    def _cycle_offsets(self, count: Floats) -> tuple[Floats, Floats]:
        """Return the heading and the position, (k,) and (k, 3), at which cycles begin."""
        step = self.position[-1] - self.position[0]
        turn = float(heading(multiply(self.rotation[-1], conjugate(self.rotation[0]))))
        offset = np.zeros((len(count), 3))
        if not self.offset_rotation:
            turn = 0.0
        if self.offset_position:
            once = np.exp(1j * turn)
            # Sum of the steps of all cycles, each turned further than the one before.
            total = count if abs(once - 1) < 1e-12 else (once**count - 1) / (once - 1)
            moved = complex(step[0], step[1]) * total
            offset[:, 0], offset[:, 1] = moved.real, moved.imag
        return turn * count, offset


def read_clip(path: Path | str) -> Clip:
    """Read a clip; it is moved so that it begins at x = y = 0.

    Raises:
        ClipError: the file cannot be read, or is no clip.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ClipError(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ClipError(path, f"is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ClipError(path, "is no JSON object")
    for key in ("LoopMode", "FrameDuration", "Frames"):
        if key not in found:
            raise ClipError(path, f"{key} is missing")
    if found["LoopMode"] not in LOOP_MODES:
        known = ", ".join(map(repr, LOOP_MODES))
        raise ClipError(path, f"LoopMode is {found['LoopMode']!r}; known: {known}")
    duration = found["FrameDuration"]
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not duration > 0:
        raise ClipError(path, f"FrameDuration is {duration!r}; it must be above 0")
    if not np.isfinite(duration):
        raise ClipError(path, f"FrameDuration is {duration!r}; it must be finite")
    flags = [found.get(f"EnableCycleOffset{what}", False) for what in ("Position", "Rotation")]
    if not all(isinstance(flag, bool) for flag in flags):
        raise ClipError(path, "EnableCycleOffsetPosition and -Rotation must be true or false")
    frames = _frames(path, found["Frames"])
    rotation = multiply(frames[:, [6, 3, 4, 5]], conjugate(_ROOT))
    return Clip(
        position=frames[:, :3] - [*frames[0, :2], 0.0],
        rotation=rotation,
        joints=frames[:, 7:],
        frame_duration=float(duration),
        wrap=found["LoopMode"] == "Wrap",
        offset_position=flags[0],
        offset_rotation=flags[1],
    )


def _frames(path: Path | str, rows: Any) -> Floats:
    if not isinstance(rows, list) or len(rows) < 2:
        raise ClipError(path, "Frames must be a list of at least 2 frames")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != FRAME_SIZE:
            size = f"{len(row)} numbers" if isinstance(row, list) else f"the value {row!r}"
            raise ClipError(path, f"frame {number} has {size} instead of {FRAME_SIZE} numbers")
        if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in row):
            raise ClipError(path, f"frame {number} has something that is no number")
        if not np.isfinite(row).all():
            raise ClipError(path, f"frame {number} has a number that is not finite")
        length = float(np.linalg.norm(row[3:7]))
        if abs(length - 1) > _TOLERANCE:
            raise ClipError(
                path, f"frame {number} has a quaternion of length {length:.4g} instead of 1"
            )
    frames = np.array(rows, dtype=float)
    frames[:, 3:7] /= np.linalg.norm(frames[:, 3:7], axis=1, keepdims=True)
    return frames


def write_clip(clip: Clip, path: Path | str) -> None:
    """Write a clip in the format that `read_clip` reads."""
    rotation = multiply(clip.rotation, _ROOT)[:, [1, 2, 3, 0]]
    frames = np.concatenate([clip.position, rotation, clip.joints], axis=1)
    rows = ",\n".join(f"  {json.dumps(row)}" for row in frames.tolist())
    head = {
        "LoopMode": "Wrap" if clip.wrap else "Clamp",
        "FrameDuration": clip.frame_duration,
        "EnableCycleOffsetPosition": clip.offset_position,
        "EnableCycleOffsetRotation": clip.offset_rotation,
    }
    lines = "".join(f'"{key}": {json.dumps(value)},\n' for key, value in head.items())
    Path(path).write_text(f'{{\n{lines}\n"Frames":\n[\n{rows}\n]\n}}\n', encoding="utf-8")
