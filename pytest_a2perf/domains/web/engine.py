"""What holds the pages while an agent acts: a protocol, and the engine without a browser."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from pytest_a2perf.domains.web.site import Site

__all__ = ["SCREEN", "TICKED", "DomEngine", "Engine", "State"]

SCREEN = (600, 800)
"""Height and width of what a browser shows, in pixels."""
TICKED = "yes"
"""Value of a checkbox or radio that is on; off is empty."""


class State(NamedTuple):
    """What an engine shows.

    Attributes:
        page: number of the page.
        values: of the page's `controls`, in their order: a text, or `TICKED`.
        submitted: whether the site was submitted.
        changed: whether the last action changed anything of it.
    """

    page: int
    values: tuple[str, ...]
    submitted: bool
    changed: bool


class Engine(Protocol):
    """Shows a site and does what a user does."""

    def load(self, site: Site) -> State:
        """Show the first page of a site, with nothing filled in."""

    def act(self, index: int, text: str) -> State:
        """Act on element ``index`` of the page shown.

        A text element's value becomes ``text``; a select takes the option with that text, if there
        is one; a checkbox is toggled; a radio, a button or a link is clicked. Other elements do
        nothing.

        Args:
            index: of an element that is there.
            text: what to type or choose.
        """

    def close(self) -> None:
        """Free what it holds."""


class DomEngine:
    """The pages as data: no browser, and nothing to free."""

    def load(self, site: Site) -> State:
        """Show the first page of a site, with nothing filled in."""
        self._site = site
        self._places = [
            {element.index: place for place, element in enumerate(page.controls)}
            for page in site.pages
        ]
        self._values = [("",) * len(page.controls) for page in site.pages]
        self._page, self._submitted = 0, False
        return State(0, self._values[0], submitted=False, changed=True)

    def act(self, index: int, text: str) -> State:
        """Act on an element, see `Engine.act`."""
        page = self._page
        element = self._site.pages[page].elements[index]
        changed = False
        if element.goto is not None:
            changed = not self._submitted
            self._submitted = element.goto < 0
            self._page = max(element.goto, page)
        elif (place := self._places[page].get(index)) is not None:
            before = self._values[page]
            self._values[page] = self._filled(before, place, text)
            changed = self._values[page] != before
        return State(self._page, self._values[self._page], self._submitted, changed)

    def close(self) -> None:
        """Nothing to do."""

    def _filled(self, values: tuple[str, ...], place: int, text: str) -> tuple[str, ...]:
        page = self._site.pages[self._page]
        element = page.controls[place]
        new = list(values)
        if element.kind == "checkbox":
            new[place] = "" if values[place] else TICKED
        elif element.kind == "radio":
            group = element.attributes["name"]
            for other, control in enumerate(page.controls):
                if control.kind == "radio" and control.attributes["name"] == group:
                    new[other] = TICKED if other == place else ""
        elif element.kind == "text" or text in element.options:
            new[place] = text
        return tuple(new)
