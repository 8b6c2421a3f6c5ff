"""A design says which primitives a site has on which page; it is JSON, as in A2Perf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.domains.web.errors import WebError
from pytest_a2perf.domains.web.primitives import PRIMITIVES
from pytest_a2perf.suggest import did_you_mean

__all__ = ["Design"]

MAX_PAGES = 100
_KEYS = ("number_of_pages", "action", "action_page")
_SPELLINGS = {"forgotpassowrd": "forgotpassword"}
"""A2Perf's own files have this one."""


@dataclass(frozen=True, slots=True)
class Design:
    """What a site is made of.

    Attributes:
        number_of_pages: from 1.
        action: names of primitives.
        action_page: page of each of them, from 0.

    Raises:
        WebError: an unknown primitive, or a page that is not there.
    """

    number_of_pages: int
    action: tuple[str, ...]
    action_page: tuple[int, ...]

    def __post_init__(self) -> None:
        if not _is_count(self.number_of_pages) or not 1 <= self.number_of_pages <= MAX_PAGES:
            raise WebError(
                f"number_of_pages is {self.number_of_pages!r}; it must be from 1 to {MAX_PAGES}"
            )
        if len(self.action) != len(self.action_page):
            raise WebError(
                f"action has {len(self.action)} entries and action_page {len(self.action_page)}: "
                "each primitive needs its page"
            )
        for number, (name, page) in enumerate(zip(self.action, self.action_page, strict=True)):
            if not _is_primitive(name):
                hint = did_you_mean(str(name), PRIMITIVES)
                raise WebError(f"action[{number}]: unknown primitive {name!r}{hint}")
            if not _is_count(page) or not 0 <= page < self.number_of_pages:
                last = self.number_of_pages - 1
                raise WebError(f"action_page[{number}] is {page!r}; it must be from 0 to {last}")

    @classmethod
    def from_json(cls, design: str | Mapping[str, Any]) -> Design:
        """Read a design.

        Args:
            design: text, or what it means.

        Raises:
            WebError: it is not a design; the message names the key.
        """
        if isinstance(design, str):
            try:
                design = json.loads(design)
            except (ValueError, RecursionError) as error:
                raise WebError(f"a design is not JSON: {error}") from None
        if not isinstance(design, Mapping):
            raise WebError(f"a design is an object with the keys {', '.join(_KEYS)}")
        for key in _KEYS:
            if key not in design:
                raise WebError(f"a design has no key {key!r}; it needs {', '.join(_KEYS)}")
        for key in design:
            if key not in _KEYS:
                hint = did_you_mean(str(key), _KEYS)
                raise WebError(f"a design has no key {key!r}{hint}")
        for key in ("action", "action_page"):
            if not isinstance(design[key], list | tuple):
                raise WebError(f"{key} is {design[key]!r}; it must be a list")
        names = (
            _SPELLINGS.get(name, name) if isinstance(name, str) else name
            for name in design["action"]
        )
        return cls(design["number_of_pages"], tuple(names), tuple(design["action_page"]))

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return {
            "number_of_pages": self.number_of_pages,
            "action": list(self.action),
            "action_page": list(self.action_page),
        }

    def pages(self) -> list[list[str]]:
        """Return the primitives of each page, in order; of duplicates the first."""
        pages: list[dict[str, None]] = [{} for _ in range(self.number_of_pages)]
        for name, page in zip(self.action, self.action_page, strict=True):
            pages[page][name] = None
        return [list(page) for page in pages]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_primitive(name: object) -> bool:
    return isinstance(name, str) and name in PRIMITIVES
