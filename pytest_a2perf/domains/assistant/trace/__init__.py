"""Scenarios and traces in the format ``are_simulation_v1``."""
