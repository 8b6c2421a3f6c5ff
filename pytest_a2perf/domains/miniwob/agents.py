"""An agent that solves a few tasks of MiniWoB++ by rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pytest_a2perf.errors import AgentError

__all__ = ["TASKS", "MiniwobOracle"]

Move = tuple[int, str | None]
"""Reference of an element, and what to type there; None clicks it."""

_TYPES = ("input_text", "input_password", "textarea")


class _Page:
    """What an observation shows."""

    def __init__(self, observation: Mapping[str, Any]) -> None:
        self.elements: tuple[dict[str, Any], ...] = observation["dom_elements"]
        self.fields: dict[str, str] = dict(observation["fields"])

    def texts(self) -> Iterator[int]:
        """Yield what can be typed into."""
        return (element["ref"] for element in self.elements if element["tag"] in _TYPES)

    def called(self, text: str, *tags: str) -> int:
        """Return the element with a text, or the first with the tag for an empty text."""
        for element in self.elements:
            if element["tag"] in tags and text in ("", element["text"]):
                return int(element["ref"])
        raise AgentError(f"there is no {' or '.join(tags)} with the text {text!r}")

    def beside(self, text: str) -> int:
        """Return the box or circle in the label that has a text."""
        (label,) = (each["parent"] for each in self.elements if each["text"] == text)
        (found,) = (
            each["ref"]
            for each in self.elements
            if each["parent"] == label and each["tag"].startswith("input_")
        )
        return int(found)


def _click(page: _Page) -> Iterator[Move]:
    yield page.called(page.fields.get("target", ""), "button", "span"), None


def _close(page: _Page) -> Iterator[Move]:
    (titlebar,) = (each["ref"] for each in page.elements if "titlebar-close" in each["classes"])
    yield int(titlebar), None


def _focus(page: _Page) -> Iterator[Move]:
    yield next(page.texts()), None


def _select(page: _Page) -> Iterator[Move]:
    for name, value in page.fields.items():
        if name.startswith("target"):
            yield page.beside(value), None
    yield page.called("Submit", "button"), None


def _type(page: _Page) -> Iterator[Move]:
    yield from zip(page.texts(), page.fields.values(), strict=True)
    yield page.called("", "button"), None


def _type_twice(page: _Page) -> Iterator[Move]:
    for ref in page.texts():
        yield ref, page.fields["target"]
    yield page.called("Submit", "button"), None


def _type_in_case(page: _Page) -> Iterator[Move]:
    text, case = page.fields["text"], page.fields["case"]
    yield next(page.texts()), text.upper() if case == "upper" else text.lower()
    yield page.called("Submit", "button"), None


TASKS: Mapping[str, Callable[[_Page], Iterator[Move]]] = {
    "click-button": _click,
    "click-checkboxes": _select,
    "click-dialog": _close,
    "click-link": _click,
    "click-option": _select,
    "click-test": _click,
    "click-test-2": _click,
    "enter-password": _type_twice,
    "enter-text": _type,
    "enter-text-2": _type_in_case,
    "focus-text": _focus,
    "login-user": _type,
}
"""How each task is solved: the moves, decided from the first observation."""


class MiniwobOracle:
    """Solves the tasks in `TASKS`, one click or one typed text a step.

    Args:
        env: one of ``a2perf/miniwob-<task>-v1`` or ``miniwob/<task>-v1``.

    Raises:
        AgentError: it is none, or a task that this agent does not know.
    """

    def __init__(self, env: Any) -> None:
        base = env.unwrapped
        task = getattr(base, "subdomain", type(base).__name__)
        if task not in TASKS:
            raise AgentError(
                f"agent 'miniwob-oracle' cannot do {task!r}; it can do {', '.join(TASKS)}"
            )
        self._solve = TASKS[task]
        self._types = list(base.action_space_config.action_types)
        self._moves: Iterator[Move] | None = None

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        del seed
        self._moves = None

    def act(self, observation: Mapping[str, Any]) -> dict[str, Any]:
        """Return the next move of the solution, or none after its end."""
        if self._moves is None:
            self._moves = self._solve(_Page(observation))
        ref, text = next(self._moves, (0, None))
        kind = "CLICK_ELEMENT" if text is None else "FOCUS_ELEMENT_AND_TYPE_TEXT"
        return {
            "action_type": self._types.index(kind if ref else "NONE"),
            "coords": np.zeros(2, np.float32),
            "field": 0,
            "key": 0,
            "ref": ref,
            "text": text or "-",  # the space has no empty text
        }
