"""Another robot in each episode: what mode ``"train"`` draws, and how a model gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.model import DAMPING, FRICTION, MAX_CHANGE, STIFFNESS

if TYPE_CHECKING:
    import mujoco

__all__ = ["RANGES", "Dynamics", "apply_dynamics", "draw_dynamics"]

Floats = NDArray[np.float64]

RANGES = {
    "mass": (0.8, 1.2),
    "inertia": (0.5, 1.5),
    "motor_strength": (0.8, 1.2),
    "motor_friction": (0.0, 0.05),
    "latency": (0.0, 0.04),
    "lateral_friction": (0.5, 1.25),
    "joint_friction": (0.0, 0.05),
}
"""From where each is drawn, evenly."""


@dataclass(frozen=True, slots=True)
class Dynamics:
    """What differs from the robot as it was built.

    Attributes:
        mass: factors of trunk and legs, shape (2,).
        inertia: factors of trunk and legs, shape (2,).
        motor_strength: factors of the motors, shape (12,).
        motor_friction: added to the motors' damping, shape (12,), N m s / rad.
        latency: age of what is observed, s.
        lateral_friction: of the feet on the ground.
        joint_friction: that does not depend on the speed, shape (12,), N m.
    """

    mass: Floats
    inertia: Floats
    motor_strength: Floats
    motor_friction: Floats
    latency: float
    lateral_friction: float
    joint_friction: Floats


def draw_dynamics(rng: np.random.Generator) -> Dynamics:
    """Draw a robot."""
    return Dynamics(
        rng.uniform(*RANGES["mass"], 2),
        rng.uniform(*RANGES["inertia"], 2),
        rng.uniform(*RANGES["motor_strength"], 12),
        rng.uniform(*RANGES["motor_friction"], 12),
        float(rng.uniform(*RANGES["latency"])),
        float(rng.uniform(*RANGES["lateral_friction"])),
        rng.uniform(*RANGES["joint_friction"], 12),
    )


def apply_dynamics(model: mujoco.MjModel, built: mujoco.MjModel, dynamics: Dynamics) -> None:
    """Change a model.

    Args:
        model: to change.
        built: the one that was compiled, to which factors refer.
        dynamics: that the model gets.
    """
    import mujoco

    legs = (np.arange(built.nbody) > 1).astype(int)  # after the world and the trunk
    model.body_mass[:] = built.body_mass * dynamics.mass[legs]
    model.body_inertia[:] = built.body_inertia * dynamics.inertia[legs, None]
    strength = dynamics.motor_strength
    model.actuator_gainprm[:, 0] = STIFFNESS * strength
    model.actuator_biasprm[:, 1] = -STIFFNESS * strength
    torque = STIFFNESS * MAX_CHANGE * strength
    model.actuator_forcerange[:] = np.stack([-torque, torque], axis=-1)
    model.dof_damping[6:] = FRICTION + np.tile(DAMPING, 4) * strength + dynamics.motor_friction
    model.dof_frictionloss[6:] = dynamics.joint_friction
    model.pair_friction[:, :2] = dynamics.lateral_friction
    mujoco.mj_setConst(model, mujoco.MjData(model))
