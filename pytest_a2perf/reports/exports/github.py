"""GitHub Actions: the job summary, and annotations at the gates that did not pass."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_a2perf.gates.verdict import Verdict
from pytest_a2perf.metrics.base import Estimate
from pytest_a2perf.reports.export import Verdicts
from pytest_a2perf.reports.verdict import failure_text, format_estimate
from pytest_a2perf.runs.record import Record
from pytest_a2perf.scenarios.lines import key_lines, nearest_line
from pytest_a2perf.settings import Config
from pytest_a2perf.trials.plan import PlannedGate

__all__ = [
    "append_summary", "commands", "place", "summary_file", "summary_lines", "write_annotations",
]  # fmt: skip

_MOST_BYTES = 900_000  # GitHub refuses more than 1 MiB
_MOST_ERRORS = 20
_MOST_ANNOTATIONS = 50  # GitHub shows ten of a step, the log has all
_SIGNS = {"fail": "❌", "undecided": "⚠️", "pass": "✅", "new": "🆕", "skip": "⏭️"}
_ORDER = ("fail", "undecided")


def summary_file() -> Path | None:
    """Return the file that GitHub shows as the job's summary."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(name) if name else None


# -- the job summary ---------------------------------------------------------------------------


def append_summary(
    path: Path,
    run: Mapping[str, Any],
    verdicts: Verdicts,
    records: Mapping[str, Sequence[Record]],
    problems: Sequence[str],
) -> None:
    """Append a run to the summary, cut off before GitHub would refuse the whole of it.

    Raises:
        OSError: the file cannot be written.
    """
    if not (records or verdicts or problems):
        return
    size = path.stat().st_size if path.exists() else 0
    text: list[str] = []
    for line in summary_lines(run, verdicts, records, problems):
        size += len(line.encode(errors="replace")) + 1
        if size > _MOST_BYTES:
            text += ["", "*Cut off here: GitHub takes no more. The terminal report has all of it.*"]
            break
        text.append(line)
    with path.open("a", encoding="utf-8", errors="replace") as file:
        file.write("\n".join([*text, "", ""]))


def summary_lines(
    run: Mapping[str, Any],
    verdicts: Verdicts,
    records: Mapping[str, Sequence[Record]],
    problems: Sequence[str],
) -> Iterator[str]:
    """Yield the summary: verdicts, what is flaky, then each scenario."""
    gates = sorted(verdicts.values(), key=_urgency)
    yield f"## a2perf: {_headline(gates, problems)}"
    yield ""
    trials = sum(len(found) for found in records.values())
    git = run.get("git") or {}
    commit = f", commit {str(git['commit'])[:8]}" if git.get("commit") else ""
    yield f"{len(records)} scenarios, {trials} trials, run {_escape(str(run['id']))}{commit}"
    for problem in problems:
        yield f"\n**{_escape(problem)}**"
    if gates:
        yield from _table("verdict", "scenario", "gate", "value", "reason")
    for gate, verdict in gates:
        value = "" if verdict.estimate is None else format_estimate(verdict.estimate)
        yield _row(
            f"{_SIGNS.get(verdict.name, '')} {verdict.name}",
            gate.scenario_id,
            f"{gate.metric} {verdict.condition}",
            value,
            "" if verdict.name == "pass" else verdict.reason,
        )
    if run.get("flaky"):
        yield "\n### Flaky"
        yield from _table("scenario", "seeds that differ from most", "reruns that flipped")
        for flaky in run["flaky"]:
            yield _row(
                flaky["scenario"], _flips(flaky["over_seeds"]), _flips(flaky["over_attempts"])
            )
    for name, summary in run["scenarios"].items():
        yield from _scenario(name, summary, records.get(name, ()))


def _headline(gates: Sequence[tuple[PlannedGate, Verdict]], problems: Sequence[str]) -> str:
    counts: Counter[str] = Counter(verdict.name for _, verdict in gates)
    parts = [f"{counts[name]} {name}" for name in _SIGNS if counts[name]]
    parts += ["incomplete"] * bool(problems)
    return ", ".join(parts) or "no gates"


def _urgency(pair: tuple[PlannedGate, Verdict]) -> tuple[int, str]:
    gate, verdict = pair
    urgency = _ORDER.index(verdict.name) if verdict.name in _ORDER else len(_ORDER)
    return urgency, gate.nodeid


def _flips(data: Mapping[str, Any] | None) -> str:
    if data is None:
        return ""
    rate, low, high = (f"{100 * data[name]:.0f}" for name in ("rate", "low", "high"))
    return f"{data['flipped']} of {data['of']}: {rate} % [{low}, {high}]"


