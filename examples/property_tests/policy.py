"""What is tested: a policy, and a metric."""

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Estimate


def policy(observation):
    """Balance a CartPole."""
    position, velocity, angle, turning = observation.tolist()
    return int(0.1 * position + 0.3 * velocity + 3.0 * angle + turning > 0)


def worst_seed(records):
    """Estimate the worst seed's mean return."""
    means = [
        sum(episode.total for episode in record.episodes) / len(record.episodes)
        for record in records
        if record.episodes and record.outcome not in ("infra", "not_run")
    ]
    if not means:
        raise UnsupportedSampleError("worst_seed: no trial has episodes")
    return Estimate(min(means), n=len(means))
