"""Scenarios whose task stands for several cases: items, markers, metrics, pairs."""

import json
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.errors import UnsupportedSampleError
from pytest_a2perf.metrics.base import Request
from pytest_a2perf.metrics.registry import resolve
from pytest_a2perf.reports.flakiness import flaky_scenarios
from pytest_a2perf.runs.baseline import seed_values
from pytest_a2perf.runs.record import Episode, Record

DOMAIN = """
    import json
    from pathlib import Path

    import pytest

    from pytest_a2perf.domains.base import Case
    from pytest_a2perf.errors import A2PerfError, AgentFailure
    from pytest_a2perf.scenarios.models import Strict


    class Quiz:
        name = "quiz"
        phases = frozenset({"inference"})
        options = Strict

        def check(self, scenario):
            return ()

        def prepare(self):
            pass

        def cases(self, scenario, root):
            folder = root / scenario.task
            if not folder.is_dir():
                return ()
            found = []
            for path in sorted(folder.glob("*.json")):
                try:
                    data = json.loads(path.read_text())
                except ValueError:
                    raise A2PerfError(f"{path.name} cannot be read") from None
                found.append(Case(path.stem, path.read_text(), tuple(data["tags"])))
            return found

        def run(self, trial):
            import os
            if trial.case == "dies":
                os._exit(3)
            right = trial.case != "hard" or trial.seed == 1
            trial.episode(float(right), 1, success=right)
            if not right:
                raise AgentFailure("wrong")


    def pytest_a2perf_domains():
        return [Quiz()]
"""

QUIZ = """
    [[scenario]]
    name = "quiz"
    domain = "quiz"
    task = "cases"
    seeds = 2
    gates = {"success.rate" = ">= 75 %", "success.pass^2" = ">= 50 %"}
"""


@pytest.fixture
def quiz(project):
    """Write the cases of a quiz into the project."""
    project.makeconftest(DOMAIN)
    folder = project.mkdir("cases")

    def cases(**tags):
        for name, words in tags.items():
            (folder / f"{name}.json").write_text(json.dumps({"tags": words}))

    return cases


def test_each_case_gets_every_seed(project, write, records, quiz):
    quiz(easy=["colours"], hard=["numbers"])
    write(QUIZ)
    result = project.runpytest("--a2perf", "-v")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["*5 passed, 1 unsuccessful*"])
    assert [(record.case, record.seed) for record in records()] == [
        ("easy", 0), ("easy", 1), ("hard", 0), ("hard", 1),
    ]  # fmt: skip
    result.stdout.fnmatch_lines(["*scenarios/suite.toml::quiz[[]easy-0] PASSED*"])


@pytest.mark.parametrize(
    ("option", "value", "chosen"),
    [("-m", "colours", {"easy"}), ("-k", "hard-1", {"hard"})],
)
def test_cases_are_selected_by_markers_and_names(
    project, write, records, quiz, option, value, chosen
):
    quiz(easy=["colours"], hard=["numbers"])
    write(QUIZ)
    project.runpytest("--a2perf", option, value)
    assert {record.case for record in records()} == chosen


def test_a_case_that_cannot_be_read_is_an_error_not_one_less(project, write, quiz):
    quiz(easy=[])
    (project.path / "cases" / "broken.json").write_text("{")
    write(QUIZ)
    result = project.runpytest("--a2perf")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*suite.toml:3: scenario 'quiz', key 'task': broken.json cannot be read*"]
    )
    assert result.ret != 0


def test_cases_do_not_stop_early(project, write, quiz):
    quiz(easy=[])
    write(QUIZ.replace("seeds = 2", "seeds = {min = 2, max = 5}"))
    result = project.runpytest("--a2perf")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*key 'seeds': a task of several cases * cannot stop early*"])


@pytest.mark.slow
def test_a_case_that_kills_its_worker_keeps_its_name(project, write, records, quiz):
    quiz(dies=[], easy=[])
    write(QUIZ)
    result = project.runpytest_subprocess("--a2perf", "-n", "1")
    assert result.ret == 1
    outcomes = {(record.case, record.seed): record.outcome for record in records()}
    assert outcomes == {
        ("dies", 0): "error", ("dies", 1): "error", ("easy", 0): "success", ("easy", 1): "success",
    }  # fmt: skip


