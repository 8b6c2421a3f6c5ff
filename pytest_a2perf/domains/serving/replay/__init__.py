"""Replaying sessions: agents, load, phases, and the processes that carry them."""
