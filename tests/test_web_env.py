"""The web navigation environments: observations, actions, rewards, ends, randomness."""

from __future__ import annotations

import json
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from web_worlds import EMPTY, LOGIN, SHOP, WHOLE, any_design, find, same, started, typing

import pytest_a2perf.envs  # noqa: F401 - registers the environments
from pytest_a2perf.domains.web.difficulty import level_of
from pytest_a2perf.domains.web.engine import DomEngine
from pytest_a2perf.domains.web.environment import WebNavigationEnv
from pytest_a2perf.domains.web.errors import WebError
from pytest_a2perf.domains.web.site import Site
from pytest_a2perf.domains.web.tokens import token, tokens

LEVELS = [f"a2perf/WebNavigation-Difficulty-0{level}-v0" for level in (1, 2, 3)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["flat", "conceptual"])
@pytest.mark.parametrize("name", LEVELS)
def test_gymnasium_finds_nothing_wrong(name, mode):
    env = gymnasium.make(name, num_websites=3, action_mode=mode)
    check_env(env.unwrapped)
    assert {level_of(design) for design in env.unwrapped.designs} == {int(name[-4])}
    assert len(env.unwrapped.designs) == 3


def test_designs_of_ones_own(tmp_path):
    made = gymnasium.make(
        "a2perf/WebNavigation-v0", designs=[LOGIN.to_json(), json.dumps(SHOP.to_json()), WHOLE]
    )
    assert made.unwrapped.designs == [LOGIN, SHOP, WHOLE]
    check_env(made.unwrapped)
    path = tmp_path / "designs.json"
    path.write_text(json.dumps([LOGIN.to_json(), SHOP.to_json()]))
    assert WebNavigationEnv(path).designs == [LOGIN, SHOP]
    path.write_text(json.dumps(LOGIN.to_json()))
    assert WebNavigationEnv(str(path)).designs == [LOGIN]


class TestObservation:
    def test_shapes_are_a2perfs(self):
        env, seen, _ = started(LOGIN)
        shapes = {
            "profile_key": ((25, 10), np.int32), "profile_value": ((25, 10), np.int32),
            "profile_key_mask": ((25, 10), np.float32), "profile_value_mask": ((25, 10), np.float32),
            "dom_elements": ((250, 5, 10), np.int32), "dom_attribute_mask": ((250, 5, 10), np.float32),
            "dom_elements_mask": ((250,), np.float32), "dom_features": ((250, 8), np.float32),
            "dom_profile_joint_mask": ((25, 250), np.float32), "time_step": ((1,), np.float32),
        }  # fmt: skip
        assert {name: (array.shape, array.dtype) for name, array in seen.items()} == shapes
        assert env.action_space == spaces.Discrete(12500)
        assert WebNavigationEnv([LOGIN], action_mode="conceptual").action_space == spaces.Discrete(
            250
        )
        assert env.observation_space["dom_elements"].high.max() < 15_000
        assert env.observation_space["time_step"].high == 25

    def test_the_profile(self):
        env, seen, _ = started(LOGIN)
        for row, (field, text) in enumerate(env.profile.items()):
            assert (seen["profile_key"][row] == tokens(field)).all()
            assert (seen["profile_value"][row] == tokens(text)).all()
        assert not seen["profile_key"][24].any()
        for name in ("key", "value"):
            assert ((seen[f"profile_{name}"] > 0) == seen[f"profile_{name}_mask"]).all()

    def test_the_page(self):
        env, seen, _ = started(LOGIN)
        (page,) = env.site.pages
        count = len(page.elements)
        assert seen["dom_elements_mask"].tolist() == [1] * count + [0] * (250 - count)
        assert not seen["dom_elements"][count:].any()
        assert ((seen["dom_elements"] > 0) == seen["dom_attribute_mask"]).all()
        assert (seen["dom_profile_joint_mask"][:24, :count] == 1).all()
        assert seen["dom_profile_joint_mask"].sum() == 24 * count
        name = find(env, tag="input", field="username")
        tag, value, text, placeholder, called = seen["dom_elements"][name]
        assert tag[:3].tolist() == [token("input"), token("text"), 0]
        assert not value.any()
        assert not text.any()
        assert placeholder[0] == token("name")
        assert called[0] == token("username")
        assert seen["dom_features"][name, :5].tolist() == pytest.approx(
            [1 / 8, name / 250, 1, 0, 0]
        )

    def test_it_follows_what_happens(self):
        env, before, _ = started(LOGIN)
        name = find(env, tag="input", field="username")
        kept = {key: array.copy() for key, array in before.items()}
        seen, *_ = env.step(typing("username", name))
        assert same(before, kept)  # what was returned stays as it was
        assert (seen["dom_elements"][name, 1] == tokens(env.profile["username"])).all()
        assert seen["dom_features"][name, 4:].tolist() == [1, 1, 1, 0]
        assert before["dom_features"][name, 4:].tolist() == [0, 0, 0, 1]
        assert seen["time_step"] == 1
        changed = {key for key in seen if not np.array_equal(seen[key], before[key])}
        assert changed == {"dom_elements", "dom_attribute_mask", "dom_features", "time_step"}
        word = find(env, tag="input", field="password")
        seen, *_ = env.step(EMPTY + word)
        assert seen["dom_features"][name, 4:].tolist() == [1, 1, 0, 0]
        assert seen["dom_features"][word, 4:].tolist() == [0, 1, 1, 0]
        seen, *_ = env.step(EMPTY + name)
        assert not seen["dom_elements"][name, 1].any()
        assert seen["dom_features"][name, 4] == 0

    def test_a_new_page(self):
        env, *_ = started(SHOP)
        seen, *_ = env.step(EMPTY + find(env, kind="next"))
        count = len(env.site.pages[1].elements)
        assert seen["dom_elements_mask"].sum() == count
        assert (seen["dom_features"][:count, 7] == 1).all()
        assert not seen["dom_features"][count:].any()
        env.step(EMPTY)
        state = find(env, tag="select")
        seen, *_ = env.step(typing("state", state))
        assert (seen["dom_elements"][state, 1] == tokens(env.profile["state"])).all()
        assert not seen["dom_features"][:, 7].any()

    def test_tokens_do_not_depend_on_what_was_seen_before(self):
        fresh, seen, _ = started(SHOP, seed=3)
        worn = WebNavigationEnv([WHOLE, LOGIN, SHOP])
        for seed in range(5):
            worn.reset(seed=seed)
            worn.step(5)
        again, _ = worn.reset(seed=3, options={"website": 2, "profile": fresh.profile})
        assert same(seen, again)

    @settings(deadline=None, max_examples=40)
    @given(
        any_design(),
        st.lists(st.integers(0, 12499), max_size=30),
        st.sampled_from(["flat", "conceptual"]),
    )
    def test_whatever_is_done_it_stays_in_its_space(self, design, actions, mode):
        env, seen, info = started(design, action_mode=mode)
        assert env.observation_space.contains(seen)
        for drawn in actions:
            row, index = divmod(drawn, 250)
            if drawn % 2:  # an element that is there
                index %= len(env.site.pages[env.state.page].elements)
            action = row * 250 + index if mode == "flat" else index
            seen, reward, terminated, truncated, info = env.step(action)
            assert env.observation_space.contains(seen)
            assert 0 <= info["potential"] <= 1
            assert -2.55 <= reward <= 2
            assert not (terminated and truncated)
            assert info["is_success"] <= terminated
            if terminated or truncated:
                break


