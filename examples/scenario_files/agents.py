"""Agents for CartPole. An agent is anything with ``act(observation)``."""


class Balance:
    """Push to the side to which the pole falls, and stay near the centre.

    Args:
        damping: weight of the cart's velocity.
    """

    def __init__(self, damping=0.3):
        self.damping = damping

    def act(self, observation):
        position, velocity, angle, turning = observation
        return int(0.1 * position + self.damping * velocity + 3.0 * angle + turning > 0)


class Lean:
    """Push to the side to which the pole leans: too late, it overshoots."""

    def act(self, observation):
        return int(observation[2] > 0)
