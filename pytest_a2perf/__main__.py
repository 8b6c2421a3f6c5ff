"""``python -m pytest_a2perf``: what is useful outside of a test run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["main"]


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files, for editors."""
    from pytest_a2perf.domains.registry import domain_names, get_domain
    from pytest_a2perf.metrics.registry import catalogue
    from pytest_a2perf.scenarios.models import PHASES, ScenarioFile

    schema: dict[str, Any] = ScenarioFile.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "pytest-a2perf scenario file"
    definitions = schema["$defs"]
    condition = {
        "type": "string",
        "pattern": r"^\s*(>=|<=|==|>|<)\s*\S.*$",
        "description": "a condition such as '>= 40' or '<= 33 ms'",
    }
    gate = definitions.pop("GateSpec")
    gate["anyOf"] = [{"required": [key]} for key in ("min", "max", "regression")]
    scenario = definitions["Scenario"]["properties"]
    scenario["gates"] = {
        "type": "object",
        "description": "metric -> condition",
        "additionalProperties": {"anyOf": [condition, gate]},
        "properties": {
            metric.name: {"anyOf": [condition, gate], "description": metric.summary}
            for metric in catalogue()
        },
    }
    scenario["phase"]["enum"] = list(PHASES)
    scenario["domain"]["examples"] = sorted(domain_names())
    options = {name: get_domain(name).options.model_json_schema() for name in domain_names()}
    for model in options.values():
        definitions.update(model.pop("$defs", {}))
    scenario["options"] = {
        "description": "options of the domain",
        "anyOf": [options[name] for name in sorted(options)],
    }
    return schema


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    from pytest_a2perf.domains.serving import commands as serving

    parser = argparse.ArgumentParser(prog="python -m pytest_a2perf", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("schema", help="print the JSON Schema of scenario files")
    commands.add_parser("metrics", help="list the metrics that gates can name")
    commands.add_parser("suites", help="list the suites that ship")
    merging = commands.add_parser(
        "merge",
        help="join the runs of shards, judge the gates, report and exit as pytest does",
        epilog="Further options, such as --junitxml FILE, are pytest's.",
    )
    merging.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or one above it")
    past = commands.add_parser("history", help="show a metric over the stored runs, and its steps")
    past.add_argument("metric", metavar="METRIC", help="e.g. return.mean")
    past.add_argument(
        "--scenario", default="", metavar="TEXT", help="only those with TEXT in the id"
    )
    past.add_argument("--dir", default=".a2perf", type=Path, help="folder for runs")
    past.add_argument("--html", type=Path, metavar="FILE", help="write a page with a plot, too")
    _add_table(commands)
    _add_gaia2(commands)
    posttrain = commands.add_parser(
        "posttrain", help="rebuild and print the reports of runs of the domain posttrain"
    )
    posttrain.add_argument("run", metavar="FOLDER", type=Path, help="of a run, a trial or above")
    serving.add_commands(commands)
    given, rest = parser.parse_known_args(arguments)
    command = given.command
    if command == "merge":
        return _merge([Path(run) for run in given.runs], rest)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if command == "table":
        return _table(given, sys.argv[1:] if arguments is None else arguments)
    if command == "gaia2":
        return _gaia2(given)
    if command == "posttrain":
        from pytest_a2perf.domains.posttrain.report import report_command

        return report_command(given.run)
    if command in serving.COMMANDS:
        return serving.run_command(given)
    if command == "history":
        return _history(given.metric, given.scenario, given.dir / "runs", given.html)
    if command == "schema":
        print(json.dumps(scenario_schema(), indent=2))  # noqa: T201 - a command's output
    elif command == "metrics":
        from pytest_a2perf.metrics.registry import catalogue

        for metric in catalogue():
            unit = metric.unit or "-"
            print(f"{metric.name:<42} {unit:<6} {metric.direction:<7} {metric.summary}")  # noqa: T201
    else:
        from pytest_a2perf.scenarios.suites import suites_folder

        for path in sorted(suites_folder().glob("*.toml")):
            print(path.stem)  # noqa: T201
    return 0


def _add_table(commands: Any) -> None:
    table = commands.add_parser("table", help="lay runs out as A2Perf does, a table for each task")
    table.add_argument(
        "runs", nargs="*", metavar="RUN", help="ids or folders; default: the last one that ended"
    )
    table.add_argument("--dir", default=".a2perf", type=Path, help="folder for runs")
    table.add_argument("--format", default="markdown", choices=("markdown", "latex", "html"))
    table.add_argument(
        "--definition", default="default", choices=("default", "a2perf"), help="of the metrics"
    )
    where = table.add_mutually_exclusive_group()
    where.add_argument("--output", type=Path, metavar="FILE", help="default: the terminal")
    where.add_argument(
        "--update", type=Path, metavar="FILE.md", help="replace what stands between its markers"
    )
    table.add_argument("--name", default="", help="of the markers: <!-- table: NAME -->")


def _table(given: argparse.Namespace, arguments: Sequence[str]) -> int:
    from pytest_a2perf.errors import A2PerfError
    from pytest_a2perf.reports.a2perf.command import render, replace_marked

    try:
        if bool(given.update) != bool(given.name) or (given.update and given.format != "markdown"):
            raise A2PerfError("--update FILE.md goes with --name NAME, and is Markdown")  # noqa: TRY301
        text, problems = render(
            given.dir / "runs", given.runs, given.format, given.definition, arguments
        )
        for problem in problems:
            print(f"table: {problem}", file=sys.stderr)  # noqa: T201 - a command's output
        if given.update:
            replace_marked(given.update, given.name, text)
        elif given.output:
            given.output.parent.mkdir(parents=True, exist_ok=True)
            given.output.write_text(text, "utf-8", errors="replace")
        else:
            sys.stdout.buffer.write(text.encode("utf-8", errors="replace"))
    except (A2PerfError, OSError) as error:
        print(f"table: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _add_gaia2(commands: Any) -> None:
    gaia2 = commands.add_parser("gaia2", help="sum up runs of the domain assistant by capability")
    gaia2.add_argument("runs", nargs="+", metavar="RUN", help="id or folder; shards count as one")
    gaia2.add_argument("--dir", default=".a2perf", type=Path, help="folder for runs")
    gaia2.add_argument(
        "--scenario", default="", metavar="TEXT", help="only those with TEXT in the id"
    )
    gaia2.add_argument("--join", action="store_true", help="take all scenarios together")
    gaia2.add_argument(
        "--layout", default="plain", choices=("plain", "are"), help="ours, or that of Meta's ARE"
    )
    gaia2.add_argument("--json", type=Path, metavar="FILE", help="write all figures, too")
    gaia2.add_argument(
        "--submission", type=Path, metavar="DIR", help="write what is submitted, too"
    )


def _gaia2(given: argparse.Namespace) -> int:
    from pytest_a2perf.domains.assistant.gaia2.report import (
        read_reports,
        render,
        submit,
        write_json,
    )
    from pytest_a2perf.errors import A2PerfError

    try:
        reading = read_reports(given.dir / "runs", given.runs, given.scenario, join=given.join)
        sys.stdout.buffer.write(render(reading, given.layout).encode("utf-8", errors="replace"))
        sys.stdout.buffer.flush()
        problems = list(reading.problems)
        if given.json is not None:
            write_json(reading, given.json)
        if given.submission is not None:
            problems += submit(reading, given.submission)
    except (A2PerfError, OSError) as error:
        print(f"gaia2: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return 1
    for problem in problems:
        print(f"gaia2: {problem}", file=sys.stderr)  # noqa: T201
    return 0


def _merge(runs: Sequence[Path], options: Sequence[str]) -> int:
    import pytest

    from pytest_a2perf.errors import A2PerfError
    from pytest_a2perf.reports.replay import Replay
    from pytest_a2perf.runs.merge import find_runs, merge

    try:
        merged = merge(find_runs(runs))
    except A2PerfError as error:
        print(f"merge: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return int(pytest.ExitCode.USAGE_ERROR)
    # The project's conftest and settings hold, since its metrics may be needed.
    return int(pytest.main(["--a2perf", "-n0", *options], plugins=[Replay(merged)]))


def _history(metric: str, scenario: str, runs: Path, html: Path | None) -> int:
    from pytest_a2perf.errors import A2PerfError
    from pytest_a2perf.reports.history import ascii_only, history_lines
    from pytest_a2perf.reports.html.page import history_page
    from pytest_a2perf.runs.history import metric_history, read_runs

    warnings: list[str] = []
    try:
        found = read_runs(runs, warnings)
        for warning in warnings:
            print(f"history: {warning}", file=sys.stderr)  # noqa: T201 - a command's output
        if not found:
            raise A2PerfError(f"{runs}: no run here that came to its end")  # noqa: TRY301
        series = metric_history(found, metric, scenario)
        if html is not None:
            html.parent.mkdir(parents=True, exist_ok=True)
            html.write_text(history_page(series), "utf-8", errors="replace")
    except (A2PerfError, OSError) as error:
        print(f"history: {error}", file=sys.stderr)  # noqa: T201
        return 1
    plain = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
    for line in history_lines(series):
        print(ascii_only(line) if plain else line)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
