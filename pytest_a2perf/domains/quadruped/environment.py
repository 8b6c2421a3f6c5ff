"""The imitation environment: follow a clip, 30 times a second."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.action_filter import LowPass
from pytest_a2perf.domains.quadruped.clips import Clip
from pytest_a2perf.domains.quadruped.dynamics import Dynamics, draw_dynamics
from pytest_a2perf.domains.quadruped.errors import QuadrupedError
from pytest_a2perf.domains.quadruped.gaits import Gait, find_clip
from pytest_a2perf.domains.quadruped.history import HISTORY, Histories
from pytest_a2perf.domains.quadruped.kinematics import DEFAULT_POSE
from pytest_a2perf.domains.quadruped.model import CONTROL_STEP
from pytest_a2perf.domains.quadruped.reference import TARGET_STEPS, TARGETS_AT, WARM_UP, Reference
from pytest_a2perf.domains.quadruped.reward import compare
from pytest_a2perf.domains.quadruped.robot import Attitude, Robot

if TYPE_CHECKING:
    from pytest_a2perf.domains.quadruped.render import Renderer

__all__ = ["ACTION_LIMIT", "EPISODE_STEPS", "QuadrupedEnv", "curriculum"]

Observation = NDArray[np.float32]
Floats = NDArray[np.float64]

ACTION_LIMIT = 2 * math.pi
EPISODE_STEPS = 600
FIRST_STEPS = 20
"""Length of an episode where the curriculum begins."""
CURRICULUM = 30_000_000
"""Steps of all environments together until episodes have their full length."""
STANDS_AT_START = 0.1
"""Part of the episodes that begin in the default pose."""
_NO_ACTION: Floats = np.zeros(12)
MAX_DISTANCE = 1.0
MAX_ANGLE = math.pi / 2


def curriculum(steps: int, num_parallel_envs: int = 1) -> int:
    """Return how long an episode may be after so many steps of training."""
    part = min(steps / math.ceil(CURRICULUM / num_parallel_envs), 1.0) ** 3
    return int((1 - part) * FIRST_STEPS + part * EPISODE_STEPS)


def _observation_bounds() -> Observation:
    """Return the largest absolute values, shape (160,); wide, since nothing is clipped to them."""
    target = [100.0] * 3 + [2.0] * 4 + [2 * ACTION_LIMIT] * 12
    inertial = [math.pi, math.pi, 1000.0, 1000.0]
    own = [*inertial * HISTORY, *[ACTION_LIMIT] * 12 * HISTORY, *[2 * ACTION_LIMIT] * 12 * HISTORY]
    return np.array([*own, *target * len(TARGET_STEPS)], dtype=np.float32)


class QuadrupedEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Imitate a clip with a robot of 12 motors.

    An action is the offset of the 12 joints from the default pose, in rad. The observation, shape
    (160,), begins with histories of three control steps, newest first: roll, pitch and their rates
    (12 numbers), actions (36), joint angles (36). Then come four frames of the clip, 1, 2, 10 and
    30 control steps ahead, 19 numbers each: position relative to the reference's present one and
    rotation (x, y, z, w), both in the robot's heading frame, and joint angles.

    An episode ends when anything but a foot touches the ground, or the root is 1 m or 90 degrees
    off; after 600 steps it is truncated, and a success. ``info`` has the five terms of the reward.

    Args:
        clip: ``"pace"``, ``"trot"`` or ``"spin"``; or a file, a `Clip` or a `Gait`.
        mode: ``"train"`` draws another robot for each episode, and begins with short episodes.
        num_parallel_envs: how many environments train together: each gets its part of the steps
            that it takes until episodes have their full length.
        enable_randomizer: whether robots are drawn; default: in mode ``"train"``.
        render_mode: ``"rgb_array"`` or none.

    Raises:
        ClipError: the file is no clip.
        InfraError: MuJoCo is missing.
        QuadrupedError: there is no such clip or mode.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - so Gymnasium declares it
        "render_modes": ["rgb_array"],
        "render_fps": round(1 / CONTROL_STEP),
    }

    def __init__(
        self,
        clip: str | Path | Clip | Gait = "trot",
        *,
        mode: Literal["train", "test"] = "test",
        num_parallel_envs: int = 1,
        enable_randomizer: bool | None = None,
        render_mode: Literal["rgb_array"] | None = None,
    ) -> None:
        if mode not in {"train", "test"}:
            raise QuadrupedError(f"mode is {mode!r}; known: 'train', 'test'")
        if num_parallel_envs < 1:
            raise QuadrupedError(f"num_parallel_envs is {num_parallel_envs}; it must be above 0")
        if render_mode not in {"rgb_array", None}:
            raise QuadrupedError(f"render_mode is {render_mode!r}; known: 'rgb_array', None")
        self.clip = find_clip(clip)
        self.render_mode = render_mode
        self._trains, self._parallel = mode == "train", num_parallel_envs
        self._draws = self._trains if enable_randomizer is None else enable_randomizer
        self.robot = Robot()
        self.model, self.data = self.robot.model, self.robot.data
        bounds = _observation_bounds()
        self.observation_space = spaces.Box(-bounds, bounds, dtype=np.float32)
        self.action_space = spaces.Box(-ACTION_LIMIT, ACTION_LIMIT, (12,), np.float32)
        self.dynamics: Dynamics | None = None
        self._lag = 0.0
        self._trained = 0
        self._histories = Histories(EPISODE_STEPS, len(bounds))
        self._renderer: Renderer | None = None
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin somewhere in the clip or, in one of ten episodes, in the default pose before it.

        Args:
            seed: of all that is random in the episode.
            options: ``{"start": seconds}`` begins at that time of the clip.
        """
        super().reset(seed=seed, options=options)
        stands = self.np_random.random() < STANDS_AT_START
        part = self.np_random.random()
        start = (part - 1) * WARM_UP if stands else part * self.clip.duration
        if self._draws:
            self.dynamics = draw_dynamics(self.np_random)
            self.robot.change(self.dynamics)
            self._lag = self.dynamics.latency / CONTROL_STEP
        if options is not None and "start" in options:
            start = float(options["start"])
        self.limit = curriculum(self._trained, self._parallel) if self._trains else EPISODE_STEPS
        self.reference = Reference(self.clip, start, self.limit)
        self.robot.place(*self.reference.state(0))
        self._filter = LowPass(self.robot.joints)
        self._step, self._over = 0, False
        now = self.robot.attitude()
        self._readings: deque[Floats] = deque(maxlen=HISTORY)
        for before in range(1 - HISTORY, 1):
            seen = self._observe(before, now, _NO_ACTION)
        return seen, {}

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move the joints towards the default pose plus ``action``.

        Raises:
            QuadrupedError: the episode is over, or the action is not of 12 finite numbers.
        """
        if self._over:
            raise QuadrupedError("the episode is over: call reset")
        offset = np.asarray(action)
        # Cheaper than to ask each number whether it is finite, and to clip them all.
        length = math.hypot(*offset.tolist()) if offset.shape == (12,) else math.nan
        if not math.isfinite(length):
            raise QuadrupedError(f"an action is 12 finite numbers, got {action!r}")
        if length > ACTION_LIMIT:
            offset = np.clip(offset, -ACTION_LIMIT, ACTION_LIMIT)
        command = self._filter(offset + DEFAULT_POSE)
        robot, reference = self.robot, self.reference
        robot.move(command)
        self._step = step = self._step + 1
        if reference.begins_cycle[step]:
            reference.sync(step, self.data.qpos)
        now = robot.attitude()
        found = compare(robot.state(now.yaw), reference.wanted(step))
        fallen = found.distance > MAX_DISTANCE or found.angle > MAX_ANGLE or robot.fallen
        ended = reference.over[step]
        late = step >= self.limit
        self._over = over = fallen or ended or late
        self._trained += not over
        info = found.terms
        if over:
            info["is_success"] = not fallen
        seen = self._observe(step, now, offset)
        return seen, found.reward, fallen or ended, late and not fallen, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture of the robot from its side, shape (480, 640, 3).

        Raises:
            InfraError: OpenGL does not work here.
        """
        if self.render_mode is None:
            return None
        if self._renderer is None:
            from pytest_a2perf.domains.quadruped.render import Renderer

            self._renderer = Renderer(self.model)
        return self._renderer.draw(self.model, self.data)

    def close(self) -> None:
        """Free what the graphics hold."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _observe(self, step: int, now: Attitude, action: NDArray[Any]) -> Observation:
        """Return a copy of the observation; steps below 0 are what the first one remembers."""
        roll_rate, pitch_rate, _ = self.robot.rates.tolist()
        inertial = (now.roll, now.pitch, roll_rate, pitch_rate)
        if self._lag:
            reading = self._late(np.array([*inertial, *self.robot.joints]))
            seen = self._histories.note(step, reading[:4], action, reading[4:])
        else:
            seen = self._histories.note(step, inertial, action, self.robot.joints)
        self.reference.put_targets(max(step, 0), now.yaw, seen[TARGETS_AT:])
        return seen.copy()

    def _late(self, reading: Floats) -> Floats:
        """Return what is observed, as late as the robot's latency has it, shape (16,)."""
        readings = self._readings
        readings.appendleft(reading)
        whole = int(self._lag)
        blend = self._lag - whole
        last = len(readings) - 1  # nothing was before the first one
        late: Floats = readings[min(whole, last)] * (1 - blend)
        return late + readings[min(whole + 1, last)] * blend
