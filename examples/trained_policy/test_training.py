"""Reliability of the training itself: one learning curve for each seed."""

import pytest
from train import train


@pytest.mark.a2perf(
    seeds=3,
    phase="train",
    gates={
        "reliability.risk_across_runs": ">= 120",
        "reliability.dispersion_across_runs": "<= 100",
        "reported.final.min": ">= 120",
    },
)
def test_training(trial, reliability):
    for generation, _, total in train(trial.seed, generations=5, steps=200):
        reliability.curve([generation], [total])
    trial.report("final", total)
