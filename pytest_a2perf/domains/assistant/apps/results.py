"""Results of tools: as agents read them, and as JSON."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

__all__ = ["plain", "render"]


def render(result: Any) -> str:
    """Return a result as ARE shows it to agents: its text, or a word that there is none."""
    text = str(result)
    return text.strip() if text else "No observation"


def plain(value: Any) -> Any:
    """Return a value in types that JSON knows; of what JSON does not know, its text."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, str | int | float):
        return value
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value)
