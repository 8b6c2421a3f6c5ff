"""What training and inference share: a linear law."""


def act(weights, observation):
    """Push to the right where the weighted sum of the observation is positive."""
    return int(weights @ observation > 0)
