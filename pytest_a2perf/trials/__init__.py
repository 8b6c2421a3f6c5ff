"""Trials: running one seeded execution of a scenario, whatever happens to it."""
