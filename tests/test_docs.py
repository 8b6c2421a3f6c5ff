"""The documentation is true as far as a machine can tell."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from pytest_a2perf import options
from pytest_a2perf.domains.gym.options import GymOptions
from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
from pytest_a2perf.domains.serving.options import ServingOptions
from pytest_a2perf.domains.serving.replay.options import ClientOptions, LoadOptions, WindowOptions
from pytest_a2perf.domains.serving.replay.profiles import PROFILES
from pytest_a2perf.domains.serving.server.options import ServerOptions
from pytest_a2perf.domains.serving.slo.options import SearchOptions, TierOptions
from pytest_a2perf.domains.serving.slo.tiers import published_tiers
from pytest_a2perf.domains.serving.system.options import (
    DeclaredPowerOptions,
    NvmlPowerOptions,
    PrometheusPowerOptions,
    SystemOptions,
)
from pytest_a2perf.domains.serving.target import EndpointOptions
from pytest_a2perf.domains.serving.trajectories.read import FORMS
from pytest_a2perf.domains.serving.workload import WorkloadOptions
from pytest_a2perf.metrics.registry import register, resolve
from pytest_a2perf.scenarios.load import load_scenarios
from pytest_a2perf.scenarios.models import EnergyOptions, Scenario
from pytest_a2perf.scenarios.suites import suites_folder

ROOT = Path(__file__).parent.parent
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("examples/**/*.md"))]  # fmt: skip
PROSE = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCS}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language):
    """Return every block of code of a language, named by its file and line."""
    return [
        pytest.param(match[2], id=f"{name}:{text[: match.start()].count(chr(10)) + 1}")
        for name, text in PROSE.items()
        for match in BLOCK.finditer(text)
        if match[1] == language
    ]


def rows(text, heading):
    """Return the cells of the first table below a heading, without its head."""
    part = re.split(rf"^##+ {heading}\n", text, flags=re.MULTILINE)[1] if heading else text
    table = re.search(r"(?:^\|.*\|\n)+", part, re.MULTILINE)[0]
    lines = table.replace(r"\|", "¦").splitlines()[2:]
    return [[cell.strip().replace("¦", "|") for cell in line[1:-1].split("|")] for line in lines]


@pytest.mark.parametrize("text", blocks("toml"))
def test_scenarios_load(text, tmp_path, monkeypatch):
    # Models and data of the examples are on nobody's machine.
    monkeypatch.setattr(ConfiguredTask, "check", lambda self: None)
    assert tomllib.loads(text)
    path = tmp_path / "block.toml"
    if "[[scenario]]" not in text:
        text = f"[[scenario]]\nname = 'x'\ntask = 'T'\n{text}"
    if "schema =" not in text:
        text = f"schema = 1\n{text}"
    path.write_text(text, encoding="utf-8")
    assert load_scenarios(path)


@pytest.mark.parametrize("text", blocks("python"))
def test_python_compiles(text):
    compile(text, "block", "exec")


def files(name):
    """Return the blocks that say in their first line which file they are."""
    found = [(re.match(r"# ([\w./]+\.\w+)\n", block[2]), block[2]) for block in BLOCK.finditer(PROSE[name])]  # fmt: skip
    return {match[1]: text for match, text in found if match}


@pytest.mark.slow
def test_the_project_of_getting_started_does_what_is_said(project):
    written = files("docs/getting-started.md")
    assert sorted(written) == ["policies.py", "scenarios/cartpole.toml", "test_policies.py"]
    for name, text in written.items():
        path = project.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    result = project.runpytest_subprocess("--a2perf")
    assert result.ret == 1
    result.assert_outcomes(passed=11, failed=1)
    result.stdout.fnmatch_lines(["FAILED scenarios/cartpole.toml::lean::return.mean*"])


@pytest.mark.slow
def test_the_tests_of_the_readme_pass(project):
    (text,) = [block[2] for block in BLOCK.finditer(PROSE["README.md"]) if block[1] == "python"]
    project.makepyfile(
        "import pytest\n"
        "from agents import Right as Policy\n"
        "@pytest.fixture\n"
        "def policy(): return Policy().act\n"
        "@pytest.fixture\n"
        "def observations(): return [[0.1, 0, 0, 0]] * 2000\n" + text
    )
    result = project.runpytest_subprocess("--a2perf")
    result.assert_outcomes(passed=12)


def test_the_metric_of_ones_own_is_one():
    text = PROSE["docs/metrics.md"].split("## Metrics of your own")[1]
    scope = {}
    exec(BLOCK.search(text)[2], scope)
    (family,) = scope["pytest_a2perf_metrics"](None)
    register(family)
    assert resolve("tokens").name == "tokens"
    assert resolve("tokens.p95").direction == "lower"


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROSE)
def test_options_exist(name, pytestconfig):
    for option in re.findall(r"--(a2perf[a-z-]*)", PROSE[name]):
        dest = option.replace("-", "_")
        assert pytestconfig.getoption(dest, "missing") != "missing", option
        pytestconfig.getini(dest)


def test_every_option_is_listed():
    listed = {option for row in rows(PROSE["docs/scenarios.md"], "Command line") for option in re.findall(r"`--(a2perf[a-z-]*)", row[0])}  # fmt: skip
    assert sorted(name for name, *_ in options._OPTIONS) == sorted(listed)


FAMILIES = (
    "agent", "agents", "benchmark", "cache", "carbon", "cost", "data_cost", "e2e_speed", "energy",
    "env_step", "errors", "generalization", "gpu", "improvement", "itl", "latency", "length", "memory",
    "output_speed", "power", "reliability", "reported", "return", "sample", "score", "session", "submissions", "success",
    "throughput", "time", "tokens", "ttft", "turn",
)  # fmt: skip
METRIC = re.compile(rf"`((?:{'|'.join(FAMILIES)})(?:\.[\w@^<>]+)+)`")
OTHERS = {"energy.source", "energy.repeat_until", "agent.log"}  # keys of scenarios, a file
PLACEHOLDERS = {"<statistic>": "mean", "<s>": "p95", "<name>": "median", "@k": "@2", "^k": "^2"}


def known(name):
    for placeholder, example in PLACEHOLDERS.items():
        name = name.replace(placeholder, example)
    return resolve(name)


@pytest.mark.parametrize("name", PROSE)
def test_metrics_exist(name):
    for token in set(METRIC.findall(BLOCK.sub("", PROSE[name]))) - OTHERS:
        if not token.endswith(".py"):
            known(token)


def test_the_metrics_of_the_tables_exist():
    text = PROSE["docs/metrics.md"]
    for heading in (
        "Application",
        "System",
        "Data cost",
        "Reliability",
        "Serving",
        "Post-training",
    ):
        for cell, *_ in rows(text, heading):
            whole = ""
            for name in re.findall(r"`([^`]+)`", cell):
                # In `energy.cpu`, `.gpu` the second stands for energy.gpu.
                whole = whole.rpartition(".")[0] + name if name[0] == "." else name
                known(whole)


def test_the_readings_of_the_meters_are_metrics():
    text = PROSE["docs/meters.md"]
    named = {name for cell, *_ in rows(text, None) for name in re.findall(r"`([^`]+)`", cell)}
    from pytest_a2perf.metrics.system import SYSTEM_FAMILIES

    assert {family.prefix for family in SYSTEM_FAMILIES} == named


# -- tables of keys -------------------------------------------------------------------------------


def written(value):
    """Write a default as the tables do."""
    if value is None:
        return "none"
    if value in ((), []):
        return "`[]`"
    if value == {}:
        return "`{}`"
    if isinstance(value, str):
        return f"`{value}`"
    return str(value).lower()


def default_of(field):
    return "required" if field.is_required() else written(field.get_default(call_default_factory=True))  # fmt: skip


def test_the_keys_of_a_scenario():
    fields = {**Scenario.model_fields}
    for name in ("energy", "gates"):
        del fields[name]
    fields |= {f"energy.{name}": field for name, field in EnergyOptions.model_fields.items()}
    listed = {
        name.strip("`"): default for name, default, _ in rows(PROSE["docs/scenarios.md"], None)
    }
    assert listed.pop("isolate") == "true where a timeout is set"
    assert listed.pop("tags") == "none"
    del fields["isolate"], fields["tags"]
    assert listed == {name: default_of(field) for name, field in fields.items()}
    example = tomllib.loads(BLOCK.search(PROSE["docs/scenarios.md"])[2])["scenario"][0]
    # Which are for other phases and domains.
    assert {*example, "dataset", "system"} == set(Scenario.model_fields)


def test_the_options_of_the_domain_gym():
    listed = {name.strip("`"): default for name, default, _ in rows(PROSE["docs/scenarios.md"], "Options of the domain `gym`")}  # fmt: skip
    fields = GymOptions.model_fields
    assert listed == {name: default_of(field) for name, field in fields.items()}


def plain(value):
    """Write a default as the tables of the domain ``serving`` do: numbers without their unit."""
    if isinstance(value, BaseModel):
        return "below"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value == "" else written(value)


def keys(name, heading):
    """Return the defaults by key of the first table of keys below a heading, without units."""
    part = re.split(rf"^##+ {heading}\n", PROSE[name], flags=re.MULTILINE)[1]
    table = part[part.index("| key | default | meaning |") :]
    return {key.strip("`"): default.removesuffix(" s") for key, default, _ in rows(table, None)}


@pytest.mark.parametrize(
    ("name", "heading", "model"),
    [
        ("serving", "Options", ServingOptions), ("serving", "The endpoint", EndpointOptions),
        ("serving", "Load", LoadOptions), ("serving", "Window", WindowOptions),
        ("serving", "Search", SearchOptions), ("serving", "Client", ClientOptions),
        ("serving", "Workload", WorkloadOptions), ("serving", "Tiers", TierOptions),
        ("serving-systems", "Keys of the system", SystemOptions),
        ("serving-systems", "Power by NVML", NvmlPowerOptions),
        ("serving-systems", "Power by exporters", PrometheusPowerOptions),
        ("serving-systems", "Declared power", DeclaredPowerOptions),
    ],
)  # fmt: skip
def test_the_options_of_the_domain_serving(name, heading, model):
    fields = {
        key: "required"
        if field.is_required()
        else plain(field.get_default(call_default_factory=True))
        for key, field in model.model_fields.items()
        if key != "source"  # of power: it chooses the table
    }
    if model is WindowOptions:
        fields = {key: text.replace("none", "the profile's") for key, text in fields.items()}
    assert keys(f"docs/{name}.md", heading) == fields


def test_the_options_of_the_reference_server():
    fields = {one.name: plain(one.default) for one in dataclasses.fields(ServerOptions)}
    assert keys("docs/serving-reference-server.md", "Options") == fields


def test_the_profiles_of_the_domain_serving():
    names = ("settle", "steady", "sessions", "per_agent", "requests", "longest")
    listed = rows(PROSE["docs/serving.md"], "Phases and profiles")
    assert {
        name.strip("`"): [float(cell.removesuffix(" s")) for cell in cells]
        for name, *cells in listed
    } == {profile: [getattr(rules, name) for name in names] for profile, rules in PROFILES.items()}


def test_the_published_tiers():
    listed = rows(PROSE["docs/serving.md"], "Tiers")
    assert {
        name.strip("`"): (f"P25 output_speed >= {speed}", f"P95 ttft <= {time}")
        for name, speed, time in listed
    } == {
        name: tuple(limit.text() for limit in tier.limits)
        for name, tier in published_tiers().items()
    }


def test_the_formats_of_trajectories():
    listed = rows(PROSE["docs/serving-trajectories.md"], "Formats")
    assert {cells[0].strip("`") for cells in listed} == set(FORMS)


def test_suites_that_are_named_ship():
    for name in re.findall(r"--a2perf-suite (\w+)", "".join(PROSE.values())):
        assert name == "NAME" or (suites_folder() / f"{name}.toml").is_file()


@pytest.mark.parametrize("name", PROSE)
def test_links_lead_somewhere(name):
    folder = (ROOT / name).parent
    text = BLOCK.sub("", PROSE[name])
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if path == "benchmarks/RESULTS.md":  # written by a run of the benchmarks
            continue
        assert (folder / path).exists() or path == "", target
        if anchor:
            headings = re.findall(
                r"^#+ (.*)$", (folder / path).read_text() if path else text, re.MULTILINE
            )
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
