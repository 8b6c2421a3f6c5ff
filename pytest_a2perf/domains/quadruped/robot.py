"""The robot in MuJoCo, as the environment moves and reads it."""

from __future__ import annotations

import cmath
import copy
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.dynamics import Dynamics, apply_dynamics
from pytest_a2perf.domains.quadruped.model import CONTROL_STEP, SUBSTEPS, compile_model, feet_of

if TYPE_CHECKING:
    import mujoco

__all__ = ["Attitude", "Robot"]

Floats = NDArray[np.float64]


class Attitude(NamedTuple):
    """How the trunk is turned.

    Attributes:
        roll: about the axis to the front, rad.
        pitch: about the axis to the left, rad; down is positive.
        yaw: the heading, rad.
    """

    roll: float
    pitch: float
    yaw: float


class Robot:
    """A robot of its own; ``model`` and ``data`` are MuJoCo's.

    Raises:
        InfraError: MuJoCo is missing.
    """

    def __init__(self) -> None:
        self._built = compile_model()
        import mujoco

        self.model: mujoco.MjModel = copy.copy(self._built)
        self.data = mujoco.MjData(self.model)
        self._mujoco = mujoco
        self._advance, self._place_geoms = mujoco.mj_step, mujoco.mj_kinematics
        feet = feet_of(self.model)
        self._soles = frozenset(feet.tolist())
        # Views, each of which would take as long to get as to use.
        data = self.data
        self._act, self._ctrl = data.act, data.ctrl
        self._qpos, self._qvel, self._axes = data.qpos, data.qvel, data.xmat[1]
        self._rotation, self.joints, self.rates = data.qpos[3:7], data.qpos[7:], data.qvel[3:6]
        self._feet = data.geom_xpos[int(feet[0]) : int(feet[-1]) + 1 : int(feet[1] - feet[0])]
        self._contacts = data.contact

    def change(self, dynamics: Dynamics) -> None:
        """Become another robot."""
        apply_dynamics(self.model, self._built, dynamics)

    def place(self, qpos: Floats, qvel: Floats) -> None:
        """Begin in a state, with the motors at rest where the joints are."""
        self._mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = qpos, qvel
        self._command = self.joints.copy()
        self._act[:] = self._command
        self._mujoco.mj_forward(self.model, self.data)

    def move(self, command: Floats) -> None:
        """Move the motors' set points evenly to ``command``, for a control step."""
        # The motors integrate.
        self._act[:] = self._command
        np.subtract(command, self._command, out=self._ctrl)
        self._ctrl /= CONTROL_STEP
        self._command = command
        self._advance(self.model, self.data, nstep=SUBSTEPS)
        self._place_geoms(self.model, self.data)

    def attitude(self) -> Attitude:
        """Return how the trunk is turned."""
        # Plain numbers are several times faster than arrays of 4.
        w, x, y, z = self._rotation.tolist()
        return Attitude(
            math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
            math.asin(min(max(2 * (w * y - z * x), -1.0), 1.0)),
            math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
        )

    def state(self, yaw: float) -> list[float]:
        """Return what is compared with the reference, 49 numbers: see `STATE_SIZE`.

        ``yaw`` is that of the attitude, rad.
        """
        qpos, qvel = self._qpos.tolist(), self._qvel.tolist()
        xx, xy, xz, yx, yy, yz, zx, zy, zz = self._axes.tolist()
        x, y, z = qvel[3:6]
        qvel[3:6] = xx * x + xy * y + xz * z, yx * x + yy * y + yz * z, zx * x + zy * y + zz * z
        state: list[float] = qpos + qvel
        # As complex numbers, x and y turn about the vertical in a single product.
        root, turn = complex(qpos[0], qpos[1]), cmath.rect(1.0, -yaw)
        feet = self._feet.tolist()
        for x, y, _ in feet:
            away = (complex(x, y) - root) * turn
            state += (away.real, away.imag)
        state += [z for _, _, z in feet]
        return state

    @property
    def fallen(self) -> bool:
        """Whether something other than a foot touches the ground."""
        return not self._soles.issuperset(self._contacts.geom[:, 1].tolist())
