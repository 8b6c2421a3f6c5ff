"""Designs, the sites that they stand for, their difficulty, and the HTML."""

from __future__ import annotations

import itertools
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from browser_worlds import CHROMIUM, needs_chromium
from hypothesis import given, settings
from web_worlds import LOGIN, SHOP, WHOLE, any_design

from pytest_a2perf.domains.web import generate
from pytest_a2perf.domains.web.chromium import FLAGS
from pytest_a2perf.domains.web.design import Design
from pytest_a2perf.domains.web.difficulty import LEVELS, difficulty, level_of, page_difficulty
from pytest_a2perf.domains.web.errors import WebError
from pytest_a2perf.domains.web.generate import THEMES, draw_design, draw_designs
from pytest_a2perf.domains.web.html import site_html
from pytest_a2perf.domains.web.primitives import FILLABLE, PASSIVE, PRIMITIVES, TRANSITIONS
from pytest_a2perf.domains.web.profile import POOLS, change_profile, draw_profile
from pytest_a2perf.domains.web.site import MAX_ELEMENTS, Site
from pytest_a2perf.domains.web.tokens import VOCABULARY_SIZE, token, tokens, words

# -- designs ---------------------------------------------------------------------------------------


def test_there_are_40_primitives():
    assert (len(FILLABLE), len(PASSIVE), len(PRIMITIVES)) == (24, 16, 40)
    assert set(TRANSITIONS) == {"next_login_page", "next_login", "next_checkout", "submit"}


@given(any_design())
def test_a_design_survives_json(design):
    assert Design.from_json(json.dumps(design.to_json())) == design
    assert Design.from_json(design.to_json()) == design


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "a design is not JSON: "),
        ("[]", "a design is an object with the keys number_of_pages, action, action_page"),
        ('{"action": [], "action_page": []}', "a design has no key 'number_of_pages'"),
        ('{"number_of_pages": 1, "action": [], "action_page": [], "actions": []}',
         "a design has no key 'actions'; did you mean 'action'?"),
        ('{"number_of_pages": "1", "action": [], "action_page": []}', "number_of_pages is '1'"),
        ('{"number_of_pages": true, "action": [], "action_page": []}', "number_of_pages is True"),
        ('{"number_of_pages": 0, "action": [], "action_page": []}', "number_of_pages is 0"),
        ('{"number_of_pages": 1e9, "action": [], "action_page": []}', "number_of_pages is 1000000000.0"),
        ('{"number_of_pages": 1, "action": "city", "action_page": [0]}', "action is 'city'; it must be a list"),
        ('{"number_of_pages": 1, "action": ["city"], "action_page": []}', "action has 1 entries and action_page 0"),
        ('{"number_of_pages": 1, "action": ["citty"], "action_page": [0]}',
         r"action\[0\]: unknown primitive 'citty'; did you mean 'city'?"),
        ('{"number_of_pages": 1, "action": [["city"]], "action_page": [0]}', r"unknown primitive \['city'\]"),
        ('{"number_of_pages": 1, "action": [7], "action_page": [0]}', "unknown primitive 7"),
        ('{"number_of_pages": 1, "action": ["city"], "action_page": [1]}', r"action_page\[0\] is 1; .* 0 to 0"),
        ('{"number_of_pages": 1, "action": ["city"], "action_page": [0.0]}', r"action_page\[0\] is 0.0"),
    ],
)  # fmt: skip
def test_a_broken_design_says_what_is_wrong(text, message):
    with pytest.raises(WebError, match=message):
        Design.from_json(text)


def test_a2perfs_own_spelling_is_read():
    text = '{"number_of_pages": 1, "action": ["forgotpassowrd"], "action_page": [0]}'
    assert Design.from_json(text).action == ("forgotpassword",)


