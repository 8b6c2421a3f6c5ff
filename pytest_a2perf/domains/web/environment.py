"""The environment: fill in a site's forms from a user's profile, and submit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from pytest_a2perf.domains.web.design import Design
from pytest_a2perf.domains.web.engine import SCREEN, TICKED, DomEngine, Engine
from pytest_a2perf.domains.web.errors import WebError
from pytest_a2perf.domains.web.generate import draw_designs
from pytest_a2perf.domains.web.observation import FIELDS, Observation, Observer, observation_space
from pytest_a2perf.domains.web.primitives import FILLABLE
from pytest_a2perf.domains.web.profile import Profile, change_profile, draw_profile
from pytest_a2perf.domains.web.site import MAX_ELEMENTS, Element, Page, Site

__all__ = ["STEP_LIMIT", "WebNavigationEnv"]

STEP_LIMIT = 25
_STEP_PENALTY = 0.05
_NO_CHANGE_PENALTY = 0.5
_PAIRS = FIELDS * MAX_ELEMENTS
_MODES = ("flat", "conceptual")
_ENGINES = ("dom", "chromium")
_RENDER_MODES = ("ansi", "rgb_array", None)


class WebNavigationEnv(gymnasium.Env[Observation, np.int64]):
    """Fill in what a site asks for, page by page, and submit.

    A flat action is one of 12,500: the lower half types the text of profile field
    ``action // 250`` into element ``action % 250``, the upper half types nothing. Whether it types,
    chooses or clicks depends on the element; a label stands for what it labels. A conceptual action
    is the number of an element: each part of a primitive that is filled in stands for filling it in
    rightly.

    The reward of a step is the change of the potential, which is the share of the fields on all
    pages that are right, -0.05, -0.5 if nothing changed, and where the site is submitted +1 if all
    is right, else -1. That ends the episode; it is truncated after ``step_limit`` steps.

    ``info`` has ``potential``, ``page``, ``website``, ``changed`` and ``is_success``.

    Args:
        designs: of the sites: a list of `Design` or of what `Design.from_json` takes, or the path
            of a JSON file with such a list.
        difficulty: 1 to 3: draw the designs of that level instead.
        num_websites: how many of these; each episode has one of them.
        website_seed: of the draw of designs.
        engine: ``"dom"``, without a browser; or ``"chromium"``.
        engine_options: keyword arguments of the engine.
        action_mode: ``"flat"`` or ``"conceptual"``.
        step_limit: of an episode.
        screenshot: add ``screenshot`` to observations; needs ``engine="chromium"``.
        render_mode: ``"ansi"``, the page as text; ``"rgb_array"``, which needs
            ``engine="chromium"``; or none.

    Raises:
        WebError: the designs or settings do not make sense.
        InfraError: the engine cannot run here.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - so Gymnasium declares it
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 4,
    }

    def __init__(
        self,
        designs: Sequence[Design | Mapping[str, Any] | str] | str | Path | None = None,
        *,
        difficulty: int | None = None,
        num_websites: int = 100,
        website_seed: int = 0,
        engine: Literal["dom", "chromium"] = "dom",
        engine_options: Mapping[str, Any] | None = None,
        action_mode: Literal["flat", "conceptual"] = "flat",
        step_limit: int = STEP_LIMIT,
        screenshot: bool = False,
        render_mode: Literal["ansi", "rgb_array"] | None = None,
    ) -> None:
        _check("engine", engine, _ENGINES)
        _check("action_mode", action_mode, _MODES)
        _check("render_mode", render_mode, _RENDER_MODES)
        for name, value in (("num_websites", num_websites), ("step_limit", step_limit)):
            if value < 1:
                raise WebError(f"{name} is {value}; it must be above 0")
        for name, wanted in (("screenshot", screenshot), ("rgb_array", render_mode == "rgb_array")):
            if wanted and engine != "chromium":
                raise WebError(f"{name} needs engine='chromium'; engine {engine!r} has no pixels")
        if (designs is None) == (difficulty is None):
            raise WebError("give either designs or difficulty")
        if difficulty is not None:
            self.designs = draw_designs(difficulty, num_websites, website_seed)
        else:
            self.designs = _read(designs)
        self.metadata = {
            **self.metadata,
            "render_modes": list(_RENDER_MODES[: 1 + (engine != "dom")]),
        }
        self.render_mode = render_mode
        self.action_mode = action_mode
        self._limit, self._screenshot = step_limit, screenshot
        self._sites: dict[int, Site] = {}
        self._observer = Observer()
        seen = observation_space(step_limit)
        if screenshot:
            seen["screenshot"] = spaces.Box(0, 255, (*SCREEN, 3), np.uint8)
        self.observation_space = seen  # type: ignore[assignment]
        self._actions = 2 * _PAIRS if action_mode == "flat" else MAX_ELEMENTS
        self.action_space = spaces.Discrete(self._actions)
        self._over = True
        self._engine: Engine = _make_engine(engine, dict(engine_options or {}))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Show the first page of one of the sites to a new user.

        Args:
            seed: of all that is random in the episode.
            options: ``{"website": number}`` takes that one; ``{"profile": {field: text}}`` changes
                these fields of the profile.

        Raises:
            WebError: there is no such website or field.
        """
        super().reset(seed=seed, options=options)
        drawn = int(self.np_random.integers(len(self.designs)))
        profile = draw_profile(self.np_random)
        options = options or {}
        self.profile: Profile = change_profile(profile, options.get("profile", {}))
        self.website = int(options.get("website", drawn))
        if not 0 <= self.website < len(self.designs):
            last = len(self.designs) - 1
            raise WebError(f"website is {self.website}; it must be from 0 to {last}")
        self.site = self._site(self.website)
        self._targets = [_targets(page, self.profile) for page in self.site.pages]
        self._right = [0] * len(self.site.pages)
        self._texts = (*self.profile.values(), *[""] * (FIELDS - len(self.profile)))
        self.state = self._engine.load(self.site)
        self._steps, self._over = 0, False
        self._observer.begin(self.site, self.profile, self.state)
        self.potential = self._potential()
        return self._observe(), self._info(is_success=False)

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act on an element.

        Raises:
            WebError: the episode is over, or the action is not in the space.
        """
        if self._over:
            raise WebError("the episode is over: call reset")
        action = int(action)
        if not 0 <= action < self._actions:
            raise WebError(f"action is {action}; it must be from 0 to {self._actions - 1}")
        before = self.potential
        index = action % MAX_ELEMENTS
        elements = self.site.pages[self.state.page].elements
        if index < len(elements):
            self._act(elements[index], action)
            self._observer.update(self.state, index)
        else:
            self.state = self.state._replace(changed=False)
            self._observer.update(self.state, None)
        self._steps += 1
        self.potential = self._potential()
        success = self.state.submitted and self._complete
        reward = self.potential - before - _STEP_PENALTY
        if not self.state.changed:
            reward -= _NO_CHANGE_PENALTY
        if self.state.submitted:
            reward += 1.0 if success else -1.0
        truncated = self._steps >= self._limit and not self.state.submitted
        self._over = self.state.submitted or truncated
        info = self._info(is_success=success)
        return self._observe(), reward, self.state.submitted, truncated, info

    def action_of(self, element: int, field: str | None = None) -> int:
        """Return the action that acts on an element.

        Args:
            element: its index on the page shown.
            field: whose text is typed; None types nothing. In conceptual mode it does not matter.

        Raises:
            WebError: the profile has no such field.
        """
        if self.action_mode == "conceptual":
            return element
        if field is None:
            return _PAIRS + element
        if field not in FILLABLE:
            raise WebError(f"the profile has no field {field!r}")
        return FILLABLE.index(field) * MAX_ELEMENTS + element

    def render(self) -> Any:
        """Return the page as text, or as a picture of shape (height, width, 3)."""
        if self.render_mode == "ansi":
            from pytest_a2perf.domains.web.text import page_text

            return page_text(self.site, self.state)
        if self.render_mode == "rgb_array":
            return self._picture()
        return None

    def close(self) -> None:
        """End the engine."""
        self._over = True
        self._engine.close()

    def _act(self, element: Element, action: int) -> None:
        page = self.state.page
        if self.action_mode == "conceptual":
            index, text = self._intention(element)
        else:
            index = element.control
            text = self._texts[action // MAX_ELEMENTS] if action < _PAIRS else ""
        if index is None:
            self.state = self.state._replace(changed=False)
        else:
            self.state = self._engine.act(index, text)
            self._count(page)

    def _intention(self, element: Element) -> tuple[int | None, str]:
        """Return which element to act on, and with which text, to do what ``element`` stands for.

        The element is None where all is right already, or where none can make it right.
        """
        if element.field is None:
            return element.index, ""
        page = self.site.pages[self.state.page]
        targets = self._targets[page.number]
        for slot in page.slots:
            if slot.field == element.field:
                for place in slot.controls:
                    if targets[place] and targets[place] != self.state.values[place]:
                        return page.controls[place].index, targets[place]
        return None, ""

    def _count(self, page: int) -> None:
        """Count the fields of a page that are right, if it is still shown."""
        if self.state.page != page:
            return
        targets, values = self._targets[page], self.state.values
        self._right[page] = sum(
            all(values[place] == targets[place] for place in slot.controls)
            for slot in self.site.pages[page].slots
        )

    @property
    def _complete(self) -> bool:
        return sum(self._right) == self.site.fields

    def _potential(self) -> float:
        return sum(self._right) / self.site.fields if self.site.fields else 1.0

    def _site(self, number: int) -> Site:
        if number not in self._sites:
            self._sites[number] = Site.of(self.designs[number])
        return self._sites[number]

    def _observe(self) -> Observation:
        seen = self._observer.observe()
        if self._screenshot:
            seen["screenshot"] = self._picture()
        return seen

    def _picture(self) -> Any:
        return self._engine.screenshot()  # type: ignore[attr-defined]

    def _info(self, *, is_success: bool) -> dict[str, Any]:
        return {
            "potential": self.potential,
            "page": self.state.page,
            "website": self.website,
            "changed": self.state.changed,
            "is_success": is_success,
        }


def _check(option: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise WebError(f"{option} is {value!r}; known: {', '.join(map(repr, known))}")


def _make_engine(name: str, options: dict[str, Any]) -> Engine:
    if name == "chromium":
        from pytest_a2perf.domains.web.chromium import make_engine

        return make_engine(**options)
    if options:
        raise WebError(f"engine 'dom' has no option {next(iter(options))!r}; it has none")
    return DomEngine()


def _read(designs: Any) -> list[Design]:
    """Read designs.

    Raises:
        WebError: the message names the file, and the number of the design.
    """
    where = "designs"
    if isinstance(designs, str | Path):
        where = str(designs)
        try:
            designs = json.loads(Path(designs).read_text(encoding="utf-8"))
        except OSError as error:
            raise WebError(f"{where}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise WebError(f"{where} is not JSON: {error}") from None
        designs = designs if isinstance(designs, list) else [designs]
    if isinstance(designs, Mapping | Design) or not isinstance(designs, Sequence) or not designs:
        raise WebError(f"{where}: give a list of at least one design")
    read = []
    for number, design in enumerate(designs):
        try:
            read.append(design if isinstance(design, Design) else Design.from_json(design))
        except WebError as error:
            raise WebError(f"{where}[{number}]: {error}") from None
    return read


def _targets(page: Page, profile: Profile) -> tuple[str, ...]:
    """Return what each of a page's controls holds when all is right; empty for distractors."""
    targets = []
    for control in page.controls:
        wanted = profile[control.field] if control.field is not None else ""
        if control.kind == "radio":
            wanted = TICKED if control.attributes["value"] == wanted else ""
        targets.append(wanted)
    return tuple(targets)
