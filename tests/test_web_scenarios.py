"""Scenarios of the domain web, through the plugin."""

from __future__ import annotations

import json

import pytest
from web_worlds import LOGIN

import pytest_a2perf.envs  # noqa: F401 - pytester would forget it, but not that it was there
from pytest_a2perf.scenarios.suites import suites_folder

SCENARIO = """
[[scenario]]
name = "forms"
domain = "web"
task = "a2perf/WebNavigation-{task}"
agent = "{agent}"
seeds = 2
episodes = 20
options = {{ env = {{ {env} }} }}
[scenario.gates]
"success.rate" = ">= {rate} %"
"""


def test_a_scenario_reports_how_far_it_came_and_is_marked(project, write, run_json):
    write(
        SCENARIO.format(
            task="Difficulty-03-v0", agent="web-oracle", env="num_websites = 10", rate=100
        )
    )
    result = project.runpytest("--a2perf", "-m", "web")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*reported.potential.mean*", "*reported.wasted.mean*"])
    (scenario,) = run_json()["scenarios"].values()
    metrics = scenario["metrics"]
    assert metrics["reported.potential.mean"]["value"] == 1.0
    assert metrics["reported.wasted.mean"]["value"] == 0.0


def test_a_random_agent_is_not_good_enough(project, write):
    write(SCENARIO.format(task="Difficulty-01-v0", agent="web-random", env='num_websites = 10, action_mode = "conceptual"', rate=95))  # fmt: skip
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*FAIL*success.rate >= 0.95*"])


def test_designs_from_a_file(project, write):
    (project.path / "designs.json").write_text(json.dumps([LOGIN.to_json()]))
    write(SCENARIO.format(task="v0", agent="web-oracle", env='designs = "designs.json"', rate=100))
    result = project.runpytest("--a2perf")
    assert result.ret == 0, result.stdout.str()


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("difficulty = 9", "*difficulty is 9; known: 1, 2, 3*"),
        ('designs = "none.json"', "*none.json: No such file or directory*"),
        ('designs = [{ number_of_pages = 1, action = ["citty"], action_page = [0] }]',
         "*designs[[]0[]]: action[[]0[]]: unknown primitive 'citty'; did you mean 'city'*"),
    ],
)  # fmt: skip
def test_a_broken_design_says_so_and_is_not_the_agents_fault(project, write, records, env, message):
    write(SCENARIO.format(task="v0", agent="web-oracle", env=env, rate=100))
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines([message])
    assert {record.outcome for record in records()} == {"infra"}


def test_generalization_over_the_levels(project, write):
    text = SCENARIO.format(
        task="Difficulty-01-v0", agent="web-oracle", env="num_websites = 5", rate=100
    )
    others = ", ".join(f'"a2perf/WebNavigation-Difficulty-0{level}-v0"' for level in (2, 3))
    text = text.replace("seeds = 2", 'seeds = 2\nphase = "generalization"')
    write(text.replace("options = {", f"options = {{ tasks = [{others}],"))
    result = project.runpytest("--a2perf")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*generalization.sum*"])


@pytest.mark.slow
def test_an_agent_that_is_slower_than_its_user(project, write):
    project.makepyfile(
        slow="""
        import time

        class Slow:
            def act(self, observation):
                time.sleep(0.02)
                return 0
        """
    )
    text = SCENARIO.format(
        task="Difficulty-01-v0", agent="slow:Slow", env="num_websites = 5", rate=0
    )
    text = text.replace("episodes = 20", 'episodes = 1\ndeadline = "10 ms"')
    write(
        text
        + '"latency.p99" = "<= 10 ms"\n"latency.miss_rate" = "<= 1 %"\n"memory.peak" = "<= 4 GB"'
    )
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*FAIL*latency.p99 <= 10 ms*",
            "*FAIL*latency.miss_rate <= 0.01*",
            "*PASS*memory.peak <= 4 GB*",
        ]
    )


@pytest.mark.slow
def test_the_suite_passes(project, write):
    write((suites_folder() / "web.toml").read_text("utf-8"), schema=False)
    result = project.runpytest("--a2perf")
    assert result.ret == 0, result.stdout.str()
