"""Variations of CartPole, registered when this module is imported."""

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class Changed(CartPoleEnv):
    """Another pole, another cart."""

    def __init__(self, length=0.5, cart=1.0, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.length = length
        self.masscart = cart
        self.total_mass = self.masspole + cart
        self.polemass_length = self.masspole * length


class Noisy(gymnasium.ObservationWrapper):
    """Sensors with noise, drawn from the environment's own seeded generator."""

    def __init__(self, sigma=0.05, render_mode=None):
        super().__init__(CartPoleEnv(render_mode=render_mode))
        self.sigma = sigma

    def observation(self, observation):
        noise = self.np_random.normal(0.0, self.sigma, observation.shape)
        return (observation + noise).astype(observation.dtype)


for name, changes in {
    "LongPole-v0": {"length": 1.0},
    "ShortPole-v0": {"length": 0.25},
    "HeavyCart-v0": {"cart": 2.0},
}.items():
    gymnasium.register(name, Changed, max_episode_steps=500, kwargs=changes)
gymnasium.register("NoisyCartPole-v0", Noisy, max_episode_steps=500)
