"""Agents for the imitation environments: idle, gaits without and with feedback, and trained."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.action_filter import LowPass
from pytest_a2perf.domains.quadruped.kinematics import (
    DEFAULT_POSE,
    JOINT_HIGH,
    JOINT_LOW,
    feet_in_body,
)
from pytest_a2perf.domains.quadruped.model import CONTROL_STEP, STIFFNESS
from pytest_a2perf.domains.quadruped.reference import frames_of
from pytest_a2perf.domains.quadruped.residual import Residual
from pytest_a2perf.errors import AgentError

__all__ = ["FeedbackAgent", "IdleAgent", "OpenLoopAgent", "TrainedAgent"]

Observation = NDArray[np.float32]
Floats = NDArray[np.float64]

_SMALL = 1e-6
_SHIFTS: Floats = _SMALL * np.tile(np.eye(4, 3, -1), 4)
"""Of joints, for differences: none, then each kind of joint in turn, shape (4, 12)."""
_WEIGHT = 20.04 * 9.81
"""Of the robot, N."""


class IdleAgent:
    """Holds the default pose."""

    def __init__(self, env: Any) -> None:
        _check(env)

    def act(self, observation: Observation) -> Observation:
        """Return no offset."""
        del observation
        return np.zeros(12, dtype=np.float32)


class OpenLoopAgent:
    """Plays the clip's joint angles, whatever the robot does.

    It makes up for what delays and bends the joints: it looks ahead, inverts the low-pass filter
    between actions and motors as far as that is stable, and sets joints beyond the clip's angles
    where their legs carry the robot.

    Args:
        env: a `QuadrupedEnv`, or one with its observations.
        lead: how far ahead of the clip the motors are set, in control steps.
        load: part of the weight that is made up for.
    """

    def __init__(self, env: Any, lead: float = 0.2, load: float = 1.0) -> None:
        _check(env)
        self._lead, self._load = lead, load
        self._filter: LowPass | None = None

    def reset(self, seed: int) -> None:
        """Begin an episode; nothing is random here."""
        del seed
        self._filter = None

    def act(self, observation: Observation) -> Observation:
        """Return the offsets that take the joints to the clip's angles."""
        seen = observation.astype(np.float64)
        if self._filter is None:
            self._filter = LowPass(seen[48:60])
        frames = frames_of(seen)
        joints = frames[1, 7:] + self._lead * (frames[1, 7:] - frames[0, 7:])
        feet, jacobian = _feet_and_jacobian(joints)
        height = feet[:, 2] - feet[:, 2].min()
        carries = np.clip(1 - height / 0.02, 0.0, 1.0)
        force = np.zeros((4, 3))
        force[:, 2] = -self._load * _WEIGHT * carries / max(carries.sum(), 1.0)
        bend = np.einsum("lij,li->lj", jacobian, force) / STIFFNESS
        move = self.correct(frames, seen, feet, carries)
        # Damped least squares: a leg that is nearly straight must not jump.
        square = jacobian @ jacobian.swapaxes(1, 2) + 1e-4 * np.eye(3)
        change = np.einsum("lij,li->lj", jacobian, np.linalg.solve(square, move[..., None])[..., 0])
        wanted = np.clip(joints + (change + bend).reshape(12), JOINT_LOW, JOINT_HIGH)
        command = self._filter.input_for(wanted)
        self._filter(command)
        return (command - DEFAULT_POSE).astype(np.float32)

    def correct(self, frames: Floats, seen: Floats, feet: Floats, carries: Floats) -> Floats:
        """Return how far to move the feet from where the clip has them, shape (4, 3), m.

        Args:
            frames: the targets of the observation, shape (4, 19).
            seen: the observation, shape (160,).
            feet: in the body's frame, shape (4, 3), m.
            carries: 1 for feet on the ground, 0 for swinging ones, shape (4,).
        """
        del frames, seen, carries
        return np.zeros_like(feet)


