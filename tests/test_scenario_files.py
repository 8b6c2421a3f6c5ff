"""Scenario files as pytest users meet them."""

from __future__ import annotations

import json

import pytest

from pytest_a2perf.__main__ import main, scenario_schema

TWO = """
    [[scenario]]
    name = "good"
    task = "CartPole-v1"
    agent = "agents:Right"
    seeds = 3
    tags = ["smoke"]

    [scenario.gates]
    "return.mean" = ">= 100"
    "return.median" = { min = 50, confidence = 0.9 }

    [[scenario]]
    name = "bad"
    task = "CartPole-v1"
    agent = "agents:wrong"
    seeds = [7, 11]

    [scenario.gates]
    "return.mean" = ">= 100"
"""


@pytest.mark.slow
def test_trials_and_gates_are_tests(project, write, records):
    write(TWO)
    result = project.runpytest_subprocess("--a2perf", "-v")
    result.assert_outcomes(passed=7, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "a2perf: run kept in .a2perf/runs/*",
            "scenarios/suite.toml::good[[]0[]] PASSED*",
            "scenarios/suite.toml::good::return.mean PASSED*",
            "scenarios/suite.toml::bad[[]7[]] PASSED*",
            "scenarios/suite.toml::bad::return.mean FAILED*",
            "*return.mean of scenarios/suite.toml::bad*",
            "*expected  >= 100*",
            "*verdict   fail: * below the limit*",
            "*FAILED scenarios/suite.toml::bad::return.mean*",
        ]
    )
    assert [(record.scenario, record.seed) for record in records()] == [
        ("scenarios/suite.toml::good", 0),
        ("scenarios/suite.toml::good", 1),
        ("scenarios/suite.toml::good", 2),
        ("scenarios/suite.toml::bad", 7),
        ("scenarios/suite.toml::bad", 11),
    ]


def test_nothing_is_collected_while_the_plugin_is_off(project, write):
    write(TWO)
    result = project.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert not (project.path / ".a2perf").exists()


@pytest.mark.slow
def test_the_ini_file_can_turn_it_on_and_name_other_folders(project, write):
    path = write(TWO)
    path.parent.rename(project.path / "suites")
    project.makeini("[pytest]\na2perf = true\na2perf_scenarios = suites")
    project.runpytest_subprocess("-k", "good").assert_outcomes(passed=5)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["here", "xdist"])
def test_scenarios_run_beside_testpaths(project, write, workers):
    write(TWO)
    tests = project.mkdir("tests")
    (tests / "test_x.py").write_text("def test_x(): pass")
    project.makeini("[pytest]\ntestpaths = tests")
    result = project.runpytest_subprocess("--a2perf", "-k", "good or test_x", *workers)
    result.assert_outcomes(passed=6)


@pytest.mark.slow
def test_workers_of_xdist_run_suites_that_ship(project):
    suite = ("--a2perf-suite", "classic_control", "-k", "cartpole and 0")
    result = project.runpytest_subprocess("--a2perf", *suite, "-n", "1", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*PASSED classic_control.toml::cartpole*"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["-k", "good"], ["good[0]", "good[1]", "good[2]", "good::return.mean", "good::return.median"]),
        (["-m", "smoke and gym"], ["good[0]", "good[1]", "good[2]", "good::return.mean", "good::return.median"]),
        (["-k", "return.median"], ["good[0]", "good[1]", "good[2]", "good::return.median"]),
        (["scenarios/suite.toml::good[1]"], ["good[1]"]),
        (["scenarios/suite.toml::bad"], ["bad[7]", "bad[11]", "bad::return.mean"]),
        (["scenarios/suite.toml::bad::return.mean"], ["bad[7]", "bad[11]", "bad::return.mean"]),
        (["-k", "bad and not return.mean"], ["bad[7]", "bad[11]"]),
    ],
)  # fmt: skip
def test_selection(project, write, arguments, ids):
    write(TWO)
    result = project.runpytest_subprocess("--a2perf", "--collect-only", "-q", *arguments)
    assert result.ret == 0
    found = [line.split("::", 1)[1] for line in result.outlines if "::" in line]
    assert found == ids


