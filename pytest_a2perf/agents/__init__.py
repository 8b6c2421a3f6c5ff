"""Agents: what is tested, made from what a scenario names."""