class FeedbackAgent(OpenLoopAgent):
    """Plays the clip, but keeps the robot upright and on course.

    Swinging feet land further to where the robot moves faster than the clip, as in Raibert's
    hoppers; how fast it moves follows from the feet that carry it. Feet also turn about the trunk's
    centre against an error of the heading: backwards while they carry, and forwards again while
    they swing. Where the trunk rolls or pitches, the legs on the lower side push.

    Args:
        env: a `QuadrupedEnv`, or one with its observations.
        lead: see `OpenLoopAgent`.
        load: see `OpenLoopAgent`.
        capture: way of a foothold for an error of the velocity, s.
        steer: heading to correct in each second and radian of its error, 1/s.
        damp: change of the feet's height for the trunk's rate, as a part of what it turns in 1 s.
    """

    def __init__(
        self,
        env: Any,
        lead: float = 0.2,
        load: float = 1.0,
        *,
        capture: float = 0.02,
        steer: float = 1.5,
        damp: float = 0.015,
    ) -> None:
        super().__init__(env, lead, load)
        self._capture, self._steer, self._damp = capture, steer, damp
        self._turn: Floats = np.zeros(4)
        self._shift: Floats = np.zeros((4, 2))

    def reset(self, seed: int) -> None:
        """Begin an episode; nothing is random here."""
        super().reset(seed)
        self._turn, self._shift = np.zeros(4), np.zeros((4, 2))

    def correct(self, frames: Floats, seen: Floats, feet: Floats, carries: Floats) -> Floats:
        """See `OpenLoopAgent.correct`."""
        swings = 1 - carries
        x, y, z, w = frames[0, 3:7]
        yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        # Where a foot goes while it carries, the trunk goes the other way.
        rate = self._steer * np.clip(yaw, -0.5, 0.5)
        self._turn += -CONTROL_STEP * rate * carries - 0.3 * swings * (self._turn - 0.15 * rate)

        was, now, then, later = feet_in_body(
            np.stack([seen[60:72], seen[48:60], frames[0, 7:], frames[1, 7:]])
        )
        moved = (now - was) / CONTROL_STEP - (later - then) / CONTROL_STEP
        # The trunk's rotation moves the feet in its frame, too.
        moved[:, 0] += seen[3] * now[:, 2]
        moved[:, 1] -= seen[2] * now[:, 2]
        excess = -carries @ moved[:, :2] / max(carries.sum(), 1.0)
        aim = self._capture * np.clip(excess, -0.5, 0.5)
        self._shift += 0.4 * swings[:, None] * (aim - self._shift)
        return np.stack(
            [
                -self._turn * feet[:, 1] + self._shift[:, 0],
                self._turn * feet[:, 0] + self._shift[:, 1],
                self._damp * (seen[2] * feet[:, 1] - seen[3] * feet[:, 0]),
            ],
            axis=-1,
        )


class TrainedAgent(FeedbackAgent):
    """Adds to the feedback controller what was learned about a clip.

    Args:
        env: a `QuadrupedEnv`, or one with its observations.
        policy: the clip it was trained for, ``"pace"``, ``"trot"`` or ``"spin"``; or the path of a
            file that ``training/quadruped.py`` wrote; or the policy itself.

    Raises:
        AgentError: there is no such policy.
    """

    def __init__(self, env: Any, policy: str | Residual) -> None:
        super().__init__(env)
        self._policy = policy if isinstance(policy, Residual) else Residual.load(policy)

    def act(self, observation: Observation) -> Observation:
        """Return the sum of both actions."""
        added = self._policy(observation)
        return (super().act(observation) + added).astype(np.float32)


def _feet_and_jacobian(joints: Floats) -> tuple[Floats, Floats]:
    """Return where the feet are, shape (4, 3), and how they move with their legs' joints.

    The latter has shape (4, 3 coordinates, 3 joints).
    """
    feet, *moved = feet_in_body(joints + _SHIFTS)
    return feet, np.stack([there - feet for there in moved], axis=-1) / _SMALL


def _check(env: Any) -> None:
    shape = getattr(getattr(env, "single_action_space", env.action_space), "shape", None)
    seen = getattr(getattr(env, "single_observation_space", env.observation_space), "shape", None)
    if shape != (12,) or seen != (160,):
        raise AgentError(f"this agent walks on four legs; it cannot act in {env}")