# -- sites -----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(any_design())
def test_any_design_is_a_site_that_can_be_finished(design):
    site = Site.of(design)
    assert len(site.pages) == design.number_of_pages
    ids = [e.attributes["id"] for page in site.pages for e in page.elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for page, names in zip(site.pages, design.pages(), strict=True):
        assert [e.index for e in page.elements] == list(range(len(page.elements)))
        assert all(
            e.parent < e.index and 0 <= e.control < len(page.elements) for e in page.elements
        )
        last = page.number == design.number_of_pages - 1
        leaving = {e.goto for e in page.elements if e.goto is not None}
        assert leaving == {-1 if last else page.number + 1}
        assert [slot.field for slot in page.slots] == [n for n in names if n in FILLABLE]
        for element in page.elements:
            if element.tag == "label":
                assert page.elements[element.control].attributes["id"] == element.attributes["for"]
    assert site.fields == sum(len(page.slots) for page in site.pages)


def test_no_page_is_too_large_to_be_observed():
    (page,) = Site.of(WHOLE).pages
    assert len(page.elements) <= MAX_ELEMENTS
    assert len(page.slots) == 24


# -- difficulty ------------------------------------------------------------------------------------


def test_difficulty_by_hand():
    # User name and password are two of 3 elements each; header and button are 1 each.
    assert page_difficulty(
        ["header_login", "username", "password", "next_login_page"]
    ) == pytest.approx(-math.log(1 / 2 * 6 / 8 + 1e-8), rel=1e-12)
    # Our own button counts, too, where a page has no transition.
    assert page_difficulty(["city"]) == pytest.approx(-math.log(3 / 4 + 1e-8), rel=1e-12)
    assert page_difficulty(["navbar", "submit"]) == pytest.approx(-math.log(1e-8))
    assert page_difficulty([]) == pytest.approx(-math.log(1e-8))
    assert difficulty(SHOP) == pytest.approx(
        -math.log(1 / 2 * 6 / 7 + 1e-8) - math.log(1 / 2 * 9 / (6 + 9 + 1 + 5) + 1e-8), rel=1e-12
    )


@settings(deadline=None)
@given(any_design())
def test_difficulty_is_that_of_the_real_pages(design):
    total = 0.0
    for page in Site.of(design).pages:
        active = sum(element.field is not None for element in page.elements)
        share = active / len(page.elements)
        total -= math.log(share / math.factorial(len(page.slots)) + 1e-8)
    assert difficulty(design) == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("level", LEVELS)
def test_drawn_designs_are_of_their_level_and_different(level):
    designs = draw_designs(level, 40, seed=5)
    assert len(set(designs)) == 40
    low, high = LEVELS[level]
    for design in designs:
        assert level_of(design) == level
        assert low <= math.exp(-difficulty(design)) < high
    assert draw_designs(level, 40, seed=5) == designs
    assert draw_designs(level, 20, seed=5) == designs[:20]
    assert draw_designs(level, 40, seed=6) != designs
    assert {design.number_of_pages for design in designs} == set(range(1, min(level, 2) + 2))


def test_levels_follow_each_other():
    ranges = sorted(LEVELS.values())
    assert [high for _, high in ranges[:-1]] == [low for low, _ in ranges[1:]]
    assert [LEVELS[level][0] for level in (1, 2, 3)] == [0.5, 0.25, 0.1]
    assert level_of(WHOLE) is None


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_uses_its_primitives(theme):
    rng = np.random.default_rng(0)
    used = set(itertools.chain.from_iterable(draw_design(rng, theme).action for _ in range(300)))
    plans = THEMES[theme]
    assert used == {
        name
        for plan in plans
        for name in (*plan.fields, *plan.transitions, *plan.above, *plan.below)
    }


def test_the_themes_use_all_primitives():
    plans = itertools.chain.from_iterable(THEMES.values())
    names = {name for plan in plans for name in (*plan.fields, *plan.transitions, *plan.above, *plan.below)}  # fmt: skip
    assert names == set(PRIMITIVES)


def test_what_cannot_be_drawn(monkeypatch):
    with pytest.raises(WebError, match="difficulty is 4; known: 1, 2, 3"):
        draw_designs(4, 1)
    with pytest.raises(WebError, match="theme is 'news'; known: login, shopping, flight"):
        draw_design(np.random.default_rng(0), "news")
    with pytest.raises(WebError, match="pages is 3; it must be from 1 to 2"):
        draw_design(np.random.default_rng(0), "login", pages=3)
    monkeypatch.setattr(generate, "_PATIENCE", 20)
    with pytest.raises(WebError, match=r"found only \d+ of 5000 different websites of level 1"):
        draw_designs(1, 5000)


# -- profiles and tokens ---------------------------------------------------------------------------


def test_profiles_fit_the_pages():
    rng = np.random.default_rng(0)
    profiles = [draw_profile(rng) for _ in range(50)]
    (page,) = Site.of(WHOLE).pages
    for profile in profiles:
        assert tuple(profile) == FILLABLE
        assert change_profile(profile, profile) == profile  # so each text can be filled in
        assert profile["departureairport"] != profile["destinationairport"]
        assert profile["departuredate"] < profile["destinationdate"]
        for slot in page.slots:
            first = page.controls[slot.controls[0]]
            if first.kind == "select":
                assert profile[slot.field] in first.options
    assert len({profile["ccnumber"] for profile in profiles}) == 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"citi": "Rome"}, "unknown field 'citi'; did you mean 'city'"),
        ({"state": "Utopia"}, "state is 'Utopia'; known: 'California'"),
        ({"cabin": "Cargo"}, "cabin is 'Cargo'; known: 'Economy', 'First'"),
        ({"rememberme": "no"}, "rememberme is 'no'; known: 'yes'"),
        ({"city": ""}, "city is ''; it must be a line of text"),
        ({"city": "a\nb"}, "must be a line of text"),
        ({"city": 5}, "must be a line of text"),
    ],
)
def test_profiles_that_no_page_could_take(changes, message):
    with pytest.raises(WebError, match=message):
        change_profile(draw_profile(np.random.default_rng(0)), changes)


def test_our_own_words_have_ids_of_their_own():
    (page,) = Site.of(WHOLE).pages
    texts = [*PRIMITIVES, *itertools.chain.from_iterable(POOLS.values())]
    for element in page.elements:
        texts += [element.tag, element.text, *element.options, *element.attributes.values()]
    own = {word for text in texts for word in words(text)}
    ids = {token(word) for word in own}
    assert len(own) > 200
    assert len(ids) == len(own)
    assert min(ids) >= 1
    assert max(ids) < VOCABULARY_SIZE