class TestRandomness:
    @pytest.mark.parametrize("name", LEVELS)
    def test_everything_follows_from_the_seed(self, name):
        def episode(env, seed):
            seen, _ = env.reset(seed=seed)
            found = [(env.website, dict(env.profile))]
            rng = np.random.default_rng(seed)
            size = int(seen["dom_elements_mask"].sum())
            for _ in range(10):
                seen, reward, terminated, truncated, info = env.step(int(rng.integers(size)))
                found.append((reward, terminated, info, {k: v.tobytes() for k, v in seen.items()}))
                if terminated or truncated:
                    break
            return found

        env, other = (gymnasium.make(name, num_websites=20).unwrapped for _ in range(2))
        first = [episode(env, seed) for seed in range(4)]
        assert [episode(other, seed) for seed in (3, 2, 1, 0)] == first[::-1]
        assert len({str(found[0]) for found in first}) == 4

    def test_episodes_differ_without_a_seed(self):
        env, *_ = started(LOGIN)
        assert len({env.reset() and env.profile["password"] for _ in range(5)}) == 5

    def test_other_websites(self):
        one, other = (
            WebNavigationEnv(difficulty=2, num_websites=5, website_seed=s) for s in (0, 1)
        )
        assert one.designs != other.designs
        assert {one.reset(seed=seed)[1]["website"] for seed in range(40)} == set(range(5))

    def test_tokens_are_the_same_in_every_process(self):
        program = (
            "from pytest_a2perf.domains.web.environment import WebNavigationEnv as E\n"
            "import zlib\n"
            "seen, _ = E(difficulty=3, num_websites=3).reset(seed=1)\n"
            "print([zlib.crc32(array.tobytes()) for array in seen.values()])"
        )
        found = {
            subprocess.run(
                [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
            ).stdout
            for seed in ("1", "2")
        }  # fmt: skip
        assert len(found) == 1

    def test_the_profile_can_be_chosen(self):
        env = WebNavigationEnv([LOGIN, SHOP])
        env.reset(seed=0, options={"website": 1, "profile": {"city": "Rome"}})
        assert (env.website, env.profile["city"]) == (1, "Rome")


class TestRender:
    def test_as_text(self):
        env = gymnasium.make("a2perf/WebNavigation-v0", designs=[SHOP], render_mode="ansi")
        env.reset(seed=0, options={"profile": {"username": "maria"}})
        bare = env.unwrapped
        env.step(typing("username", find(bare, tag="input", field="username")))
        assert env.render().splitlines() == [
            "Page 1 of 2",
            '[2] textbox "User name" (name) = "maria"',
            '[4] checkbox "Remember me" is off',
            '[6] button "Log in and check out"',
        ]
        env.step(6)
        lines = env.render().splitlines()
        assert lines[0] == "Page 2 of 2"
        assert '[1] heading "Your cart"' in lines
        assert '[11] radio "Payment: Credit card" is off' in lines
        assert any(line.startswith('[8] list "State" of California, ') for line in lines)
        assert lines[-1] == '[20] link "Full site"'
        env.step(find(bare, kind="next"))
        assert env.render().endswith("Thank you, all is sent.")

    def test_not_at_all(self):
        env, *_ = started(LOGIN)
        assert env.render() is None


BROKEN = '[{"number_of_pages": 1, "action": ["cities"], "action_page": [0]}]'


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give either designs or difficulty"),
        ({"designs": [LOGIN], "difficulty": 1}, "give either designs or difficulty"),
        ({"designs": []}, "designs: give a list of at least one design"),
        ({"designs": LOGIN}, "designs: give a list of at least one design"),
        ({"designs": 5}, "designs: give a list of at least one design"),
        ({"designs": json.loads(BROKEN)}, r"designs\[0\]: action\[0\]: unknown primitive 'cities'"),
        ({"designs": [LOGIN, "{"]}, r"designs\[1\]: a design is not JSON"),
        ({"difficulty": 4}, "difficulty is 4; known: 1, 2, 3"),
        ({"difficulty": 1, "num_websites": 0}, "num_websites is 0; it must be above 0"),
        ({"designs": [LOGIN], "step_limit": 0}, "step_limit is 0; it must be above 0"),
        ({"designs": [LOGIN], "engine": "firefox"}, "engine is 'firefox'; known: 'dom', 'chromium'"),
        ({"designs": [LOGIN], "engine_options": {"timeout": 1}}, "engine 'dom' has no option 'timeout'"),
        ({"designs": [LOGIN], "action_mode": "x"}, "action_mode is 'x'; known: 'flat', 'conceptual'"),
        ({"designs": [LOGIN], "render_mode": "human"}, "render_mode is 'human'; known: 'ansi'"),
        ({"designs": [LOGIN], "render_mode": "rgb_array"}, "rgb_array needs engine='chromium'"),
        ({"designs": [LOGIN], "screenshot": True}, "screenshot needs engine='chromium'"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(WebError, match=message):
        WebNavigationEnv(**settings)


def test_files_that_are_no_designs(tmp_path):
    path = tmp_path / "designs.json"
    with pytest.raises(WebError, match=r"designs\.json: No such file"):
        WebNavigationEnv(path)
    path.write_text("[")
    with pytest.raises(WebError, match=r"designs\.json is not JSON"):
        WebNavigationEnv(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(WebError, match=r"designs\.json is not JSON"):
        WebNavigationEnv(path)
    path.write_text(BROKEN)
    with pytest.raises(
        WebError, match=r"designs\.json\[0\]: action\[0\]: unknown primitive 'cities'"
    ):
        WebNavigationEnv(path)


def test_steps_that_make_no_sense():
    env = WebNavigationEnv([LOGIN])
    with pytest.raises(WebError, match="the episode is over: call reset"):
        env.step(0)
    env.reset(seed=0)
    for action in (-1, 12500):
        with pytest.raises(WebError, match=f"action is {action}; it must be from 0 to 12499"):
            env.step(action)
    env.step(EMPTY + find(env, kind="next"))
    with pytest.raises(WebError, match="the episode is over: call reset"):
        env.step(0)
    for website in (-1, 1):
        with pytest.raises(WebError, match=f"website is {website}; it must be from 0 to 0"):
            env.reset(options={"website": website})
    with pytest.raises(WebError, match="profile: unknown field 'citi'"):
        env.reset(options={"profile": {"citi": "Rome"}})


def test_the_engine_by_hand():
    engine = DomEngine()
    site = Site.of(SHOP)
    assert engine.load(site) == (0, ("", ""), False, True)
    assert engine.act(0, "x") == (0, ("", ""), False, False)  # a div
    assert engine.act(2, "maria") == (0, ("maria", ""), False, True)
    assert engine.act(6, "") == (1, ("", "", ""), False, True)
    (leave,) = (element.index for element in site.pages[1].elements if element.goto == -1)
    assert engine.act(leave, "")[2:] == (True, True)
    assert engine.act(leave, "")[2:] == (True, False)  # there is nothing more to submit
    assert engine.load(site) == (0, ("", ""), False, True)
    engine.close()
