"""The policy under test."""

import numpy as np


class Policy:
    """A linear policy for CartPole.

    Args:
        weights: of position, velocity, angle and turning of the pole.
    """

    def __init__(self, weights=(0.1, 0.3, 3.0, 1.0)):
        self.weights = np.asarray(weights)

    def act(self, observation):
        return int(observation @ self.weights > 0)
