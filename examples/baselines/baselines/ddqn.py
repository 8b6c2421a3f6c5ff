"""Double DQN (van Hasselt, Guez and Silver, AAAI 2016), which Stable-Baselines3 does not have."""

import numpy as np
import torch
from stable_baselines3 import DQN
from torch.nn.functional import smooth_l1_loss

from pytest_a2perf.training.sb3 import train_sb3


class DoubleDQN(DQN):
    """DQN whose next action the online network chooses and the target network values.

    `train` is DQN's but for the two lines that are marked.
    """

    def train(self, gradient_steps, batch_size=100):
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = []
        for _ in range(gradient_steps):
            data = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            discounts = self.gamma if data.discounts is None else data.discounts
            with torch.no_grad():
                chosen = self.q_net(data.next_observations).argmax(dim=1, keepdim=True)  # here
                values = self.q_net_target(data.next_observations).gather(1, chosen)  # and here
                targets = data.rewards + (1 - data.dones) * discounts * values
            found = self.q_net(data.observations).gather(1, data.actions.long())
            loss = smooth_l1_loss(found, targets)
            losses.append(loss.item())
            self.policy.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self._n_updates += gradient_steps
        self.logger.record("train/loss", np.mean(losses))


def train(training, **options):
    """Train in the scenario's environment; takes the options of ``sb3:DQN``.

    The model's file is one of DQN's, so nothing from here is needed to play it.
    """
    return train_sb3(training, DoubleDQN, **options)
