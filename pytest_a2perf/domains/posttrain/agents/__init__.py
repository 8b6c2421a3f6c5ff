"""Agents: how scenarios name them, and those that come along."""

from __future__ import annotations

from pytest_a2perf.domains.posttrain.agents.agent import Agent, AgentOptions, Surroundings
from pytest_a2perf.domains.posttrain.agents.resolve import builtin_agents, prepare, resolve_agent
from pytest_a2perf.domains.posttrain.agents.usage import Spent, spent_by

__all__ = [
    "Agent",
    "AgentOptions",
    "Spent",
    "Surroundings",
    "builtin_agents",
    "prepare",
    "resolve_agent",
    "spent_by",
]
