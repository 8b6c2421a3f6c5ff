"""The pages on the domain ``posttrain`` say what the code has, as far as a machine can tell."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
from test_docs import PROSE, ROOT, keys, plain, rows

from pytest_a2perf.domains.posttrain.agents.agent import AgentOptions
from pytest_a2perf.domains.posttrain.agents.cli import ADAPTERS
from pytest_a2perf.domains.posttrain.agents.resolve import builtin_agents
from pytest_a2perf.domains.posttrain.options import BudgetOptions, PosttrainOptions
from pytest_a2perf.domains.posttrain.proxy.options import LlmOptions, PriceOptions, UpstreamOptions
from pytest_a2perf.domains.posttrain.report.data import RouteName
from pytest_a2perf.domains.posttrain.tasks.configured_options import (
    BackendOptions,
    ConfiguredOptions,
)
from pytest_a2perf.domains.posttrain.tasks.nano_task_single import SingleTurnTask
from pytest_a2perf.domains.posttrain.tasks.nano_task_turns import EpisodesTask
from pytest_a2perf.domains.posttrain.tasks.registry import get_task, task_names
from pytest_a2perf.domains.posttrain.workspace.withheld import WITHHELD
from pytest_a2perf.metrics.posttrain import REPORTED

GUIDE, TASKS, SECURITY = (
    f"docs/posttrain{name}.md" for name in ("", "-tasks", "-security")
)  # fmt: skip
NAMED = re.compile(r"`([^`]+)`")
TEST = re.compile(r"`(\w+)::(test_\w+)`")


def defaults(model):
    """Return the defaults of a model's fields, as the tables write them."""
    return {
        key: "required"
        if field.is_required()
        else plain(field.get_default(call_default_factory=True))
        for key, field in model.model_fields.items()
    }


def part(name, heading):
    """Return the text below a heading, up to the next of its level."""
    return re.split(r"^## ", PROSE[name].split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]


def first_cells(name, heading):
    """Return what is written as code in the first cells of the first table below a heading."""
    return [found for cell, *_ in rows(PROSE[name], heading) for found in NAMED.findall(cell)]


# -- tables of keys -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Options", PosttrainOptions),
        ("Budget", BudgetOptions),
        ("Agent options", AgentOptions),
        ("Language models", LlmOptions),
        ("Upstreams", UpstreamOptions),
        ("Prices", PriceOptions),
    ],
)
def test_the_options_of_the_guide(heading, model):
    assert keys(GUIDE, heading) == defaults(model)


def test_the_choices_of_sandbox_and_mode():
    fields = PosttrainOptions.model_fields
    (sandbox,) = (row for row in rows(PROSE[GUIDE], "Options") if row[0] == "`sandbox`")
    known = set(get_args(fields["sandbox"].annotation))
    assert known <= set(NAMED.findall(sandbox[2]))
    assert set(first_cells(SECURITY, "The ladder of sandboxes")) == known - {"auto"}
    withheld = {mode.strip("`"): text for mode, text in rows(PROSE[GUIDE], "Modes")}
    assert withheld.keys() == WITHHELD.keys() == set(get_args(fields["mode"].annotation))
    for mode, patterns in WITHHELD.items():
        assert NAMED.findall(withheld[mode]) == list(patterns)


SAID = {"none": ("none", "empty", "the folder's name", "1.5 times the base model")}


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Options of all of them", ConfiguredOptions),
        ("How a model is made to speak", BackendOptions),
        ("Language models of agents", LlmOptions),
    ],
)
def test_the_options_of_the_real_tasks(heading, model):
    listed = {}
    for cell, default, _ in rows(PROSE[TASKS], heading):
        names, each = NAMED.findall(cell), default.split(", ")
        listed |= zip(names, each if len(each) == len(names) else [default] * len(names), strict=True)  # fmt: skip
    known = defaults(model)
    assert listed.keys() == known.keys()
    for key, default in known.items():
        assert listed[key].removesuffix(".0") in SAID.get(default, (default,)), key


