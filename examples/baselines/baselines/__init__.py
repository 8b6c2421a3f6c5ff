"""A2Perf's baselines: behavioural cloning and double DQN, and two worlds to learn in."""