@pytest.mark.slow
def test_last_failed_runs_the_trials_of_a_failed_gate(project, write):
    write(TWO)
    project.runpytest_subprocess("--a2perf")
    result = project.runpytest_subprocess("--a2perf", "--lf")
    result.assert_outcomes(passed=2, failed=1)


@pytest.mark.slow
def test_exitfirst_stops_and_says_what_was_not_judged(project, write, records):
    write(TWO.replace("agents:Right", "agents:Crashes"))
    result = project.runpytest_subprocess("--a2perf", "-x")
    assert result.ret == 1
    assert [record.outcome for record in records()] == ["error"]
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])


@pytest.mark.slow
def test_a_broken_file_is_a_collection_error_and_the_others_run(project, write):
    write(TWO, "a")
    write("[[scenario]]\nname = 'x'\ntask = 3\n", "b")
    result = project.runpytest_subprocess("--a2perf", "--continue-on-collection-errors")
    result.assert_outcomes(passed=7, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*scenarios/b.toml:4: scenario 'x', key 'task': *string*got 3*"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[scenario]\n", "suite.toml:2: not valid TOML: *"),
        ("", "suite.toml:1: missing key 'scenario'"),
        ("scenario = []", "*suite.toml:2: key 'scenario': expected at least one*"),
        ("[[scenario]]\nname='a'", "suite.toml:2: scenario 'a': missing key 'task'"),
        (
            "[[scenario]]\nname='a'\ntask='T'\nsedes=3",
            "suite.toml:5: scenario 'a', key 'sedes': unknown key 'sedes'; did you mean 'seeds'?",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\ndomain='gim'",
            "suite.toml:5: scenario 'a', key 'domain': *did you mean 'gym'?",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\nphase='infer'",
            "suite.toml:5: scenario 'a', key 'phase': expected 'inference'*did you mean 'inference'?",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\n[scenario.gates]\n'return.men' = '>= 3'",
            "suite.toml:6: scenario 'a', key 'gates.return.men': *did you mean 'return.m*",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\n[scenario.gates]\n'latency.p95' = '<= 3 J'",
            "suite.toml:6: scenario 'a', key 'gates.latency.p95': *is in s, but the limit is in J",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\n[scenario.gates]\n'improvement' = '>= 3 %'",
            "suite.toml:6: *'gates.improvement': *is in points, but the limit is in %",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\n[scenario.gates]\n'latency.p95' = {max = '3 %'}",
            "suite.toml:6: *'gates.latency.p95': *is in s, but the limit is in %",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\n[scenario.gates]\n'return.mean' = 3",
            "suite.toml:6: *expected a condition like '>= 3'*",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\n[scenario.gates]\n'return.mean' = {mim = 3}",
            "suite.toml:6: *expected min, max, regression or several*",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\n[scenario.gates]\n'return.mean' = {min = 3, cofidence=0.9}",
            "suite.toml:6: *unknown key 'cofidence'; did you mean 'confidence'?",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\ntimeout='2 mins'",
            "suite.toml:5: *unknown unit 'mins'*did you mean 'min'?",
        ),
        ("[[scenario]]\nname='a b'\ntask='T'", "suite.toml:3: *letters, digits*"),
        ("[[scenario]]\nname='a'\ntask='T'\nseeds=[1,1]", "suite.toml:*1 stands twice*"),
        ("[[scenario]]\nname='a'\ntask='T'\nseeds=0", "suite.toml:*at least one seed*"),
        (
            "[[scenario]]\nname='a'\ntask='T'\n[[scenario]]\nname='a'\ntask='T'",
            "suite.toml:6: scenario 'a', key 'name': 'a' stands twice in this file*",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\n[scenario.options]\nnum_env=3",
            "suite.toml:6: *unknown key 'num_env'; did you mean 'num_envs'?",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\ndomain='posttrain'\n[scenario.options.budget]\ncpus='5 s'",
            "suite.toml:7: *'options.budget.cpus': unknown key 'cpus'; did you mean 'cpu'?",
        ),
        (
            "[[scenario]]\nname='a'\ntask='T'\ndomain='serving'\n[[scenario.options.tiers]]\nname='b'\noutput_sped=3",
            "suite.toml:8: *unknown key 'output_sped'; did you mean 'output_speed'?",
        ),
    ],
)  # fmt: skip
def test_errors_name_file_line_key_and_the_way_out(project, write, text, message):
    write(text)
    result = project.runpytest_subprocess("--a2perf")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*{message}"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_all_problems_are_listed_at_once(project, write):
    write("[[scenario]]\nname='a'\ntask='T'\nepisodes=0\nseed=1\n[scenario.gates]\nx.y='>= 1'")
    result = project.runpytest_subprocess("--a2perf")
    result.stdout.fnmatch_lines(["*suite.toml:5: *", "*suite.toml:6: *"])


