"""The three functions that A2Perf calls."""

import os
from pathlib import Path

import numpy as np
from law import act


def load_policy(env, **kwargs):  # noqa: ARG001 - as A2Perf calls it
    return np.load(Path(os.environ["ROOT_DIR"], "law.npy"))


def preprocess_observation(observation, time_step_spec=None):  # noqa: ARG001 - as above
    return observation


def infer_once(policy, preprocessed_observation):
    return act(policy, preprocessed_observation)
