"""Pictures of the robot, without a window."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.errors import InfraError

if TYPE_CHECKING:
    import mujoco

__all__ = ["HEIGHT", "WIDTH", "Renderer"]

WIDTH, HEIGHT = 640, 480


class Renderer:
    """Draws with MuJoCo and OpenGL: EGL, or OSMesa if ``MUJOCO_GL`` says so.

    Args:
        model: of the robot.

    Raises:
        InfraError: OpenGL does not work here.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        import mujoco

        self._context = None
        try:
            # mujoco.Renderer settles on a back end when MuJoCo is imported, and on a window then.
            if os.environ.get("MUJOCO_GL") == "osmesa":
                from mujoco.osmesa import GLContext
            else:
                from mujoco.egl import GLContext

            self._context = GLContext(WIDTH, HEIGHT)
            self._context.make_current()
            self._target = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except Exception as error:
            self.close()
            raise InfraError(
                f"cannot draw without OpenGL ({type(error).__name__}: {error}); install libegl1, "
                "or libosmesa6 and set MUJOCO_GL=osmesa"
            ) from error
        self._scene = mujoco.MjvScene(model, maxgeom=200)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = model.camera("side").id
        self._option = mujoco.MjvOption()
        self._view = mujoco.MjrRect(0, 0, WIDTH, HEIGHT)

    def draw(self, model: mujoco.MjModel, data: mujoco.MjData) -> NDArray[np.uint8]:
        """Return a picture, shape (480, 640, 3)."""
        import mujoco

        assert self._context is not None
        self._context.make_current()
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._target)
        mujoco.mjv_updateScene(
            model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        mujoco.mjr_render(self._view, self._scene, self._target)
        pixels = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._view, self._target)
        return np.ascontiguousarray(pixels[::-1])

    def close(self) -> None:
        """Free what the graphics hold."""
        if self._context is not None:
            self._context.free()
            self._context = None
