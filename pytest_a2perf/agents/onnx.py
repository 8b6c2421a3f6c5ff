"""Policies in ONNX files, run by onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.errors import AgentError

__all__ = ["OnnxAgent"]


class OnnxAgent:
    """A network from observations to action scores or actions.

    The observation is flattened to shape ``(batch, features)``, float32. For a ``Discrete`` action
    space the first output holds one score for each action and the highest wins; otherwise it is the
    action itself, clipped to the space.
    """

    batched = False

    def __init__(self, path: Path, context: AgentContext) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise AgentError(
                f"agent {path.name!r} needs onnxruntime: pip install 'pytest-a2perf[onnx]'"
            ) from error
        from gymnasium import spaces

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a policy is small, and workers share the cores
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise AgentError(
                f"agent {path.name!r} is not a model onnxruntime can load: {error}"
            ) from error
        self._name = path.name
        self._input = self._session.get_inputs()[0].name
        env = context.env
        self._space: Any = getattr(env, "single_action_space", None) or env.action_space
        self._discrete = isinstance(self._space, spaces.Discrete)

    def act(self, observation: Any) -> Any:
        """Return the network's action for one observation.

        Raises:
            AgentError: the shapes of network and environment differ.
        """
        features = np.asarray(observation, dtype=np.float32).reshape(1, -1)
        try:
            output = self._session.run(None, {self._input: features})[0].reshape(-1)
        except Exception as error:
            raise AgentError(
                f"agent {self._name!r} does not take {features.shape[1]} features: {error}"
            ) from error
        if self._discrete:
            if output.size != self._space.n:
                raise AgentError(
                    f"agent {self._name!r} gives {output.size} scores for {self._space.n} actions"
                )
            return int(np.argmax(output)) + int(self._space.start)
        if output.size != int(np.prod(self._space.shape)):
            raise AgentError(
                f"agent {self._name!r} gives {output.size} numbers for an action of shape "
                f"{self._space.shape}"
            )
        action = output.reshape(self._space.shape)
        return np.clip(action, self._space.low, self._space.high).astype(self._space.dtype)