def test_a_changed_case_is_another_version_of_the_scenario(project, write, quiz):
    quiz(easy=[], hard=[])
    gates = QUIZ.replace('">= 75 %"', '{regression = "5 %"}').replace('">= 50 %"', '">= 0 %"')
    write(gates)
    project.runpytest("--a2perf", "--a2perf-save", "base")
    same = project.runpytest("--a2perf", "--a2perf-compare", "base")
    same.assert_outcomes(passed=5)
    quiz(hard=["changed"])
    other = project.runpytest("--a2perf", "--a2perf-compare", "base")
    other.assert_outcomes(passed=4, skipped=1)


# -- metrics --------------------------------------------------------------------------------------


def attempt(case, seed, solved, outcome=None):
    record = Record("s", f"s[{case}-{seed}]", seed, case=case)
    record.outcome = outcome or ("success" if solved else "failure")
    if record.has_result:
        record.episodes = [Episode(float(solved), 1, success=solved)]
    return record


def estimate(name, records):
    return resolve(name).estimate(records, Request())


def test_pass_is_averaged_over_cases():
    records = [attempt("a", seed, True) for seed in range(3)]
    records += [attempt("b", seed, seed == 0) for seed in range(3)]
    assert estimate("success.rate", records).value == pytest.approx(4 / 6)
    assert estimate("success.pass@2", records).value == pytest.approx((1 + 2 / 3) / 2)
    assert estimate("success.pass^2", records).value == pytest.approx(0.5)
    assert estimate("success.pass^3", records).n == 2


def test_a_case_that_lost_an_attempt_is_not_counted_as_whole():
    records = [attempt("a", seed, True) for seed in range(3)]
    records += [attempt("b", 0, True), attempt("b", 1, True), attempt("b", 2, False, "infra")]
    found = estimate("success.pass^3", records)
    assert found.n == 1
    assert "1 trial left out" in found.note
    assert "1 case with fewer than 3 left out" in found.note
    with pytest.raises(UnsupportedSampleError, match="no case has 4 attempts"):
        estimate("success.pass^4", records)


def test_attempts_of_a_case_are_not_independent():
    alike = [attempt(str(case), seed, case < 5) for case in range(10) for seed in range(10)]
    spread = [attempt(str(case), seed, seed < 5) for case in range(10) for seed in range(10)]
    assert estimate("success.rate", alike).value == estimate("success.rate", spread).value == 0.5
    few, many = estimate("success.rate", alike), estimate("success.rate", spread)
    assert few.high - few.low > 2 * (many.high - many.low)


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=1, max_size=6))
@settings(deadline=None, max_examples=50)
def test_pass_agrees_with_its_definition(cases):
    records = [
        attempt(str(case), seed, solved)
        for case, attempts in enumerate(cases)
        for seed, solved in enumerate(attempts)
    ]
    for k in (1, 2):
        whole = [attempts for attempts in cases if len(attempts) >= k]
        if not whole:
            continue
        all_of = [comb(sum(a), k) / comb(len(a), k) for a in whole]
        one_of = [1 - comb(len(a) - sum(a), k) / comb(len(a), k) for a in whole]
        for sign, values in (("^", all_of), ("@", one_of)):
            found = estimate(f"success.pass{sign}{k}", records)
            assert found.value == pytest.approx(sum(values) / len(values))
            assert not found.has_interval or 0 <= found.low <= found.value <= found.high <= 1


def test_pairs_are_of_the_same_case_and_seed():
    records = [attempt("a", 0, True), attempt("b", 0, False), attempt("b", 1, True)]
    assert seed_values(resolve("success.rate"), records) == {"a/0": 1, "b/0": 0, "b/1": 1}


def test_a_hard_case_is_not_flaky():
    steady = [attempt("a", seed, True) for seed in range(3)]
    steady += [attempt("b", seed, False) for seed in range(3)]
    assert flaky_scenarios({"s": steady}) == []
    (found,) = flaky_scenarios({"s": [*steady, attempt("b", 3, True)]})
    assert found.seeds == ("b/3",)


def test_a_record_keeps_its_case():
    record = attempt("a", 3, True)
    assert Record.from_line(record.to_line()).case == "a"
    assert "case" not in Record("s", "s[0]", 0).to_json()
