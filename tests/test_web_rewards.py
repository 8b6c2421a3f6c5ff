"""What actions do on web sites, and what they are worth."""

from __future__ import annotations

import numpy as np
import pytest
from web_worlds import EMPTY, LOGIN, SHOP, WHOLE, find, started, typing

from pytest_a2perf.domains.web.design import Design
from pytest_a2perf.domains.web.errors import WebError


class TestReward:
    def test_by_hand(self):
        env, *_ = started(SHOP)
        name, ticks = find(env, tag="input", field="username"), find(env, kind="checkbox")
        assert env.step(typing("username", name))[1] == pytest.approx(1 / 4 - 0.05)
        assert env.step(typing("username", name))[1] == pytest.approx(-0.55)  # as it was
        assert env.step(typing("city", name))[1] == pytest.approx(-1 / 4 - 0.05)
        assert env.step(EMPTY + name)[1] == pytest.approx(-0.05)  # wrong before and after
        assert env.step(typing("username", name))[1] == pytest.approx(1 / 4 - 0.05)
        assert env.step(ticks)[1] == pytest.approx(1 / 4 - 0.05)
        assert env.step(ticks)[1] == pytest.approx(-1 / 4 - 0.05)
        assert env.step(ticks)[1] == pytest.approx(1 / 4 - 0.05)
        assert env.step(find(env, kind="next"))[1] == pytest.approx(-0.05)
        assert env.step(find(env, kind="link"))[1] == pytest.approx(-0.55)
        assert env.step(typing("state", find(env, tag="select")))[1] == pytest.approx(1 / 4 - 0.05)
        right = find(env, kind="radio", attributes={
            "type": "radio", "id": "cc-1-0", "name": "cc-1", "value": "Credit card"})  # fmt: skip
        wrong = right + 2
        if env.profile["cc"] == "Debit card":
            right, wrong = wrong, right
        assert env.step(wrong)[1] == pytest.approx(-0.05)
        assert env.step(right)[1] == pytest.approx(1 / 4 - 0.05)
        _, reward, terminated, truncated, info = env.step(find(env, kind="next"))
        assert reward == pytest.approx(1 - 0.05)
        assert (terminated, truncated, info["is_success"], info["potential"]) == (
            True,
            False,
            True,
            1.0,
        )

    def test_an_incomplete_site_fails(self):
        env, *_ = started(LOGIN)
        env.step(typing("username", find(env, tag="input", field="username")))
        _, reward, terminated, truncated, info = env.step(EMPTY + find(env, kind="next"))
        assert reward == pytest.approx(-1 - 0.05)
        assert (terminated, truncated, info["is_success"], info["potential"]) == (
            True,
            False,
            False,
            0.5,
        )

    def test_a_page_that_was_left_counts_as_it_was(self):
        env, *_ = started(SHOP)
        env.step(find(env, kind="next"))
        env.step(typing("state", find(env, tag="select")))
        assert env.potential == 1 / 4
        assert not env.step(find(env, kind="next"))[4]["is_success"]

    def test_nothing_accumulates_where_no_element_is(self):
        env, *_ = started(LOGIN)
        rewards = []
        while True:
            _, reward, terminated, truncated, _ = env.step(249)
            rewards.append(reward)
            if terminated or truncated:
                break
        assert rewards == pytest.approx([-0.55] * 25)
        assert (terminated, truncated) == (False, True)

    @pytest.mark.parametrize("limit", [1, 7])
    def test_the_limit(self, limit):
        env, *_ = started(LOGIN, step_limit=limit)
        ends = [env.step(0)[2:4] for _ in range(limit)]
        assert ends == [(False, False)] * (limit - 1) + [(False, True)]

    def test_to_submit_in_the_last_step_is_no_truncation(self):
        env, *_ = started(LOGIN, step_limit=1)
        assert env.step(find(env, kind="next"))[2:4] == (True, False)

    def test_the_potential_makes_up_the_return(self):
        env, *_ = started(WHOLE)
        rng = np.random.default_rng(0)
        size = len(env.site.pages[0].elements) - 4  # all but the buttons that submit
        total = bare = 0.0
        for _ in range(25):
            action = int(rng.integers(25)) * 250 + int(rng.integers(size))
            _, reward, _, _, info = env.step(action)
            total += reward
            bare -= 0.05 + 0.5 * (not info["changed"])
        assert total == pytest.approx(bare + info["potential"])

    def test_a_site_that_asks_for_nothing(self):
        env, _, info = started(Design(1, ("navbar",), (0,)))
        assert info["potential"] == 1.0
        _, reward, terminated, _, info = env.step(find(env, kind="next"))
        assert (reward, terminated, info["is_success"]) == (pytest.approx(0.95), True, True)


class TestActions:
    def test_a_label_stands_for_what_it_labels(self):
        env, *_ = started(SHOP)
        env.step(typing("username", find(env, tag="label", field="username")))
        env.step(find(env, tag="label", field="rememberme"))
        assert env.state.values == (env.profile["username"], "yes")

    def test_a_list_takes_only_what_it_has(self):
        env, *_ = started(Design(1, ("state",), (0,)))
        index = find(env, tag="select")
        assert not env.step(typing("city", index))[4]["changed"]
        assert env.step(typing("state", index))[4]["changed"]
        assert not env.step(typing("city", index))[4]["changed"]
        assert env.state.values == (env.profile["state"],)
        env.step(EMPTY + index)
        assert env.state.values == ("",)

    def test_the_empty_row_types_nothing(self):
        env, *_ = started(LOGIN)
        name = find(env, tag="input", field="username")
        env.step(typing("username", name))
        env.step(24 * 250 + name)
        assert env.state.values == ("", "")

    def test_conceptual_actions_fill_in_rightly(self):
        for seed in range(4):  # both radios are right in some
            env, *_ = started(WHOLE, seed=seed, action_mode="conceptual", step_limit=1000)
            for number, element in enumerate(env.site.pages[0].elements):
                if element.goto is None:
                    assert env.step(element.index)[4]["changed"] <= (element.field is not None), (
                        number
                    )
            assert env.potential == 1.0
            assert env.step(find(env, kind="next"))[4]["is_success"]

    @pytest.mark.parametrize("part", range(6))
    def test_each_part_of_a_primitive_stands_for_it(self, part):
        env, *_ = started(Design(1, ("cabin",), (0,)), action_mode="conceptual")
        assert env.step(part)[4]["potential"] == 1.0
        assert env.step(part)[1] == pytest.approx(-0.55)  # nothing is left to do

    def test_actions_by_name(self):
        env, *_ = started(LOGIN)
        assert env.action_of(7) == EMPTY + 7
        assert env.action_of(7, "password") == typing("password", 7)
        with pytest.raises(WebError, match="no field 'pass'"):
            env.action_of(7, "pass")
        env, *_ = started(LOGIN, action_mode="conceptual")
        assert env.action_of(7, "password") == 7
