"""``python -m pytest_a2perf``: what is useful outside of a test run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
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
    gate["anyOf"] = [{"required": ["min"]}, {"required": ["max"]}]
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
    parser = argparse.ArgumentParser(prog="python -m pytest_a2perf", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("schema", help="print the JSON Schema of scenario files")
    commands.add_parser("metrics", help="list the metrics that gates can name")
    commands.add_parser("suites", help="list the suites that ship")
    command = parser.parse_args(arguments).command
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


if __name__ == "__main__":
    sys.exit(main())
