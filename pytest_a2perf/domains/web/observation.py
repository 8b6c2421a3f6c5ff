"""Observations: tokens, structure and masks of the page shown, beside the user's profile.

Nothing in them comes from a browser's layout, so they are the same with every engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from pytest_a2perf.domains.web.engine import State
from pytest_a2perf.domains.web.profile import Profile
from pytest_a2perf.domains.web.site import MAX_ELEMENTS, Element, Page, Site
from pytest_a2perf.domains.web.tokens import LENGTH, VOCABULARY_SIZE, tokens

__all__ = ["FIELDS", "Observation", "Observer", "observation_space"]

Observation = dict[str, NDArray[Any]]

FIELDS = 25
"""Rows of a profile; the last one is empty."""
ATTRIBUTES = ("tag", "value", "text", "placeholder", "name")
FEATURES = ("depth", "position", "typed", "clicked", "filled", "tried", "focused", "new")
_VALUE = ATTRIBUTES.index("value")
_FILLED, _TRIED, _FOCUSED, _NEW = range(4, 8)
_MAX_DEPTH = 8


def observation_space(step_limit: int) -> spaces.Dict:
    """Return the space of observations, with A2Perf's names and shapes."""

    def ids(*shape: int) -> spaces.Box:
        return spaces.Box(0, VOCABULARY_SIZE - 1, shape, np.int32)

    def mask(*shape: int) -> spaces.Box:
        return spaces.Box(0.0, 1.0, shape, np.float32)

    return spaces.Dict(
        {
            "profile_key": ids(FIELDS, LENGTH),
            "profile_value": ids(FIELDS, LENGTH),
            "profile_key_mask": mask(FIELDS, LENGTH),
            "profile_value_mask": mask(FIELDS, LENGTH),
            "dom_elements": ids(MAX_ELEMENTS, len(ATTRIBUTES), LENGTH),
            "dom_attribute_mask": mask(MAX_ELEMENTS, len(ATTRIBUTES), LENGTH),
            "dom_elements_mask": mask(MAX_ELEMENTS),
            "dom_features": mask(MAX_ELEMENTS, len(FEATURES)),
            "dom_profile_joint_mask": mask(FIELDS, MAX_ELEMENTS),
            "time_step": spaces.Box(0.0, float(step_limit), (1,), np.float32),
        }
    )


class Observer:
    """Keeps the observation of an episode up to date."""

    def __init__(self) -> None:
        self._pages: dict[Page, tuple[NDArray[np.int32], NDArray[np.float32]]] = {}

    def begin(self, site: Site, profile: Profile, state: State) -> None:
        """Begin an episode.

        Args:
            site: which is shown.
            profile: the user's.
            state: of the first page.
        """
        self._site = site
        keys = _table([tokens(field) for field in profile])
        values = _table([tokens(text) for text in profile.values()])
        self._fields = len(profile)
        self._seen: Observation = {
            "profile_key": keys,
            "profile_value": values,
            "profile_key_mask": _mask(keys),
            "profile_value_mask": _mask(values),
            "time_step": np.zeros(1, dtype=np.float32),
        }
        self._show(state)

    def update(self, state: State, acted_on: int | None) -> None:
        """Take in a step.

        Args:
            state: after it.
            acted_on: index of an element of the page shown before; None if there was none.
        """
        seen = self._seen
        seen["time_step"][0] += 1
        if state.page != self._page.number:
            self._show(state)
            return
        features = seen["dom_features"]
        features[:, _NEW] = 0
        features[:, _FOCUSED] = 0
        if acted_on is not None:
            features[acted_on, _TRIED] = 1
            features[acted_on, _FOCUSED] = 1
        if state.values != self._values:
            self._fill(state)

    def observe(self) -> Observation:
        """Return a copy of the observation."""
        return {name: array.copy() for name, array in self._seen.items()}

    def _show(self, state: State) -> None:
        page = self._page = self._site.pages[state.page]
        elements, features = self._static(page)
        count = len(page.elements)
        seen = self._seen
        dom = np.zeros((MAX_ELEMENTS, len(ATTRIBUTES), LENGTH), dtype=np.int32)
        dom[:count] = elements
        shown = np.zeros((MAX_ELEMENTS, len(FEATURES)), dtype=np.float32)
        shown[:count] = features
        there = np.zeros(MAX_ELEMENTS, dtype=np.float32)
        there[:count] = 1
        joint = np.zeros((FIELDS, MAX_ELEMENTS), dtype=np.float32)
        joint[: self._fields, :count] = 1
        seen["dom_elements"], seen["dom_attribute_mask"] = dom, _mask(dom)
        seen["dom_features"], seen["dom_elements_mask"] = shown, there
        seen["dom_profile_joint_mask"] = joint
        self._values = ("",) * len(page.controls)
        self._fill(state)

    def _fill(self, state: State) -> None:
        seen = self._seen
        pairs = zip(self._page.controls, self._values, state.values, strict=True)
        for control, before, now in pairs:
            if before == now:
                continue
            index = control.index
            seen["dom_features"][index, _FILLED] = bool(now)
            if control.kind in {"text", "select"}:
                ids = tokens(now)
                seen["dom_elements"][index, _VALUE] = ids
                seen["dom_attribute_mask"][index, _VALUE] = ids > 0
        self._values = state.values

    def _static(self, page: Page) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return what does not change of a page's elements: tokens, features."""
        found = self._pages.get(page)
        if found is None:
            elements = np.array([_tokens(element) for element in page.elements], dtype=np.int32)
            features = np.array([_features(element) for element in page.elements], dtype=np.float32)
            found = self._pages[page] = elements, features
        return found


def _tokens(element: Element) -> list[NDArray[np.int32]]:
    attributes = element.attributes
    texts = (
        f"{element.tag} {attributes.get('type', '')}",
        attributes.get("value", ""),
        " ".join((element.text, *element.options, attributes.get("aria-label", ""))),
        attributes.get("placeholder", ""),
        attributes.get("name", attributes.get("for", "")),
    )
    return [tokens(text) for text in texts]


def _features(element: Element) -> list[float]:
    return [
        min(element.depth / _MAX_DEPTH, 1.0),
        element.index / MAX_ELEMENTS,
        float(element.kind in {"text", "select"}),
        float(element.kind in {"checkbox", "radio", "button", "link", "next"}),
        0.0,
        0.0,
        0.0,
        1.0,
    ]


def _table(rows: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    table = np.zeros((FIELDS, LENGTH), dtype=np.int32)
    table[: len(rows)] = rows
    return table


def _mask(ids: NDArray[np.int32]) -> NDArray[np.float32]:
    return (ids > 0).astype(np.float32)