def test_tokens():
    assert words("4111 22223-B, Mill Lane!") == ["4111", "2222", "3", "b", "mill", "lane"]
    first = tokens("Mill Lane").tolist()
    assert first == [token("mill"), token("lane")] + [0] * 8
    assert len(tokens("a " * 30)) == 10
    # The same in every process and for ever; observations that are stored stay readable.
    assert (token("username"), token("password")) == (7054, 11928)


# -- HTML ------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Reads the elements of each form, and all that an address could stand in."""

    def __init__(self):
        super().__init__()
        self.forms, self.addresses = [], []
        self._inside = False

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in {"href", "src", "action"}]
        if tag == "form":
            self.forms.append([])
            self._inside = True
        elif self._inside and tag == "option":
            self.forms[-1][-1][3].append("")
        elif self._inside:
            self.forms[-1].append((tag, dict(attributes), [], []))

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "form"

    def handle_data(self, data):
        if self._inside and self.forms[-1] and data.strip():
            _, _, text, options = self.forms[-1][-1]
            if options:
                options[-1] = data
            else:
                text.append(data)


@settings(deadline=None)
@given(any_design())
def test_the_document_has_the_elements_of_the_site(design):
    site = Site.of(design)
    text = site_html(site)
    reader = Reader()
    reader.feed(text)
    assert [
        [(tag, attributes, "".join(inner), tuple(options)) for tag, attributes, inner, options in form]
        for form in reader.forms
    ] == [[(e.tag, dict(e.attributes), e.text, e.options) for e in page.elements] for page in site.pages]  # fmt: skip
    assert set(reader.addresses) <= {"#", "data:,"}
    assert not re.search(r"https?:|//\w|url\(|@import|fetch|XMLHttp", text)


def test_everything_that_is_filled_in_has_a_label():
    (page,) = Site.of(WHOLE).pages
    labelled = {e.control for e in page.elements if e.tag == "label" and e.text}
    assert labelled == {control.index for control in page.controls}
    for element in page.elements:
        if element.kind in {"button", "link", "next"}:
            assert element.text
        if element.tag in {"nav", "section"}:
            assert element.attributes["aria-label"]


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, steered as a person would."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a design; nothing may be fetched or complained of."""
    tab = browser.new_page()
    seen = []
    tab.on("console", lambda message: seen.append(message.text))
    tab.on("pageerror", lambda error: seen.append(str(error)))
    tab.on("request", lambda request: seen.append(request.url))
    path = tmp_path / "site.html"

    def visit(design):
        path.write_text(site_html(Site.of(design)), encoding="utf-8")
        tab.goto(path.as_uri())
        return tab

    yield visit
    tab.close()
    assert seen == [path.as_uri()]


@pytest.mark.slow
@needs_chromium
def test_a_person_can_use_a_site(visit):
    tab = visit(SHOP)
    assert tab.locator("#where").inner_text() == "Page 1 of 2"
    tab.get_by_label("User name").fill("maria")
    tab.get_by_text("Remember me").click()
    tab.get_by_role("button", name="Log in and check out").click()
    assert tab.locator("#where").inner_text() == "Page 2 of 2"
    assert not tab.get_by_label("User name").is_visible()
    tab.get_by_role("link", name="Bag").click()
    tab.get_by_label("State").select_option("Oregon")
    tab.get_by_role("radio", name="Debit card").check()
    state = tab.evaluate("a2perf.state()")
    assert (state["page"], state["submitted"]) == (1, False)
    tab.get_by_role("button", name="Place order").click()
    assert tab.get_by_role("status").inner_text() == "Thank you, all is sent."
    assert tab.evaluate("a2perf.state()")["submitted"]
    assert tab.evaluate("a2perf.reset()") == {
        "page": 0, "values": ["", ""], "submitted": False, "changed": True,
    }  # fmt: skip
    assert tab.get_by_label("User name").input_value() == ""


@needs_chromium
def test_the_keyboard_is_enough(visit):
    tab = visit(LOGIN)
    tab.keyboard.press("Tab")
    tab.keyboard.type("maria")
    tab.keyboard.press("Tab")
    tab.keyboard.type("secret")
    tab.keyboard.press("Enter")
    assert tab.evaluate("a2perf.state()")["submitted"]


@pytest.mark.slow
@needs_chromium
def test_roles_and_names_for_screen_readers(visit):
    tab = visit(WHOLE)
    for role, name in (
        ("navigation", "Main"), ("region", "Cart"), ("search", ""), ("group", "Cabin"),
        ("heading", "Shipping information"), ("combobox", "State"), ("checkbox", "Stay logged in"),
        ("form", "Page 1 of 1"),
    ):  # fmt: skip
        assert tab.get_by_role(role, name=name or None).count() == 1, role
    assert [e["tag"] for e in tab.evaluate("a2perf.state()")["elements"]] == [
        e.tag for e in Site.of(WHOLE).pages[0].elements
    ]
