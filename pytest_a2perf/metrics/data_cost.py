"""Data cost: the energy that went into the data a policy was trained on.

A2Perf (paper, section 3): the data cost is the mean energy of training the policies that generated
the data set; the total energy of an offline method is its own training energy plus the data cost.
The code scales each checkpoint by its progress; both are here.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["checkpoint_data_cost", "data_cost"]


def data_cost(training_energies: Sequence[float]) -> float:
    """Return the mean energy, J, of training the policies that generated the data.

    Raises:
        ValueError: there is no policy.
    """
    if not training_energies:
        raise ValueError("data cost needs the training energy of at least one policy")
    return sum(training_energies) / len(training_energies)


def checkpoint_data_cost(total_energy: float, checkpoints: Sequence[int], last: int) -> float:
    """Return A2Perf's per-checkpoint data cost, J.

    Checkpoint k of a training that took ``total_energy`` until checkpoint ``last`` is taken to have
    cost ``E_k = total_energy * k / last``; the cost is the mean over the checkpoints used.

    Raises:
        ValueError: there is no checkpoint, or one beyond the last.
    """
    if not checkpoints or last <= 0 or max(checkpoints) > last or min(checkpoints) < 0:
        raise ValueError(f"expected checkpoints from 0 to {last}, got {list(checkpoints)!r}")
    return total_energy * sum(checkpoints) / len(checkpoints) / last
