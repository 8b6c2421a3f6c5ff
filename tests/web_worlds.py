"""Designs, and how an episode is played, for tests of web navigation."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pytest_a2perf.domains.web.design import Design
from pytest_a2perf.domains.web.environment import WebNavigationEnv
from pytest_a2perf.domains.web.primitives import FILLABLE, PRIMITIVES

WHOLE = Design(1, tuple(PRIMITIVES), (0,) * len(PRIMITIVES))
"""One page with all primitives."""
LOGIN = Design(1, ("header_login", "username", "password", "next_login_page"), (0, 0, 0, 0))
SHOP = Design(
    2,
    ("username", "rememberme", "next_login", "cart", "state", "cc", "submit", "footer1"),
    (0, 0, 0, 1, 1, 1, 1, 1),
)


@st.composite
def any_design(draw):
    """Designs with any primitives on up to 4 pages, duplicates included."""
    pages = draw(st.integers(1, 4))
    pairs = draw(
        st.lists(st.tuples(st.sampled_from(sorted(PRIMITIVES)), st.integers(0, pages - 1)), max_size=60)
    )  # fmt: skip
    return Design(pages, tuple(name for name, _ in pairs), tuple(page for _, page in pairs))


def play(env, agent, seed, **options):
    """Return the rewards of an episode, its last info, and whether it was cut off."""
    agent.reset(seed)
    observation, _ = env.reset(seed=seed, options=options)
    rewards = []
    while True:
        observation, reward, terminated, truncated, info = env.step(agent.act(observation))
        rewards.append(reward)
        if terminated or truncated:
            return rewards, info, truncated


def find(env, **wanted):
    """Return the index of the first element of the page shown with these attributes."""
    for element in env.site.pages[env.state.page].elements:
        if all(getattr(element, name) == value for name, value in wanted.items()):
            return element.index
    raise LookupError(wanted)


def same(one, other):
    """Whether two observations are equal."""
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


EMPTY = 6250
"""Where the upper half of the flat actions begins, which type nothing."""


def typing(field, element):
    """Return the flat action that types a field's text into an element."""
    return FILLABLE.index(field) * 250 + element


def started(design, seed=0, **settings):
    """Return an environment of one site, with its first observation and info."""
    env = WebNavigationEnv([design], **settings)
    return env, *env.reset(seed=seed)
