"""The robot: our own MuJoCo model of primitive shapes, of Laikago's size and mass.

The proportional part of the joints' PD control is an actuator that integrates its input: a
constant input moves the set point evenly, so all substeps of a control step, interpolated targets
included, are a single call of ``mj_step``. The actuator's force range is what clipping the command
to 0.2 rad around the joint comes to. The derivative part is damping, to which the joints add their
own.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.kinematics import (
    FOOT_RADIUS,
    HIP_OFFSET,
    HIPS,
    JOINT_HIGH,
    JOINT_LOW,
    KNEE_OFFSET,
    LEGS,
    SHANK,
    SIDE,
    SIDE_LINK,
    THIGH,
)
from pytest_a2perf.errors import InfraError

if TYPE_CHECKING:
    import mujoco

__all__ = [
    "CONTROL_STEP",
    "DAMPING",
    "FRICTION",
    "JOINTS",
    "MAX_CHANGE",
    "STIFFNESS",
    "SUBSTEPS",
    "TIMESTEP",
    "compile_model",
    "feet_of",
    "mjcf",
]

TIMESTEP = 0.001
"""Of the physics, s."""
SUBSTEPS = 33
CONTROL_STEP = TIMESTEP * SUBSTEPS
"""Between two actions, s: 30.3 Hz."""
STIFFNESS = 220.0
"""Proportional gain of all joints, N m / rad."""
DAMPING = (0.3, 2.0, 2.0)
"""Derivative gain of abduction, hip and knee, N m s / rad."""
FRICTION = 1.0
"""Viscous friction of the joints themselves, N m s / rad."""
MAX_CHANGE = 0.2
"""How far a command may be from the joint's angle, rad."""
JOINTS = tuple(f"{leg}_{joint}" for leg in LEGS for joint in ("abduction", "hip", "knee"))

_CONTACT = 'condim="3" friction="0.8 0.8 0.005 0.0001 0.0001"'
_TORQUE = STIFFNESS * MAX_CHANGE


def _leg(leg: int) -> str:
    name, side = LEGS[leg], SIDE[leg]
    limits = [
        f'name="{JOINTS[j]}" range="{JOINT_LOW[j]} {JOINT_HIGH[j]}" '
        f'damping="{FRICTION + DAMPING[j % 3]}"'
        for j in range(3 * leg, 3 * leg + 3)
    ]
    x, y, z = HIPS[leg]
    return f"""
    <body name="{name}_hip" pos="{x} {y} {z}">
      <joint {limits[0]} axis="{side} 0 0"/>
      <geom name="{name}_hip" type="cylinder" size="0.045 0.03" euler="1.5708 0 0" mass="0.9"
            contype="0" conaffinity="0"/>
      <body name="{name}_thigh" pos="0 {side * SIDE_LINK} 0" euler="0 {HIP_OFFSET} 0">
        <joint {limits[1]} axis="0 1 0"/>
        <geom name="{name}_thigh" type="capsule" size="0.022"
              fromto="0 {side * 0.025} -0.02 0 0 {-THIGH}" mass="1.0"/>
        <body name="{name}_shank" pos="0 0 {-THIGH}" euler="0 {KNEE_OFFSET} 0">
          <joint {limits[2]} axis="0 1 0"/>
          <geom name="{name}_shank" type="capsule" size="0.015" fromto="0 0 0 0 0 {-SHANK}"
                mass="0.2"/>
          <geom name="{name}_foot" class="foot" pos="0 0 {-SHANK}"/>
        </body>
      </body>
    </body>"""


def mjcf(*, self_collision: bool = False) -> str:
    """Return the model as MuJoCo's XML.

    Args:
        self_collision: have limbs collide with each other, not only with the ground. Nothing in a
            sane gait does, and not looking for it makes the physics faster.
    """
    if self_collision:
        pairs, collides = "", 1
    else:  # listed pairs are not searched for
        limbs = ["trunk", *(f"{leg}_{limb}" for leg in LEGS for limb in ("thigh", "shank", "foot"))]
        pairs = "".join(f'<pair geom1="floor" geom2="{limb}" {_CONTACT}/>' for limb in limbs)
        collides = 0
    motors = "".join(f'<general name="{name}" joint="{name}"/>' for name in JOINTS)
    return f"""
<mujoco model="quadruped">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="{TIMESTEP}" cone="pyramidal" iterations="3" ls_iterations="4" jacobian="dense">
    <flag eulerdamp="disable" island="disable" spring="disable"/>
  </option>
  <visual>
    <headlight ambient="0.4 0.4 0.4" diffuse="0.6 0.6 0.6"/>
    <global offwidth="640" offheight="480"/>
    <quality shadowsize="2048"/>
  </visual>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.85 0.9 0.95" rgb2="0.6 0.7 0.8"
             width="64" height="64"/>
    <texture name="floor" type="2d" builtin="checker" rgb1="0.80 0.82 0.80" rgb2="0.70 0.73 0.70"
             width="128" height="128"/>
    <material name="floor" texture="floor" texrepeat="2 2" texuniform="true"/>
  </asset>
  <default>
    <geom contype="{collides}" conaffinity="{collides}" rgba="0.25 0.3 0.38 1"/>
    <joint type="hinge" armature="0.01" limited="true"/>
    <general dyntype="integrator" actearly="true" gainprm="{STIFFNESS}" biastype="affine"
             biasprm="0 {-STIFFNESS} 0" forcerange="{-_TORQUE} {_TORQUE}"/>
    <default class="foot">
      <geom type="sphere" size="{FOOT_RADIUS}" mass="0.06" rgba="0.9 0.45 0.15 1"/>
    </default>
  </default>
  <worldbody>
    <light pos="0 0 4" dir="0.2 0.1 -1" directional="true" diffuse="0.5 0.5 0.5"/>
    <geom name="floor" type="plane" size="0 0 1" material="floor" rgba="1 1 1 1"/>
    <body name="trunk" pos="0 0 0.48">
      <camera name="side" mode="trackcom" pos="0.35 -1.9 0.55"
              xyaxes="0.98 0.18 0 -0.04 0.21 0.98"/>
      <freejoint name="root"/>
      <geom name="trunk" type="box" size="0.24 0.07 0.055" mass="11" rgba="0.55 0.6 0.68 1"/>
      <geom name="head" type="box" pos="0.26 0 0.015" size="0.03 0.05 0.035" mass="0.4"
            contype="0" conaffinity="0"/>
      {"".join(map(_leg, range(4)))}
    </body>
  </worldbody>
  <contact>{pairs}</contact>
  <actuator>{motors}</actuator>
</mujoco>"""


@cache
def compile_model(*, self_collision: bool = False) -> mujoco.MjModel:
    """Return the compiled model, always the same one: copy it before changing it.

    Raises:
        InfraError: MuJoCo is missing.
    """
    try:
        import mujoco
    except ModuleNotFoundError as error:
        raise InfraError(
            "the quadruped needs MuJoCo: pip install 'pytest-a2perf[mujoco]'"
        ) from error
    return mujoco.MjModel.from_xml_string(mjcf(self_collision=self_collision))


def feet_of(model: mujoco.MjModel) -> NDArray[np.int64]:
    """Return the geoms that are feet, in the order of `LEGS`, shape (4,)."""
    return np.array([model.geom(f"{leg}_foot").id for leg in LEGS])