def _scenario(name: str, summary: Mapping[str, Any], records: Sequence[Record]) -> Iterator[str]:
    yield f"\n### {_escape(name)}"
    yield ""
    counts = ", ".join(f"{n} {outcome}" for outcome, n in summary["outcomes"].items())
    where = f" on {', '.join(summary['devices'])}" if summary.get("devices") else ""
    yield _escape(f"{len(records)} trials{where}: {counts}")
    if summary["metrics"]:
        yield from _table("metric", "value", "quality")
    for metric, data in summary["metrics"].items():
        quality = "" if data["quality"] == "measured" else f"{data['quality']}: {data['source']}"
        yield _row(metric, format_estimate(_estimate(data)), quality)
    broken = [record for record in records if record.error is not None]
    if broken:
        yield from _table("trial", "outcome", "reason")
    for record in broken[:_MOST_ERRORS]:
        message = (record.error or {}).get("message", "")
        trial = record.nodeid.rpartition("::")[2]
        yield _row(trial, record.outcome, message.strip().partition("\n")[0][:500])
    if len(broken) > _MOST_ERRORS:
        yield f"\nand {len(broken) - _MOST_ERRORS} more"


def _estimate(data: Mapping[str, Any]) -> Estimate:
    value, low, high = (
        math.nan if data.get(end) is None else data[end] for end in ("value", "low", "high")
    )
    return Estimate(value, data.get("unit", ""), low=low, high=high)


def _table(*headers: str) -> Iterator[str]:
    yield ""
    yield _row(*headers)
    yield "|" + " --- |" * len(headers)


def _row(*cells: str) -> str:
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    """Keep text from being Markdown or HTML."""
    plain = " ".join(text.split())
    return re.sub(r"[&<>|`*_~\[\]\\]", lambda found: f"&#{ord(found[0])};", plain)


# -- annotations -------------------------------------------------------------------------------


def write_annotations(
    reporter: pytest.TerminalReporter,
    options: Config,
    verdicts: Verdicts,
    problems: Sequence[str],
) -> None:
    """Write `commands` where GitHub reads them: in the log of the job."""
    if options.github and os.environ.get("GITHUB_ACTIONS") == "true":
        undecided = options.undecided
        for line in commands(reporter.config, verdicts, problems, undecided=undecided):
            reporter.write_line(line)


def commands(
    config: pytest.Config, verdicts: Verdicts, problems: Sequence[str], *, undecided: str
) -> Iterator[str]:
    """Yield workflow commands for what did not pass, those that fail the run first.

    Args:
        config: to find the files.
        verdicts: by node id of the gate.
        problems: what makes the run incomplete.
        undecided: what an undecided gate does; unless it fails the run, it is a warning.
    """
    for problem in problems:
        yield f"::error title=a2perf::{_data(problem)}"
    gates = [pair for pair in sorted(verdicts.values(), key=_urgency) if pair[1].name in _ORDER]
    for gate, verdict in gates[:_MOST_ANNOTATIONS]:
        level = "error" if verdict.name == "fail" or undecided == "fail" else "warning"
        properties = f"title={_property(f'{gate.metric} of {gate.scenario_id}: {verdict.name}')}"
        found = place(config.rootpath, gate)
        if found is not None:
            properties += f",file={_property(found[0])},line={found[1]}"
        yield f"::{level} {properties}::{_data(failure_text(gate, verdict))}"


def place(root: Path, gate: PlannedGate) -> tuple[str, int] | None:
    """Return file, as GitHub names it, and line of a gate; None outside of the workspace."""
    name, _, rest = gate.scenario_id.partition("::")
    path = (root / name).resolve()
    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or root).resolve()
    try:
        shown = path.relative_to(workspace).as_posix()
        text = path.read_text(encoding="utf-8")
    except (ValueError, OSError):
        return None
    scenario = rest.rpartition("::")[2]
    if path.suffix == ".toml":
        return shown, _line_in_toml(text, scenario, gate.metric)
    function = re.escape(scenario.partition("[")[0])
    definition = re.search(rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{function}\b", text, re.MULTILINE)
    return shown, 1 if definition is None else text.count("\n", 0, definition.start()) + 1


def _line_in_toml(text: str, scenario: str, metric: str) -> int:
    try:
        entries = tomllib.loads(text)["scenario"]
        index = [entry["name"] for entry in entries].index(scenario)
    except (tomllib.TOMLDecodeError, LookupError, TypeError, ValueError):  # changed since
        return 1
    return nearest_line(key_lines(text), ("scenario", index, "gates", metric))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
