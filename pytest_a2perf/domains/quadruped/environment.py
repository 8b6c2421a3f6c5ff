"""The imitation environment: follow a clip, 30 times a second."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.action_filter import LowPass
from pytest_a2perf.domains.quadruped.clips import Clip
from pytest_a2perf.domains.quadruped.dynamics import Dynamics, apply_dynamics, draw_dynamics
from pytest_a2perf.domains.quadruped.errors import QuadrupedError
from pytest_a2perf.domains.quadruped.gaits import Gait, find_clip
from pytest_a2perf.domains.quadruped.kinematics import DEFAULT_POSE
from pytest_a2perf.domains.quadruped.model import CONTROL_STEP, SUBSTEPS, compile_model, feet_of
from pytest_a2perf.domains.quadruped.reference import TARGET_STEPS, WARM_UP, Reference
from pytest_a2perf.domains.quadruped.reward import Attitude, attitude, compare

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
MAX_DISTANCE = 1.0
MAX_ANGLE = math.pi / 2
HISTORY = 3


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
        self._built = compile_model()
        import mujoco

        self.clip = find_clip(clip)
        self.render_mode = render_mode
        self._trains, self._parallel = mode == "train", num_parallel_envs
        self._draws = self._trains if enable_randomizer is None else enable_randomizer
        self.model = copy.copy(self._built)
        self.data = mujoco.MjData(self.model)
        self._advance, self._place_geoms = mujoco.mj_step, mujoco.mj_kinematics
        # Views, each of which would take as long to get as to use.
        data = self.data
        self._qpos, self._qvel, self._places = data.qpos, data.qvel, data.geom_xpos
        self._act, self._ctrl = data.act, data.ctrl
        feet = feet_of(self.model)
        self._feet = slice(int(feet[0]), int(feet[-1]) + 1, int(feet[1] - feet[0]))
        self._soles = frozenset(feet.tolist())
        bounds = _observation_bounds()
        self.observation_space = spaces.Box(-bounds, bounds, dtype=np.float32)
        self.action_space = spaces.Box(-ACTION_LIMIT, ACTION_LIMIT, (12,), np.float32)
        self.dynamics: Dynamics | None = None
        self._lag = 0.0
        self._trained = 0
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
            apply_dynamics(self.model, self._built, self.dynamics)
            self._lag = self.dynamics.latency / CONTROL_STEP
        if options is not None and "start" in options:
            start = float(options["start"])
        self.limit = curriculum(self._trained, self._parallel) if self._trains else EPISODE_STEPS
        self.reference = Reference(self.clip, start, self.limit)
        import mujoco

        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = self.reference.state(0)
        joints = self.data.qpos[7:].copy()
        self.data.act[:] = joints
        self._filter, self._command = LowPass(joints), joints
        mujoco.mj_forward(self.model, self.data)
        self._step, self._over = 0, False
        now = attitude(self.data.qpos.tolist())
        reading = self._reading(now)
        self._readings = [reading] * HISTORY
        self._inertial, self._angles = [reading[:4]] * HISTORY, [reading[4:]] * HISTORY
        self._actions = [np.zeros(12)] * HISTORY
        return self._observe(now), {}

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move the joints towards the default pose plus ``action``.

        Raises:
            QuadrupedError: the episode is over, or the action is not of 12 finite numbers.
        """
        if self._over:
            raise QuadrupedError("the episode is over: call reset")
        offset: Floats = np.asarray(action, dtype=np.float64)
        # Cheaper than to ask each number whether it is finite, and to clip them all.
        square = float(offset @ offset) if offset.shape == (12,) else math.nan
        if not math.isfinite(square):
            raise QuadrupedError(f"an action is 12 finite numbers, got {action!r}")
        if square > ACTION_LIMIT**2:
            offset = np.clip(offset, -ACTION_LIMIT, ACTION_LIMIT)
        command = self._filter(offset + DEFAULT_POSE)
        data, reference = self.data, self.reference
        # The motors integrate: this moves their set points to the command, evenly.
        self._act[:] = self._command
        self._ctrl[:] = (command - self._command) / CONTROL_STEP
        self._command = command
        self._advance(self.model, data, nstep=SUBSTEPS)
        self._place_geoms(self.model, data)

        self._step += 1
        qpos, feet = self._qpos, self._places[self._feet]
        if reference.begins_cycle[self._step]:
            reference.sync(self._step, qpos)
        now = attitude(qpos.tolist())
        found = compare(reference, self._step, qpos, self._qvel, feet=feet, now=now)
        fallen = (
            found.distance > MAX_DISTANCE
            or found.angle > MAX_ANGLE
            or not self._soles.issuperset(data.contact.geom[:, 1].tolist())
        )
        ended = bool(reference.over[self._step])
        late = self._step >= self.limit
        self._over = fallen or ended or late
        self._trained += not self._over
        self._remember(now, offset)
        info: dict[str, Any] = dict(found.terms)
        if self._over:
            info["is_success"] = not fallen
        return self._observe(now), found.reward, fallen or ended, late and not fallen, info

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

    def _reading(self, now: Attitude) -> Floats:
        """Return roll, pitch, their rates and the joint angles, shape (16,)."""
        reading = np.empty(16)
        reading[0], reading[1] = now.roll, now.pitch
        reading[2:4] = self._qvel[3:5]
        reading[4:] = self._qpos[7:]
        return reading

    def _remember(self, now: Attitude, action: Floats) -> None:
        self._readings = [self._reading(now), *self._readings[:-1]]
        seen = self._readings[0]
        if self._lag:
            whole = int(self._lag)
            blend = self._lag - whole
            seen = self._readings[whole] * (1 - blend) + self._readings[whole + 1] * blend
        self._inertial = [seen[:4], *self._inertial[:-1]]
        self._angles = [seen[4:], *self._angles[:-1]]
        self._actions = [action, *self._actions[:-1]]

    def _observe(self, now: Attitude) -> Observation:
        targets = self.reference.targets(self._step, now.yaw).reshape(-1)
        return np.concatenate(
            [*self._inertial, *self._actions, *self._angles, targets], dtype=np.float32
        )
