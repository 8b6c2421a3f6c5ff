"""When a reply to a word problem is right."""

from __future__ import annotations

__all__ = ["answer_of", "is_right"]


def answer_of(reply: str) -> str:
    """Return the number with which a reply ends; an empty string if it ends with none."""
    return reply[len(reply.rstrip("0123456789")) :]


def is_right(reply: str, answer: str) -> bool:
    """Return whether a reply ends with the answer, and nothing after it."""
    return answer_of(reply) == answer