# -- names ----------------------------------------------------------------------------------------


def test_the_tasks():
    small = first_cells(GUIDE, "The six tasks")
    real = [cell.strip("`") for cell, *_ in rows(PROSE[TASKS], None)]
    assert sorted(small + real) == task_names()


@pytest.mark.parametrize("name", [name for name in task_names() if name.startswith("a2perf/")])
def test_what_is_said_of_the_six_tasks(name):
    (row,) = (row for row in rows(PROSE[GUIDE], "The six tasks") if row[0] == f"`{name}`")
    level, stands_for, noise, visible, hidden = (row[i] for i in (1, 2, 4, 5, 6))
    task = get_task(name)
    assert (level, stands_for.lower()) == (str(task.level), task.stands_for)
    assert float(noise) == round(task.noise, 1)
    preset = task.preset
    kinds = len(getattr(preset, "kinds", "x"))
    sizes = [preset.public, preset.private, preset.demonstrations]
    told = [int(number) for number in re.findall(r"\d+", f"{hidden} {visible}")]
    assert told[:3] == [kinds * size for size in sizes]
    if isinstance(task, SingleTurnTask | EpisodesTask):
        assert told[3] == preset.rewards


@pytest.mark.parametrize("size", ["full", "small"])
def test_the_budgets_of_the_six_tasks(size):
    text = " ".join(part(GUIDE, "The six tasks").split())
    pairs = re.findall(r"([\d.]+) and ([\d.]+) for (level 1|`\w+`(?: and `\w+`)?)", text)
    told = {}
    for full, small, names in pairs:
        known = re.findall(r"`(\w+)`", names) or ["arithmetic", "programs"]
        told |= {f"a2perf/{name}": float(full if size == "full" else small) for name in known}
    assert told == {
        name: get_task(name, {"size": size}).budget.cpu
        for name in task_names()
        if name.startswith("a2perf/")
    }


def test_the_agents():
    named = first_cells(GUIDE, "Agents")
    assert {name for name in named if name.startswith("cli:")} == {f"cli:{name}" for name in ADAPTERS}  # fmt: skip
    assert set(builtin_agents()) <= set(named)


def test_the_metrics():
    listed = {
        metric.strip("`"): (unit, tuple(shown.split(", ")) if shown else ())
        for metric, unit, _, shown in rows(PROSE[GUIDE], "Metrics and gates")
    }
    assert listed == {metric: (unit, shown) for metric, unit, _, _, shown, _ in REPORTED.values()}


def test_the_routes():
    told = part(GUIDE, "The report").split("**Route**")[1].split("with the lines")[0]
    assert set(NAMED.findall(told)) == set(get_args(RouteName))


def test_there_is_a_place_for_what_was_measured():
    measured = part(GUIDE, "Measured")
    begin, end = (measured.index(f"\n<!-- measured: {word} -->\n") for word in ("begin", "end"))
    assert begin < end


# -- tests that are named -------------------------------------------------------------------------


def functions(path):
    """Return the names of the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_"
    }


def test_the_tests_that_show_it_exist():
    named = set(TEST.findall(PROSE[SECURITY])) - {("attacks", "test_x")}
    known = {
        path.stem.removeprefix("test_posttrain_"): functions(path)
        for path in Path(ROOT, "tests").glob("test_posttrain_*.py")
    }
    missing = {f"{file}::{test}" for file, test in named if test not in known.get(file, ())}
    assert not missing
    # Nothing is named in another way, which this would not check.
    assert len(re.findall(r"\btest_(?!posttrain_)\w+", PROSE[SECURITY])) == len(TEST.findall(PROSE[SECURITY])) + 1  # fmt: skip


def test_every_attack_has_a_test():
    for attack, stops, tests in rows(PROSE[SECURITY], "Attacks"):
        assert TEST.search(tests), attack
        assert stops, attack
