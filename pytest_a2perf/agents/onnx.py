"""Policies in ONNX files, run by onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.errors import AgentError

__all__ = ["OnnxAgent"]

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
}


class OnnxAgent:
    """A network from a batch of observations to actions, which its first output holds.

    Observations keep their shape where the network's input has as many dimensions, and are
    flattened otherwise. For a ``Discrete`` action space the output is either one score for each
    action, of which the highest wins, or already an integer; for a ``Box`` it is the action, which
    is clipped to the bounds. A network whose batch size is open is asked once for all
    sub-environments.
    """

    def __init__(self, path: Path, context: AgentContext) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise AgentError(
                f"agent {path.name!r} needs onnxruntime: pip install 'pytest-a2perf[onnx]'"
            ) from None
        if context.options:
            raise AgentError(f"agent {path.name!r} takes no agent_options")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1  # policies are small, and workers share the cores
        settings.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001 - of onnxruntime's own types, without a base
            raise AgentError(
                f"agent {path.name!r} is no model that onnxruntime can load: {error}"
            ) from None
        self._name = path.name
        self._input, *others = self._session.get_inputs()
        self._output: str = self._session.get_outputs()[0].name
        if others or self._input.type not in _DTYPES:
            raise AgentError(
                f"agent {path.name!r} takes {', '.join(i.type for i in [self._input, *others])}; "
                f"expected one input, of {', '.join(_DTYPES)}"
            )
        self._dtype = _DTYPES[self._input.type]
        self.batched = not isinstance(self._input.shape[0], int) if self._input.shape else False

    def load(self, env: Any) -> None:
        """Compare the network's input with the environment, and learn its action space.

        Raises:
            AgentError: they do not fit.
        """
        from gymnasium import spaces

        observations = getattr(env, "single_observation_space", None) or env.observation_space
        actions = getattr(env, "single_action_space", None) or env.action_space
        if not isinstance(observations, spaces.Box | spaces.Discrete):
            raise AgentError(f"agent {self._name!r} cannot take observations of {observations}")
        if not isinstance(actions, spaces.Box | spaces.Discrete):
            raise AgentError(f"agent {self._name!r} cannot act in {actions}")
        shape = observations.shape or ()
        same_rank = len(self._input.shape) == len(shape) + 1
        self._shape: tuple[int, ...] = shape if same_rank else (int(np.prod(shape)),)
        self._rank = len(shape)
        wanted = tuple(self._input.shape[1:])
        fits = len(wanted) == len(self._shape) and all(
            not isinstance(size, int) or size == ours
            for size, ours in zip(wanted, self._shape, strict=True)
        )
        if not fits:
            raise AgentError(
                f"agent {self._name!r} takes observations of shape {wanted}, the environment gives "
                f"{shape}"
            )
        self._space: Any = actions
        self._discrete = isinstance(actions, spaces.Discrete)

    def act(self, observation: Any) -> Any:
        """Return the action for an observation, or the actions for a batch of them.

        Raises:
            AgentError: the output does not fit the action space.
        """
        array: NDArray[Any] = np.asarray(observation, dtype=self._dtype)
        batch = array.ndim > self._rank
        rows = array.reshape(-1, *self._shape)
        output = self._session.run([self._output], {self._input.name: rows})[0]
        actions = self._choose(output) if self._discrete else self._clip(output, len(rows))
        if batch:
            return actions
        return actions[0].item() if self._discrete else actions[0]

    def _choose(self, output: NDArray[Any]) -> NDArray[np.int64]:
        if np.issubdtype(output.dtype, np.integer):
            return output.reshape(-1).astype(np.int64)
        scores = output.reshape(len(output), -1) if output.ndim else output.reshape(1, 1)
        if scores.shape[1] != self._space.n:
            raise AgentError(
                f"agent {self._name!r} gives {scores.shape[1]} scores for {self._space.n} actions"
            )
        best: NDArray[np.int64] = np.argmax(scores, axis=1) + int(self._space.start)
        return best

    def _clip(self, output: NDArray[Any], rows: int) -> NDArray[Any]:
        shape = self._space.shape
        if output.size != rows * int(np.prod(shape)):
            raise AgentError(
                f"agent {self._name!r} gives an output of shape {output.shape[1:]} for an action "
                f"of shape {shape}"
            )
        actions = output.reshape(rows, *shape)
        clipped: NDArray[Any] = np.clip(actions, self._space.low, self._space.high)
        return clipped.astype(self._space.dtype)
