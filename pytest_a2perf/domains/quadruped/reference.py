"""What the robot shall do in an episode: the clip, one row for each control step."""

from __future__ import annotations

import cmath

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.clips import FRAME_SIZE, Clip
from pytest_a2perf.domains.quadruped.kinematics import DEFAULT_HEIGHT, DEFAULT_POSE, feet_in_body
from pytest_a2perf.domains.quadruped.model import CONTROL_STEP
from pytest_a2perf.domains.quadruped.rotations import about_z, conjugate, heading, multiply, rotate

__all__ = ["TARGET_STEPS", "WARM_UP", "Reference"]

Floats = NDArray[np.float64]

TARGET_STEPS = (1, 2, 10, 30)
"""How many control steps ahead the targets of an observation are."""
WARM_UP = 0.25
"""How long the robot may stand in its default pose before the clip begins, s."""


class Reference:
    """A clip, sampled for all steps of an episode; begins at x = y = 0 with heading 0.

    Where a cycle begins, the environment moves the reference to where the robot is, as A2Perf
    does: `origin` is added to its positions.

    Args:
        clip: to follow.
        start: time of the clip at step 0, s; before 0, the robot stands in its default pose.
        steps: length of the episode.
    """

    def __init__(self, clip: Clip, start: float, steps: int) -> None:
        rows = steps + max(TARGET_STEPS) + 1
        times: Floats = start + CONTROL_STEP * np.arange(rows, dtype=np.float64)
        motion = clip.sample(np.maximum(times, 0.0))
        waits = times < 0
        position, rotation, joints = motion.position, motion.rotation, motion.joints
        linear, angular, speeds = motion.linear, motion.angular, motion.joint_velocities
        if waits.any():
            first = clip.sample(np.zeros(1))
            position[waits] = [*first.position[0, :2], DEFAULT_HEIGHT]
            rotation[waits] = about_z(heading(first.rotation))
            joints[waits] = DEFAULT_POSE
            linear[waits], angular[waits], speeds[waits] = 0.0, 0.0, 0.0
        self.over = np.full(rows, False) if clip.wrap else times >= clip.duration
        cycles = clip.cycles(times)
        self.begins_cycle: list[bool] = (np.diff(cycles, prepend=cycles[0]) > 0).tolist()

        turn = about_z(-heading(rotation[0]))
        self.position = rotate(turn, position - [*position[0, :2], 0.0])
        self.rotation = multiply(turn, rotation)
        self.joints, self.joint_velocities = joints, speeds
        self.linear, self.angular = rotate(turn, linear), rotate(turn, angular)
        feet = rotate(self.rotation[:, None], feet_in_body(joints))
        level = about_z(-heading(self.rotation))[:, None]
        feet = rotate(level, feet)
        feet[..., 2] += self.position[:, None, 2]  # heights are compared in the world
        self.rows: Floats = np.concatenate(
            [self.position, self.rotation, self.linear, self.angular, feet.reshape(rows, 12)],
            axis=1,
        )
        """Position, rotation, velocities, and feet: relative to the root in the heading frame, but
        with their height in the world; shape (n, 25)."""
        self.origin: Floats = np.zeros(3)
        self._prepare_targets(steps)

    def _prepare_targets(self, steps: int) -> None:
        # Pairs of coordinates as complex numbers: to turn all targets about the vertical is then
        # a single product.
        ahead = np.arange(steps + 1)[:, None] + np.array(TARGET_STEPS)
        away = self.position[ahead] - self.position[: steps + 1, None]
        rotation = self.rotation[ahead]
        self._pairs: NDArray[np.complex128] = np.stack(
            [
                away[..., 0] + 1j * away[..., 1],
                rotation[..., 1] + 1j * rotation[..., 2],
                rotation[..., 3] + 1j * rotation[..., 0],
            ],
            axis=-1,
        )
        self._turn: NDArray[np.complex128] = np.empty(3, dtype=np.complex128)
        self._targets: NDArray[np.float32] = np.zeros(
            (steps + 1, len(TARGET_STEPS), FRAME_SIZE), dtype=np.float32
        )
        self._targets[..., 2] = away[..., 2]
        self._targets[..., 7:] = self.joints[ahead]

    def targets(self, step: int, yaw: float) -> NDArray[np.float32]:
        """Return the frames to come, in the robot's heading frame.

        Args:
            step: of the episode.
            yaw: the robot's heading, rad.

        Returns:
            Position relative to the reference's current one, rotation (x, y, z, w) with w not
            below 0, and joint angles, shape (4, 19).
        """
        half = cmath.exp(-0.5j * yaw)
        turn = self._turn
        turn[0], turn[1], turn[2] = half * half, half, half.conjugate()
        pairs = (self._pairs[step] * turn).view(np.float64)
        below = pairs[:, 5] < 0
        if below.any():
            pairs[below, 2:] *= -1
        found: NDArray[np.float32] = self._targets[step]
        found[:, :2] = pairs[:, :2]
        found[:, 3:7] = pairs[:, 2:]
        return found

    def sync(self, step: int, position: Floats) -> None:
        """Move the reference to where the robot is, on the ground plane."""
        self.origin[:2] = position[:2] - self.position[step, :2]

    def state(self, step: int) -> tuple[Floats, Floats]:
        """Return the reference as MuJoCo's ``qpos`` and ``qvel``, shapes (19,) and (18,)."""
        rotation = self.rotation[step]
        local = rotate(conjugate(rotation), self.angular[step])
        return (
            np.concatenate([self.position[step] + self.origin, rotation, self.joints[step]]),
            np.concatenate([self.linear[step], local, self.joint_velocities[step]]),
        )
