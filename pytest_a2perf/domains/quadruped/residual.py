"""Trained policies: what they add to the feedback controller's actions, and their files.

A policy is a linear map from the joint angles that the clip has 1, 2, 10 and 30 control steps
ahead. They tell where in its cycle the gait is, so this is a correction of each phase; it is
learned by ``training/quadruped.py``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.quadruped.kinematics import DEFAULT_POSE
from pytest_a2perf.domains.quadruped.reference import TARGET_STEPS, frames_of
from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["FEATURES", "SHIPPED", "Residual", "features"]

Floats = NDArray[np.float64]

FEATURES = 12 * len(TARGET_STEPS) + 1
SHIPPED = Path(__file__).parent / "policies"
"""Where the policies that ship are; each has the name of its clip."""


def features(observation: NDArray[Any]) -> Floats:
    """Return what a policy sees of an observation.

    Args:
        observation: of a `QuadrupedEnv`, shape (160,).

    Returns:
        The clip's joint angles to come, as offsets from the default pose, and a 1, shape (49,).
    """
    return np.append(frames_of(observation)[:, 7:] - DEFAULT_POSE, 1.0)


@dataclass(frozen=True)
class Residual:
    """A trained policy.

    Attributes:
        weights: from features to offsets of the joints, shape (12, 49), rad.
        about: how it was made: clip, command, steps, returns.
    """

    weights: Floats
    about: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, observation: NDArray[Any]) -> Floats:
        """Return what is added to the controller's action, shape (12,), rad."""
        added: Floats = self.weights @ features(observation)
        return added

    def save(self, path: Path) -> None:
        """Write a file; the same policy always gives the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, weights=self.weights, about=np.array(json.dumps(self.about, indent=2)))

    @classmethod
    def load(cls, policy: str) -> Residual:
        """Read a policy.

        Args:
            policy: name of one that ships, or path of a file.

        Raises:
            AgentError: there is no such policy, or the file is none.
        """
        path = Path(policy) if policy.endswith(".npz") else SHIPPED / f"{policy}.npz"
        if not path.is_file():
            names = sorted(file.stem for file in SHIPPED.glob("*.npz"))
            raise AgentError(
                f"there is no policy {policy!r}: give the path of an .npz, or the name of one that "
                f"ships{did_you_mean(policy, names)}"
            )
        try:
            with np.load(path) as found:
                weights, about = found["weights"].astype(float), json.loads(str(found["about"]))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise AgentError(f"{path} is no policy of training/quadruped.py: {error}") from error
        if weights.shape != (12, FEATURES) or not np.isfinite(weights).all():
            raise AgentError(f"{path}: weights must be 12 x {FEATURES} finite numbers")
        return cls(weights, about)
