"""Behavioural cloning: a network that learns to act as the data set does."""

import numpy as np
import torch
from gymnasium import spaces
from torch import nn


class Clone(nn.Module):
    """A policy with two hidden layers; observations are standardised by the data's statistics.

    Args:
        observations: the environment's space, a `Box` of one dimension.
        actions: `Discrete`, whose network gives a score for each; or a `Box` of one dimension,
            whose network gives the action itself.
        width: of the hidden layers.
    """

    batched = True

    def __init__(self, observations, actions, width=64):
        super().__init__()
        if not (isinstance(observations, spaces.Box) and len(observations.shape) == 1):
            raise ValueError(f"observations must be a vector, not {observations}; flatten them")
        self.discrete = isinstance(actions, spaces.Discrete)
        if not (self.discrete or isinstance(actions, spaces.Box)):
            raise ValueError(f"actions must be Discrete or a Box, not {actions}")
        self.start = int(actions.start) if self.discrete else None
        self.bounds = None if self.discrete else (actions.low, actions.high)
        size = observations.shape[0]
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.network = nn.Sequential(
            nn.Linear(size, width),
            nn.Tanh(),
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Linear(width, int(actions.n) if self.discrete else actions.shape[0]),
        )

    def forward(self, observations):
        return self.network((observations - self.mean) / self.scale)

    def act(self, observation):
        """Return an action for an observation, or actions for a batch of them."""
        with torch.no_grad():
            found = self(torch.as_tensor(observation, dtype=torch.float32)).numpy()
        return found.argmax(-1) + self.start if self.discrete else found.clip(*self.bounds)

    def loss(self, observations, actions):
        """Return the cross entropy of discrete actions, or the squared error of others."""
        found = self(observations)
        if self.discrete:
            return nn.functional.cross_entropy(found, actions - self.start)
        return nn.functional.mse_loss(found, actions)


def train(
    training,
    *,
    updates=2000,
    batch_size=128,
    learning_rate=1e-3,
    width=64,
    evaluations=10,
    episodes=2,
    threads=1,
):
    """Clone the policy behind the scenario's data set.

    Its curve of returns is of episodes that are played for no other purpose; the energy of the
    training includes them.

    Args:
        training: what the plugin gives.
        updates: of the network; they are the steps of the curves.
        batch_size: pairs of observation and action for an update.
        learning_rate: of Adam.
        width: of the hidden layers.
        evaluations: points of the curves.
        episodes: to play for each point.
        threads: of PyTorch.

    Raises:
        ValueError: the scenario has no data set, or spaces that `Clone` does not know.
    """
    if training.dataset is None:
        raise ValueError("behavioural cloning needs the scenario's key 'dataset'")
    torch.set_num_threads(threads)
    torch.manual_seed(training.seed)
    env = training.env
    model = Clone(env.observation_space, env.action_space, width)
    observations, actions = _pairs(training.dataset)
    model.mean.copy_(observations.mean(0))
    model.scale.copy_(observations.std(0, correction=0).clamp(min=1e-3))
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    losses = []
    for update in range(1, updates + 1):
        chosen = torch.from_numpy(training.rng.integers(len(actions), size=batch_size))
        loss = model.loss(observations[chosen], actions[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if update * evaluations // updates > (update - 1) * evaluations // updates:
            returns = [_play(env, model, training.rng) for _ in range(episodes)]
            training.log(update, returns=np.mean(returns), loss=np.mean(losses))
            losses = []
    path = training.folder / "model.pt"
    torch.save({"width": width, "weights": model.state_dict()}, path)
    return path


def load_policy(path, env):
    """Load what `train` has saved."""
    torch.set_num_threads(1)
    saved = torch.load(path, weights_only=True)
    single = getattr(env, "single_observation_space", None)
    model = Clone(
        single or env.observation_space,
        getattr(env, "single_action_space", env.action_space),
        saved["width"],
    )
    model.load_state_dict(saved["weights"])
    return model


def _pairs(dataset):
    """Return the observations and actions of all episodes, one row for each step."""
    episodes = list(dataset)
    # The last observation of an episode comes after its last action.
    observations = np.concatenate([episode.observations[:-1] for episode in episodes])
    actions = np.concatenate([episode.actions for episode in episodes])
    kind = np.int64 if actions.dtype.kind in "iu" else np.float32
    return torch.from_numpy(observations.astype(np.float32)), torch.from_numpy(actions.astype(kind))


def _play(env, model, rng):
    observation, _ = env.reset(seed=int(rng.integers(2**31)))
    total, over = 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(model.act(observation))
        total += float(reward)
        over = terminated or truncated
    return total
