"""What the robot shall do in an episode: the clip, one row for each control step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.clips import FRAME_SIZE, Clip
from pytest_a2perf.domains.quadruped.kinematics import DEFAULT_HEIGHT, DEFAULT_POSE, feet_in_body
from pytest_a2perf.domains.quadruped.model import CONTROL_STEP
from pytest_a2perf.domains.quadruped.rotations import about_z, conjugate, heading, multiply, rotate

__all__ = ["STATE_SIZE", "TARGETS_AT", "TARGET_STEPS", "WARM_UP", "Reference", "frames_of"]

Floats = NDArray[np.float64]

TARGET_STEPS = (1, 2, 10, 30)
"""How many control steps ahead the targets of an observation are."""
TARGETS_AT = 84
"""Where the targets begin in an observation."""
WARM_UP = 0.25
"""How long the robot may stand in its default pose before the clip begins, s."""
STATE_SIZE = 49
"""A state, as robot and reference are compared: MuJoCo's ``qpos`` (19) and ``qvel`` (18), but with
angular velocities in the world's frame; and the feet (12): all x and y, relative to the root in the
heading frame, then all z in the world."""


def frames_of(observation: NDArray[Any]) -> NDArray[Any]:
    """Return the targets of an observation of shape (160,): frames, shape (4, 19)."""
    return observation[TARGETS_AT:].reshape(len(TARGET_STEPS), FRAME_SIZE)


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
        self.over: list[bool] = [False] * rows if clip.wrap else (times >= clip.duration).tolist()
        cycles = clip.cycles(times)
        self.begins_cycle: list[bool] = (np.diff(cycles, prepend=cycles[0]) > 0).tolist()

        turn = about_z(-heading(rotation[0]))
        self.position = rotate(turn, position - [*position[0, :2], 0.0])
        self.rotation = multiply(turn, rotation)
        self.joints, self.joint_velocities = joints, speeds
        self.linear, self.angular = rotate(turn, linear), rotate(turn, angular)
        self.origin: Floats = np.zeros(3)
        level = multiply(about_z(-heading(self.rotation)), self.rotation)
        feet = rotate(level[:, None], feet_in_body(joints))
        self.states: Floats = np.concatenate(
            [
                self.position,
                self.rotation,
                joints,
                self.linear,
                self.angular,
                speeds,
                feet[..., :2].reshape(rows, 8),
                feet[..., 2] + self.position[:, 2:],
            ],
            axis=1,
        )
        """What is worth 1 while `origin` is 0, shape (n, 49): see `STATE_SIZE`."""
        self._prepare_targets(steps)

    def _prepare_targets(self, steps: int) -> None:
        ahead = np.arange(steps + 1)[:, None] + np.array(TARGET_STEPS)
        away = self.position[ahead] - self.position[: steps + 1, None]
        w, x, y, z = np.moveaxis(self.rotation[ahead], -1, 0)
        self._targets: NDArray[np.float32] = np.zeros(
            (steps + 1, 5, len(TARGET_STEPS), FRAME_SIZE), dtype=np.float32
        )
        fixed, cosine, sine, half_cosine, half_sine = np.moveaxis(self._targets, 1, 0)
        fixed[..., 2], fixed[..., 7:] = away[..., 2], self.joints[ahead]
        # Turned by the heading, backwards; a quaternion, by its half.
        cosine[..., 0], cosine[..., 1] = away[..., 0], away[..., 1]
        sine[..., 0], sine[..., 1] = away[..., 1], -away[..., 0]
        half_cosine[..., 3:7] = np.stack([x, y, z, w], axis=-1)
        half_sine[..., 3:7] = np.stack([y, -x, -w, z], axis=-1)
        self._targets = self._targets.reshape(steps + 1, 5, -1)
        self._turn = np.ones(5, dtype=np.float32)
        self._looks_back = float(np.abs(np.arctan2(z, w)).max()) > math.pi / 4

    def put_targets(self, step: int, yaw: float, found: NDArray[np.float32]) -> None:
        """Write down the frames to come, in the robot's heading frame.

        Position relative to the reference's current one, rotation (x, y, z, w) with w not below 0,
        and joint angles, of four frames.

        Args:
            step: of the episode.
            yaw: the robot's heading, rad.
            found: where to, shape (76,).
        """
        turn = self._turn
        turn[1], turn[2] = math.cos(yaw), math.sin(yaw)
        turn[3], turn[4] = math.cos(yaw / 2), math.sin(yaw / 2)
        turn.dot(self._targets[step], out=found)
        # Without this, robot and reference look in directions less than half a turn apart.
        far = self._looks_back or abs(yaw) > math.pi / 2
        if far and min(found[6::FRAME_SIZE].tolist()) < 0:
            frames = found.reshape(-1, FRAME_SIZE)
            frames[frames[:, 6] < 0, 3:7] *= -1

    def sync(self, step: int, position: Floats) -> None:
        """Move the reference, from a step on, to where the robot is on the ground plane."""
        self.origin[:2] = position[:2] - self.position[step, :2]

    def wanted(self, step: int) -> list[float]:
        """Return what is worth 1 at a step, 49 numbers: see `STATE_SIZE`."""
        state: list[float] = self.states[step].tolist()
        x, y, _ = self.origin.tolist()
        state[0] += x
        state[1] += y
        return state

    def state(self, step: int) -> tuple[Floats, Floats]:
        """Return the reference as MuJoCo's ``qpos`` and ``qvel``, shapes (19,) and (18,)."""
        rotation = self.rotation[step]
        local = rotate(conjugate(rotation), self.angular[step])
        return (
            np.concatenate([self.position[step] + self.origin, rotation, self.joints[step]]),
            np.concatenate([self.linear[step], local, self.joint_velocities[step]]),
        )
