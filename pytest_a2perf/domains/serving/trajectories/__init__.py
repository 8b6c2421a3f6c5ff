"""Recorded sessions of agents: one internal form, its readers, and what can be done with it."""