def test_wrong_version_and_encoding(project, write):
    write("schema = 2\n[[scenario]]\nname='a'\ntask='T'", "v", schema=False)
    (project.path / "scenarios" / "latin.toml").write_bytes(b"schema = 1 # \xe9")
    result = project.runpytest_subprocess("--a2perf")
    result.stdout.fnmatch_lines_random(
        ["*v.toml:1: key 'schema': expected 1, got 2*", "*latin.toml:1: cannot be read: *"]
    )


@pytest.mark.slow
def test_a_file_named_on_the_command_line_runs_wherever_it_is(project, write):
    write(TWO).rename(project.path / "elsewhere.toml")
    project.runpytest_subprocess("--a2perf", "elsewhere.toml", "-k", "good").assert_outcomes(
        passed=5
    )


@pytest.mark.slow
@pytest.mark.usefixtures("all_plugins")
def test_strict_markers_accept_tags(project, write):
    write(TWO)
    project.makeini(
        "[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n"
        "asyncio_default_fixture_loop_scope = function"
    )
    project.runpytest_subprocess("--a2perf", "-m", "smoke").assert_outcomes(passed=5)


@pytest.mark.slow
def test_users_fixtures_apply(project, write):
    write(TWO)
    project.makeconftest("""
        import pytest
        @pytest.fixture(autouse=True)
        def shout(request):
            print("fixture of", request.node.name)
            yield
    """)
    result = project.runpytest_subprocess("--a2perf", "-s", "-k", "good")
    result.stdout.fnmatch_lines(["*fixture of good[[]2[]]*"])


@pytest.mark.slow
def test_ten_thousand_trials_collect(project, write):
    write("[[scenario]]\nname = 'many'\ntask = 'CartPole-v1'\nseeds = 10000")
    result = project.runpytest_subprocess("--a2perf", "--collect-only", "-qq")
    result.stdout.fnmatch_lines(["scenarios/suite.toml: 10000"])


def test_the_schema_describes_what_the_models_accept(capsys):
    schema = scenario_schema()
    scenario = schema["$defs"]["Scenario"]
    assert scenario["additionalProperties"] is False
    assert {"name", "task"} == set(scenario["required"])
    assert "return.mean" in scenario["properties"]["gates"]["properties"]
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema


def test_the_schema_accepts_and_rejects_like_the_loader(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    import tomllib

    from pytest_a2perf.scenarios.suites import suites_folder

    validator = jsonschema.Draft202012Validator(scenario_schema())
    for path in suites_folder().glob("*.toml"):
        validator.validate(tomllib.loads(path.read_text(encoding="utf-8")))
    for text in ("schema = 2", "schema = 1\n[[scenario]]\nname='a'\ntask='t'\nx=1"):
        assert not validator.is_valid(tomllib.loads(text))
