"""MiniWoB++ as scenarios, and that its browsers end whatever happens."""

from __future__ import annotations

import textwrap

import pytest
from browser_worlds import NOTING, assert_all_ended, needs_chromedriver

from pytest_a2perf.scenarios.load import load_scenarios
from pytest_a2perf.scenarios.suites import suites_folder

pytest.importorskip("miniwob", reason="MiniWoB++ is not installed")
pytestmark = needs_chromedriver

SCENARIO = """
    [[scenario]]
    name = "login"
    task = "a2perf/miniwob-{task}-v1"
    agent = "{agent}"
    seeds = 1
    episodes = {episodes}
    {more}
    options.modules = ["pytest_a2perf.domains.miniwob"]
    options.env = {{ time_limit = {limit} }}
    options.max_steps = 20
"""


@pytest.fixture
def scenario(write):
    """Write a scenario of one trial."""

    def scenario(agent="miniwob-oracle", task="login-user", episodes=1, limit=60, more=""):
        text = SCENARIO.format(agent=agent, task=task, episodes=episodes, limit=limit, more=more)
        return write(text)

    return scenario


@pytest.fixture
def make():
    """Make environments that are closed in the end."""
    import gymnasium

    import pytest_a2perf.domains.miniwob

    pytest_a2perf.domains.miniwob.register()
    made = []

    def make(task, **settings):
        made.append(gymnasium.make(f"a2perf/miniwob-{task}-v1", **settings))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["login-user", "click-checkboxes", "enter-text-2"])
def test_the_agent_solves_a_task(task, project, scenario, records):
    scenario(task=task, episodes=3)
    project.runpytest_subprocess("--a2perf").assert_outcomes(passed=1)
    (record,) = records()
    assert [(each.total, each.success) for each in record.episodes] == [(1.0, True)] * 3
    assert record.samples["env_step"].count == sum(each.length for each in record.episodes)


def test_the_shipped_suite_names_what_the_agent_knows():
    from pytest_a2perf.domains.miniwob.agents import TASKS

    tasks = set()
    for scenario, _ in load_scenarios(suites_folder() / "miniwob.toml"):
        tasks |= {scenario.task, *scenario.options.get("tasks", ())}
    assert tasks == {f"a2perf/miniwob-{task}-v1" for task in TASKS}


@pytest.mark.slow
def test_the_shipped_suite_passes(project, write):
    write((suites_folder() / "miniwob.toml").read_text("utf-8"), schema=False)
    assert project.runpytest_subprocess("--a2perf", "-m", "miniwob", timeout=600).ret == 0


@pytest.mark.slow
def test_the_reward_is_raw_and_seeds_are_exact(make):
    from pytest_a2perf.domains.miniwob.agents import MiniwobOracle

    env = make("login-user", time_limit=60)
    agent = MiniwobOracle(env)

    def episode(seed):
        observation, _ = env.reset(seed=seed)
        agent.reset(seed)
        asked = observation["utterance"]
        rewards, over = [], False
        while not over:
            observation, reward, terminated, truncated, info = env.step(agent.act(observation))
            rewards.append(reward)
            over = terminated or truncated
        return asked, rewards, terminated, info["is_success"]

    first, other, again = episode(1), episode(2), episode(1)
    assert first == again
    assert first[0] != other[0]
    assert first[1:] == ([0.0, 0.0, 1.0], True, True)


@pytest.mark.slow
def test_an_episode_that_takes_too_long_is_truncated(make):
    import time

    env = make("click-test", time_limit=0.3)
    for _ in range(2):
        env.reset(seed=1)
        time.sleep(0.5)
        nothing = env.action_space.sample() | {"action_type": 0}
        _, reward, terminated, truncated, info = env.step(nothing)
        assert (reward, terminated, truncated) == (-1.0, False, True)
        assert info["is_success"] is False


@pytest.mark.slow
def test_screenshots_by_option(make):
    observation, _ = make("click-test", screenshots=True).reset(seed=1)
    assert observation["screenshot"].any()


@pytest.mark.slow
def test_a_task_that_the_agent_does_not_know(project, scenario):
    scenario(task="book-flight")
    result = project.runpytest_subprocess("--a2perf")
    result.stdout.fnmatch_lines(
        ["*miniwob-oracle' cannot do 'book-flight'; it can do click-button,*"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hidden", "said"),
    [("", "*Chromium is not here*apt-get install chromium'*"),
     ("chromium", "*ChromeDriver is not here*apt-get install chromium-driver'*")],
)  # fmt: skip
def test_no_browser(hidden, said, project, scenario, monkeypatch, tmp_path, records):
    (tmp_path / "bin").mkdir()
    if hidden:
        (tmp_path / "bin" / hidden).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    scenario()
    project.runpytest_subprocess("--a2perf").stdout.fnmatch_lines([said])
    (record,) = records()
    assert record.outcome == "infra"


# -- browsers end ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("does", "more", "arguments", "outcome"),
    [
        ("Oracle", "", (), "success"),
        ("Crashes", "", (), "error"),
        ("Hangs", "timeout = '15 s'", (), "timeout"),
        ("Stuck", "timeout = '15 s'", (), "timeout"),
        ("Dies", "timeout = '2 min'", (), "error"),
        ("Dies", "isolate = false", ("-n1",), None),
        ("KillsWorker", "isolate = true", ("-n1",), None),
    ],
)
def test_nothing_of_the_browser_is_left(
    does, more, arguments, outcome, project, scenario, records, monkeypatch
):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    oracle = "from pytest_a2perf.domains.miniwob.agents import MiniwobOracle as Oracle\n\n\n"
    noted = f"\n\nclass Noted(Noting, {does}):\n    pass\n"
    project.makepyfile(noting=oracle + textwrap.dedent(NOTING) + noted)
    scenario(agent="noting:Noted", more=more)
    project.runpytest_subprocess("--a2perf", *arguments, timeout=300)
    assert_all_ended(project.path)
    if outcome is not None:
        (record,) = records()
        assert record.outcome == outcome
