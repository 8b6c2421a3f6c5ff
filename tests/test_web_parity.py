"""Two engines, one behaviour: what the pages as data show is what a browser makes of them."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from browser_worlds import needs_chromium

import pytest_a2perf.envs  # noqa: F401 - registers the environments
from pytest_a2perf.domains.web.chromium import ChromiumEngine
from pytest_a2perf.domains.web.design import Design
from pytest_a2perf.domains.web.engine import DomEngine
from pytest_a2perf.domains.web.generate import draw_design
from pytest_a2perf.domains.web.primitives import PRIMITIVES
from pytest_a2perf.domains.web.site import MAX_ELEMENTS, Site

pytestmark = needs_chromium
LIMIT = 40


def all_primitives(*numbers):
    """Return a design of three pages with all primitives on each of ``numbers``."""
    names = tuple(PRIMITIVES)
    return Design(3, names * len(numbers), tuple(n for n in numbers for _ in names))


@pytest.fixture(scope="module")
def designs():
    """Designs of all kinds: drawn ones, and one with every primitive on two pages."""
    rng = np.random.default_rng(7)
    return [all_primitives(0, 2), *(draw_design(rng) for _ in range(15))]


@pytest.fixture(scope="module", params=["flat", "conceptual"])
def pair(request, designs):
    """The same environment with either engine."""
    settings = {"designs": designs, "action_mode": request.param, "step_limit": LIMIT}
    envs = [gymnasium.make("a2perf/WebNavigation-v0", engine=engine, **settings) for engine in ("dom", "chromium")]  # fmt: skip
    yield envs
    for env in envs:
        env.close()


@pytest.fixture(scope="module")
def engine():
    engine = ChromiumEngine()
    yield engine
    engine.close()


def equal(ours, theirs):
    """Compare observations, rewards and infos without forgiving anything."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for name in ours:
            equal(ours[name], theirs[name])
    elif isinstance(ours, tuple):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            equal(mine, other)
    elif isinstance(ours, np.ndarray):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    else:
        assert ours == theirs


def play(pair, seed):
    """Play one random episode in both; return its number of steps, and whether it was sent."""
    dom, chromium = pair
    rng = np.random.default_rng([seed, 2])
    equal(dom.reset(seed=seed), chromium.reset(seed=seed))
    base = dom.unwrapped
    steps = 0
    while True:
        page = base.site.pages[base.state.page]
        any_index = int(rng.integers(MAX_ELEMENTS if rng.random() < 0.05 else len(page.elements)))
        slots = [page.controls[place] for slot in page.slots for place in slot.controls]
        if slots and rng.random() < 0.3:  # what is right is rarely guessed
            control = slots[int(rng.integers(len(slots)))]
            action = base.action_of(control.index, control.field)
        elif base.action_mode == "flat":
            action = any_index + MAX_ELEMENTS * int(rng.integers(50))
        else:
            action = any_index
        result = dom.step(action)
        equal(result, chromium.step(action))
        steps += 1
        if result[2] or result[3]:
            return steps, result[2]


def play_many(pair, seeds):
    played = [play(pair, seed) for seed in seeds]
    sent = [sent for _, sent in played]
    assert any(sent)
    assert not all(sent)
    assert max(steps for steps, _ in played) == LIMIT


@pytest.mark.slow
def test_random_episodes(pair):
    play_many(pair, range(25))


@pytest.mark.slow
def test_hundreds_of_random_episodes(pair):
    play_many(pair, range(25, 225))


def test_the_text_of_a_page_is_the_same(pair):
    dom, chromium = pair
    for env in pair:
        env.reset(seed=3)
        env.unwrapped.render_mode = "ansi"
    assert dom.unwrapped.render() == chromium.unwrapped.render() != ""


@pytest.mark.slow
def test_the_browser_builds_the_elements_of_the_site(engine, designs):
    for design in designs:
        site = Site.of(design)
        state = engine.load(site)
        for page in site.pages:
            shown = engine.devtools.evaluate("a2perf.state()")
            assert shown["page"] == page.number
            built = [(e["tag"], e["text"], e["attributes"], tuple(e["options"])) for e in shown["elements"]]  # fmt: skip
            meant = [(e.tag, e.text if e.tag != "input" else "", dict(e.attributes), e.options) for e in page.elements]  # fmt: skip
            assert built == meant
            assert all(each["visible"] for each in shown["elements"])
            state = engine.act(next(e.index for e in page.elements if e.goto is not None), "")
        assert state.submitted


@pytest.mark.slow
def test_a_mouse_and_a_keyboard_do_what_actions_do(engine):
    """A person gets the same state out of the page as an agent does."""
    site = Site.of(all_primitives(0))
    dom = DomEngine()
    dom.load(site)
    engine.load(site)
    for control in site.pages[0].controls:
        text = control.options[-1] if control.kind == "select" else "2026-03-04"
        wanted = dom.act(control.index, text)
        use(engine, control, text)
        shown = engine.devtools.evaluate("a2perf.state()")
        held = [shown["elements"][each.index] for each in site.pages[0].controls]
        values = [
            ("yes" if each["checked"] else "")
            if each["attributes"].get("type") in ("checkbox", "radio")
            else each["value"]
            for each in held
        ]
        assert tuple(values) == wanted.values, control


def use(engine, control, text):
    """Click an element where it is seen, and type."""
    call, evaluate = engine.devtools.call, engine.devtools.evaluate
    identifier = control.attributes["id"]
    box = evaluate(
        f"(e => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();"
        f" return [b.x + b.width / 2, b.y + b.height / 2]; }})(document.getElementById('{identifier}'))"
    )
    if control.kind == "select":
        evaluate(f"document.getElementById('{identifier}').focus()")
    else:
        for event in ("mousePressed", "mouseReleased"):
            call("Input.dispatchMouseEvent", type=event, x=box[0], y=box[1], button="left", clickCount=1)  # fmt: skip
    if control.kind in ("text", "select"):
        for key in text:
            call("Input.dispatchKeyEvent", type="keyDown", text=key, key=key)
            call("Input.dispatchKeyEvent", type="keyUp", key=key)
