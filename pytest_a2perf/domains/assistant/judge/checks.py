"""Checks of one argument that need no model: what the agent gave against what the oracle gave."""

from __future__ import annotations

import json
import posixpath
import string
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any

__all__ = ["CHECKS", "LISTS", "contains_all", "contains_any", "normalise"]

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


def normalise(value: Any) -> str:
    """Return a value as text in lower case without accents, punctuation and outer blanks."""
    decomposed = unicodedata.normalize("NFD", str(value).lower())
    letters = "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
    return letters.translate(_NO_PUNCTUATION).strip()


def equal(agent: Any, oracle: Any, _user: str) -> bool:
    """Whether both are the same."""
    return bool(agent == oracle)


def equal_text(agent: str | None, oracle: str | None, _user: str) -> bool:
    """Whether both are the same but for outer blanks; nothing is as good as an empty text."""
    return (agent or "").strip() == (oracle or "").strip()


def phone(agent: str | None, oracle: str | None, _user: str) -> bool:
    """Whether both have the same digits."""
    if agent is None or oracle is None:
        return agent is oracle
    return _digits(agent) == _digits(oracle)


def moment(agent: str | None, oracle: str | None, _user: str) -> bool:
    """Whether both are the same moment, written ``YYYY-MM-DD HH:MM:SS``."""
    if agent is None or oracle is None:
        return agent is oracle
    try:
        return datetime.strptime(agent, _TIME_FORMAT) == datetime.strptime(oracle, _TIME_FORMAT)  # noqa: DTZ007 - simulated time has no zone
    except (TypeError, ValueError):
        return False


def path(agent: str | None, oracle: str | None, _user: str) -> bool:
    """Whether both name the same place; a leading slash makes no difference."""
    if agent is None or oracle is None:
        return agent is oracle
    return _place(agent) == _place(oracle)


def unordered_list(agent: list[Any] | None, oracle: list[Any] | None, _user: str) -> bool:
    """Whether both hold the same, in any order and number; nothing is as good as an empty list."""
    return {_key(item) for item in agent or ()} == {_key(item) for item in oracle or ()}


def unordered_path_list(agent: list[str] | None, oracle: list[str] | None, _user: str) -> bool:
    """Whether both name the same places, in any order and number."""
    return {_place(item) for item in agent or ()} == {_place(item) for item in oracle or ()}


def attendees(agent: list[str] | None, oracle: list[str] | None, user: str) -> bool:
    """Whether both name the same people, with or without the user.

    An oracle that names nobody else accepts everybody.
    """
    ignored = {normalise(user)} if user else set()
    wanted = {normalise(name) for name in oracle or ()} - ignored
    return not wanted or {normalise(name) for name in agent or ()} - ignored == wanted


def contains_any(agent: Any, targets: list[str]) -> str | None:
    """Return what is wrong unless one of the texts occurs, whatever their case."""
    text = str(agent).lower()
    if any(target.lower() in text for target in targets):
        return None
    return f"expected one of {', '.join(map(repr, targets))} in it"


def contains_all(agent: Any, targets: list[str]) -> str | None:
    """Return what is wrong unless all of the texts occur, whatever their case."""
    text = str(agent).lower()
    missing = [target for target in targets if target.lower() not in text]
    return f"expected {', '.join(map(repr, missing))} in it" if missing else None


CHECKS: dict[str, Callable[[Any, Any, str], bool]] = {
    "eq": equal,
    "eq_str_strip": equal_text,
    "phone": phone,
    "datetime": moment,
    "path": path,
    "unordered_list": unordered_list,
    "unordered_path_list": unordered_path_list,
    "list_attendees": attendees,
}
"""Checks by name: of the agent's value, the oracle's, and the user's full name or ``""``."""

LISTS: dict[str, Callable[[Any, list[str]], str | None]] = {
    "contain_any": contains_any,
    "contain_all": contains_all,
}
"""Checks by name: of the agent's value and a list of texts, which the scenario's author gives."""


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())


def _place(text: str) -> str:
    return posixpath.normpath(text).lstrip("/")


def _key(item: Any) -> Any:
    """Return what stands for an item in a set, also for what has no hash."""
    try:
        hash(item)
    except TypeError:
        return json.dumps(item, sort_keys=True, default=str)
    return item
