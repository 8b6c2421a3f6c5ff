"""Data sets on the Hugging Face Hub, by name and revision."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.sources import tables
from pytest_a2perf.domains.assistant.sources.cases import CaseRef
from pytest_a2perf.domains.assistant.trace.models import App, Dataset
from pytest_a2perf.errors import InfraError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["PREFIX", "hub_apps", "hub_cases", "is_hub"]

PREFIX = "hf://datasets/"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_LOCATION = re.compile(
    rf"(?P<name>{_NAME.pattern})(?:@(?P<revision>[^/]+))?(?:/(?P<config>[^/]+))?"
    r"(?:/(?P<split>[^/]+))?/?"
)


def is_hub(location: str) -> bool:
    """Whether a location is meant to be on the Hub."""
    return location.startswith("hf:")


def hub_cases(
    location: str, *, config: str | None, split: str | None, revision: str | None
) -> list[CaseRef]:
    """Return the scenarios of a data set on the Hub, fetched unless they are in its cache.

    Args:
        location: ``hf://datasets/<owner>/<name>[@revision][/<config>[/<split>]]``.
        config: only this configuration, if the location names none.
        split: only this split, if the location names none.
        revision: branch, tag or commit, if the location names none.

    Raises:
        TraceError: there is no such data set, revision, configuration or split; or it is gated.
        InfraError: the Hub cannot be reached, or a package is missing.
    """
    match = _LOCATION.fullmatch(location.removeprefix(PREFIX))
    if not location.startswith(PREFIX) or not match:
        raise TraceError(
            f"{location}: expected {PREFIX}<owner>/<name>[@revision][/<config>[/<split>]]"
        )
    name = match["name"]
    asked = {"config": config, "split": split, "revision": revision}
    for key, value in asked.items():
        named = unquote(match[key]) if match[key] else None
        if named and value and named != value:
            raise TraceError(f"{location}: {key} is {named!r} here but {value!r} elsewhere")
        asked[key] = named or value
    folder = _fetch(name, asked["revision"], asked["config"], location)
    # A snapshot's folder is called like its commit.
    dataset = Dataset(dataset=name, split="", revision=folder.name)
    return tables.table_cases(
        folder, location, config=asked["config"], split=asked["split"], dataset=dataset
    )


def hub_apps(dataset: Dataset, scenario_id: str, capability: str, where: str) -> list[App]:
    """Return the apps of a scenario on the Hub, which ARE leaves out of the traces of its runs.

    Args:
        dataset: where the trace says that the scenario is.
        scenario_id: which one.
        capability: configuration to look in first; may be empty.
        where: what messages call the trace.

    Raises:
        TraceError: the scenario is not there.
        InfraError: the Hub cannot be reached, or a package is missing.
    """
    if not _NAME.fullmatch(dataset.dataset):
        raise TraceError(
            f"{where}: it has no apps, and {dataset.dataset!r} is no data set on the Hub"
        )
    for config in dict.fromkeys((capability or None, None)):
        with contextlib.suppress(TraceError):
            cases = _by_id(dataset.dataset, dataset.revision, config, dataset.split)
            if case := cases.get(scenario_id):
                return case.trace().apps
    raise TraceError(
        f"{where}: it has no apps, and {PREFIX}{dataset.dataset} has no scenario {scenario_id!r} in"
        f" split {dataset.split!r}"
    )


@functools.lru_cache(maxsize=2)
def _by_id(name: str, revision: str | None, config: str | None, split: str) -> dict[str, CaseRef]:
    cases = hub_cases(f"{PREFIX}{name}", config=config, split=split, revision=revision)
    return {case.id: case for case in cases}


def _fetch(name: str, revision: str | None, config: str | None, location: str) -> Path:
    """Return the folder of a snapshot, which holds at least what was asked for."""
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise InfraError(
            f"{location}: the Hub needs huggingface_hub: pip install 'pytest-a2perf[hub]'"
        ) from None
    known: dict[str, Any] = {"repo_id": name, "repo_type": "dataset", "revision": revision}
    # Read here and not only when the library is imported, so that it can be set at any time.
    api = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    folders = [""] if config is None else [f"{config}/", f"data/{config}/"]
    patterns = [f"{folder}*{suffix}" for folder in folders for suffix in tables.SUFFIXES]
    with _told(errors, location, revision):
        folder = Path(api.snapshot_download(**known, allow_patterns=patterns))
    fetched = tables.configs_of(folder)
    if config in fetched or (config is None and fetched):
        return folder
    with _told(errors, location, revision):
        paths = api.list_repo_files(**known)
    files = tables.table_files([path for path in paths if path.endswith(tables.SUFFIXES)])
    if config is None or not files:
        raise TraceError(f"{location}: it has no Parquet or JSONL files")
    configs = {own for own, _ in files}
    raise TraceError(f"{location}: no config {config!r}{did_you_mean(config, configs)}")


@contextlib.contextmanager
def _told(errors: ModuleType, location: str, revision: str | None) -> Iterator[None]:
    """Tell what went wrong on the Hub."""
    try:
        yield
    except errors.GatedRepoError:
        raise TraceError(
            f"{location}: access to it is gated; accept its terms on the Hub and set HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise TraceError(f"{location}: it has no revision {revision!r}") from None
    except errors.RepositoryNotFoundError:
        raise TraceError(
            f"{location}: no such data set on the Hub; if it is private, set HF_TOKEN"
        ) from None
    except Exception as error:  # noqa: BLE001 - of two HTTP libraries, by the version of the Hub's
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise InfraError(
            f"{location}: it is not in the cache, and the Hub cannot be reached: {reason}"
        ) from None
