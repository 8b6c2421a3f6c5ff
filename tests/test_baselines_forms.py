"""The web forms of ``examples/baselines``, for learners that take vectors."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from pytest_a2perf.domains.web.agents import OracleAgent

EXAMPLE = Path(__file__).parent.parent / "examples" / "baselines"
THERE, TYPED, CLICKED, FILLED, TRIED, FOCUSED = range(6)


@pytest.fixture
def make(monkeypatch):
    """Return what makes the form of a level."""
    monkeypatch.syspath_prepend(EXAMPLE)
    return lambda level: gymnasium.make(f"baselines.forms:Form-{level}-v0")


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
@pytest.mark.parametrize("level", [1, 3])
def test_a_form_keeps_gymnasiums_contract(make, level):
    check_env(make(level), skip_render_check=True)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_every_form_can_be_filled_in(make, level):
    env = make(level)
    oracle = OracleAgent(env)
    for website in range(len(env.unwrapped.designs)):
        seen, _ = env.reset(seed=website, options={"website": website})
        over = False
        while not over:
            action = oracle.act(seen)
            element = seen.reshape(-1, 6)[action]
            assert element[THERE]
            assert element[TYPED] or element[CLICKED]
            assert not element[FILLED]
            seen, _, terminated, truncated, info = env.step(action)
            over = terminated or truncated
        assert info["is_success"]


def test_what_was_done_is_seen_and_what_is_not_there_changes_nothing(make):
    env = make(1)
    seen, info = env.reset(seed=0)
    before = seen.reshape(-1, 6)
    assert not before[:, FILLED:].any()
    count = int(before[:, THERE].sum())
    assert count == len(env.unwrapped.site.pages[0].elements)
    assert not before[count:].any()
    seen, reward, *_, info = env.step(count)
    assert not info["changed"]
    assert reward == pytest.approx(-0.55)
    field = OracleAgent(env).act(seen)
    after = env.step(field)[0].reshape(-1, 6)
    assert np.flatnonzero(after[:, TRIED]).tolist() == [field]
    assert np.flatnonzero(after[:, FOCUSED]).tolist() == [field]
    assert np.flatnonzero(after[:, FILLED]).tolist() == [field]
