"""A run in MLflow: one MLflow run for each scenario."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.keys import CONFIG
from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import RUN, read_records

__all__ = ["MlflowPublisher", "metric_name", "metrics_of"]

_BATCH = 100  # of tags a store takes no more at once
_MOST_TEXT = 500  # the least that a store of any version takes


class MlflowPublisher:
    """Publishes runs to an MLflow tracking store.

    Args:
        uri: of the store: ``http(s)://...``, ``sqlite:///...`` or ``file:...``.
        experiment: name of the experiment, which is made where it does not exist.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self._uri = uri
        self._experiment = experiment

    @pytest.hookimpl
    def pytest_a2perf_publish(self, config: pytest.Config, run: Path) -> None:
        """Publish each scenario; a shard leaves that to the merge.

        Raises:
            A2PerfError: MLflow does not take it.
        """
        if config.stash[CONFIG].shard is not None:
            return
        # Nobody asked for usage reports, and who names a folder has decided for it.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        if "://" not in self._uri or self._uri.startswith("file:"):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        try:
            self._publish(run)
        except Exception as error:  # MLflow lets its stores' and its transports' errors through
            reason = str(error).strip().partition("\n")[0]
            raise A2PerfError(f"--a2perf-mlflow {self._uri}: {reason}") from error

    def _publish(self, folder: Path) -> None:
        from mlflow.tracking import MlflowClient

        run = json.loads((folder / RUN).read_text(encoding="utf-8"))
        client = MlflowClient(tracking_uri=self._uri)
        known = client.get_experiment_by_name(self._experiment)
        experiment = (
            client.create_experiment(self._experiment) if known is None else known.experiment_id
        )
        first: dict[str, Record] = {}
        for record in read_records(folder):
            first.setdefault(record.scenario, record)
        for name, summary in run["scenarios"].items():
            params = dict(_params(run, name, summary, first.get(name)))
            tags = dict(_tags(run, summary))
            made = client.create_run(experiment, _start(run), tags, run_name=name)
            identity = made.info.run_id
            status = "FAILED"
            try:
                _log(client, identity, params, summary)
                client.log_artifact(identity, str(folder / RUN))
                status = "FINISHED" if run["state"] == "complete" else "KILLED"
            finally:
                with contextlib.suppress(Exception):  # the first error is the one to tell
                    client.set_terminated(identity, status=status)


def _start(run: Mapping[str, Any]) -> int:
    return int(datetime.fromisoformat(run["started"]).timestamp() * 1000)


def _log(client: Any, identity: str, params: Mapping[str, str], summary: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = int(datetime.now().astimezone().timestamp() * 1000)
    texts = [Param(key, text[:_MOST_TEXT]) for key, text in params.items()]
    tags = [
        RunTag(f"a2perf.gate.{metric_name(name)}", gate["verdict"])
        for name, gate in summary["gates"].items()
    ]
    metrics = [Metric(key, value, now, 0) for key, value in metrics_of(summary).items()]
    client.log_batch(identity, params=texts)
    for start in range(0, max(len(tags), len(metrics)), _BATCH):
        end = start + _BATCH
        client.log_batch(identity, metrics=metrics[start:end], tags=tags[start:end])


def _params(
    run: Mapping[str, Any], scenario: str, summary: Mapping[str, Any], record: Record | None
) -> Iterator[tuple[str, str]]:
    yield "scenario", scenario
    if record is not None and record.context.get("agent"):
        yield "agent", str(record.context["agent"])
    if record is not None and record.digest:
        yield "digest", record.digest
    git = run.get("git") or {}
    if git.get("commit"):
        yield "git_commit", git["commit"] + "*" * bool(git.get("dirty"))
    if summary.get("devices"):
        yield "device", ", ".join(summary["devices"])


def _tags(run: Mapping[str, Any], summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "a2perf.run", str(run["id"])
    git = run.get("git") or {}
    if git.get("commit"):
        yield "mlflow.source.git.commit", git["commit"]
    found = {gate["verdict"] for gate in summary["gates"].values()}
    worst = [name for name in ("fail", "undecided", "new", "skip", "pass") if name in found]
    if worst:
        yield "a2perf.verdict", worst[0]


def metrics_of(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return value, low and high of every estimate of a scenario, of its gates' too."""
    estimates: dict[str, Mapping[str, Any]] = {**summary["gates"], **summary["metrics"]}
    return {
        metric_name(name) + suffix: float(data[end])
        for name, data in estimates.items()
        for end, suffix in (("value", ""), ("low", ".low"), ("high", ".high"))
        if data.get(end) is not None
    }


def metric_name(name: str) -> str:
    """Return a name that MLflow takes: ``success.pass@3`` is ``success.pass_at_3``."""
    name = name.replace("@", "_at_").replace("^", "_all_")
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).strip(".")[:200] or "_"
