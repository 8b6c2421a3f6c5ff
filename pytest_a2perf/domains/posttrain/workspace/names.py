"""What things are called inside the sandbox, so that all who write or read them agree."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "AGENT",
    "GRADER",
    "LLM",
    "LLM_PORT",
    "PORT",
    "PROJECT",
    "TOOLKIT",
    "WORKSPACE",
    "Mode",
]

Mode = Literal["free", "sft", "rl"]
"""What an agent is offered: everything; no rewards; or no demonstrations."""

WORKSPACE = "/workspace"
TOOLKIT = "/toolkit"
AGENT = "/agent"
"""The agent's own folder, read-only."""
PROJECT = "/project"
"""Python sources of the project, for agents that are a function."""
GRADER = "/run/grader"
"""Folder with the grading service's socket."""
LLM = "/run/llm"
"""Folder with the socket of the language model's proxy, where there is one."""
PORT, LLM_PORT = 5000, 5001
"""Of 127.0.0.1 inside, passed on to the two sockets."""
