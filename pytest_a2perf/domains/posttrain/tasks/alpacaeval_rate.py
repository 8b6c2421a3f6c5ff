"""Win rates out of judgements of pairs, with and without what the length of replies does to them.

AlpacaEval fits a logistic regression of the preferences on the difference of lengths, and says what
it predicts for none. Its own program adds difficulties of its 805 instructions and replies of two
models that were made to game it, which are downloads, and chooses its penalty by cross-validation;
here the difficulties are used where the data has them, and the penalty is small and fixed. Numbers
that are to be compared with published ones need the program itself, as ``evaluator``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["length_controlled"]

_PENALTY = 0.01
_STEPS = 100
_CLOSE = 1e-10


def length_controlled(
    preferences: Sequence[float],
    lengths: Sequence[int],
    references: Sequence[int],
    difficulties: Sequence[float] | None = None,
) -> tuple[float, float]:
    """Return the share of wins at equal lengths, 0 to 1, and its standard error.

    The error is the sandwich estimator's (Huber, "The behavior of maximum likelihood estimates
    under nonstandard conditions", 1967): items are drawn, whatever the model is worth.

    Args:
        preferences: 0 (the reference is better) to 1, of each item.
        lengths: of replies, in characters.
        references: of the references.
        difficulties: of the items, where they are known.
    """
    import numpy as np

    wins = np.asarray(preferences, float)
    difference = np.asarray(lengths, float) - np.asarray(references, float)
    spread = difference.std(ddof=1) if len(difference) > 1 else 0.0
    longer = np.tanh(difference / spread) if spread else np.zeros_like(difference)
    columns = [np.ones_like(wins), longer]
    if difficulties is not None:
        columns.append(np.asarray(difficulties, float))
    features = np.stack(columns, axis=1)
    weights, curvature = _fit(features, wins)
    slopes = features * (wins - _share(features @ weights))[:, None]
    features[:, 1] = 0.0
    shares = _share(features @ weights)
    gradient = (shares * (1 - shares)) @ features / len(wins)
    influence = slopes @ np.linalg.solve(curvature, gradient)
    influence += (shares - shares.mean()) / len(wins)
    return float(shares.mean()), float(np.sqrt((influence**2).sum()))


def _fit(features: Any, wins: Any) -> tuple[Any, Any]:
    """Return the weights of a logistic regression, and the curvature there, by Newton's method."""
    import numpy as np

    weights = np.zeros(features.shape[1])
    penalty = _PENALTY * np.eye(len(weights))
    for _ in range(_STEPS):
        expected = _share(features @ weights)
        gradient = features.T @ (wins - expected) - penalty @ weights
        curvature = (features.T * (expected * (1 - expected))) @ features + penalty
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, 2.0 / max(1e-300, float(np.abs(step).max())))  # far out it overshoots
        weights += step
        if np.abs(step).max() < _CLOSE:
            break
    return weights, curvature


def _share(value: Any) -> Any:
    import numpy as np

    return np.exp(-np.logaddexp(0.0, -value))
