"""The table ``[system]`` of scenario files, and domains whose trials run alone."""

import pytest

from pytest_a2perf.domains.registry import runs_alone
from pytest_a2perf.scenarios.models import Scenario
from pytest_a2perf.trials.plan import scenario_digest

CONFTEST = """
    import pydantic
    from pytest_a2perf.domains.registry import register_domain
    from pytest_a2perf.scenarios.models import Strict

    class Options(Strict):
        pass

    class System(Strict):
        accelerator: str = ""
        accelerators: int = pydantic.Field(1, ge=1)

    class Machine:
        name = "machine"
        phases = frozenset({"inference"})
        options = Options
        system = System
        exclusive = True

        def check(self, scenario):
            return ()

        def prepare(self):
            pass

        def run(self, trial):
            trial.note(system=trial.scenario.system)

    def pytest_a2perf_domains():
        return [Machine()]
"""


@pytest.fixture
def project(project):
    project.makeconftest(CONFTEST)
    return project


def test_the_file_describes_the_system_and_a_scenario_may_differ(project, write, records):
    write(
        """
        [system]
        accelerator = "H100"
        accelerators = 8

        [[scenario]]
        name = "all"
        domain = "machine"
        task = "x"

        [[scenario]]
        name = "half"
        domain = "machine"
        task = "x"
        system = { accelerators = 4 }

        [[scenario]]
        name = "other"
        task = "CartPole-v1"
        """
    )
    project.runpytest("--a2perf").assert_outcomes(passed=3)
    found = {record.scenario.partition("::")[2]: record.context for record in records()}
    assert found["all"]["system"] == {"accelerator": "H100", "accelerators": 8}
    assert found["half"]["system"] == {"accelerator": "H100", "accelerators": 4}
    assert "system" not in found["other"]


def test_problems_name_file_line_and_key(project, write):
    write(
        """
        [system]
        accelerator = "H100"
        accelerator_count = 8

        [[scenario]]
        name = "one"
        domain = "machine"
        task = "x"

        [[scenario]]
        name = "two"
        domain = "machine"
        task = "x"
        system = { accelerators = 0 }

        [[scenario]]
        name = "other"
        task = "CartPole-v1"
        system = { accelerators = 1 }
        """
    )
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines(
        [
            "*:5: key 'system.accelerator_count': unknown key 'accelerator_count'; did you mean*",
            "*:16: scenario 'two', key 'system.accelerators': *greater than or equal to 1*",
            "*:21: scenario 'other', key 'system': domain 'gym' measures no system*",
        ]
    )
    assert str(result.stdout).count("accelerator_count") == 2  # once, with the key and the text
    assert result.ret == 2


def test_a_system_that_nobody_measures_is_an_error(project, write):
    write('[system]\naccelerator = "H100"\n[[scenario]]\nname = "a"\ntask = "CartPole-v1"')
    result = project.runpytest("--a2perf")
    result.stdout.fnmatch_lines(["*:2: key 'system': no scenario of this file measures a system*"])


def test_what_is_asked_does_not_depend_on_the_system():
    old, new = (Scenario(name="a", task="x", system={"driver": d}) for d in ("570", "580"))
    assert scenario_digest(old) == scenario_digest(new)


@pytest.mark.slow
def test_trials_of_an_exclusive_domain_run_alone(project, write):
    write('[[scenario]]\nname = "a"\ndomain = "machine"\ntask = "x"\nseeds = 2')
    project.runpytest_subprocess("--a2perf", "-n2").assert_outcomes(passed=2)
    assert runs_alone(Scenario(name="a", task="x", exclusive=True))
    assert runs_alone(Scenario(name="a", task="x", domain="machine"))
    assert not runs_alone(Scenario(name="a", task="x"))
