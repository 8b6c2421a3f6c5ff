"""Judges: whether what an agent did is what the scenario asked for."""
