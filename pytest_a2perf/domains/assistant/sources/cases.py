"""A scenario that was found but not yet read whole."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.trace.lite import read_lite
from pytest_a2perf.domains.assistant.trace.models import Dataset, Trace
from pytest_a2perf.domains.assistant.trace.read import check_trace, parse_trace, schema_error

__all__ = ["CAPABILITIES", "CaseRef", "case_of", "file_case", "packed_case"]

CAPABILITIES = ("execution", "search", "adaptability", "time", "ambiguity")
"""Of Gaia2; also the names of its configurations, and its tags."""


@dataclass(frozen=True)
class CaseRef:
    """A scenario, or the trace of a run, where it was found.

    Attributes:
        id: the scenario's.
        capability: one of `CAPABILITIES`; empty: it says none.
        tags: as written.
        config: the configuration of the data set, which is the name of its folder; may be empty.
        split: of the data set; may be empty.
        digest: first 16 hexadecimal digits of the SHA-256 of its bytes.
        origin: file, and line or row, for messages.
        run_number: which run of the scenario a trace is of.
        phase: of ARE's suite that a trace is of, such as ``noise``; may be empty.
        dataset: where on the Hub it comes from.
        lite: it is the lite form of a trace, which holds no scenario.
        load: returns its bytes.
    """

    id: str
    capability: str
    tags: tuple[str, ...]
    config: str
    split: str
    digest: str
    origin: str
    run_number: int | None = None
    phase: str = ""
    dataset: Dataset | None = None
    lite: bool = False
    load: Callable[[], bytes] = field(kw_only=True, repr=False, compare=False)

    @property
    def text(self) -> bytes:
        """Its bytes.

        Raises:
            TraceError: the file has changed or gone since it was found.
        """
        text = self.load()
        if _digest(text) != self.digest:
            raise TraceError(f"{self.origin}: it has changed since it was found; run pytest again")
        return text

    def trace(self) -> Trace:
        """Read it; apps that it has left on the Hub are fetched from there.

        Raises:
            TraceError: it is no scenario or trace, or breaks a rule; names everything wrong.
            InfraError: it has left its apps on the Hub, which cannot be reached.
        """
        if self.lite:
            raise TraceError(
                f"{self.origin}: the lite form of a trace holds no scenario; it can only be judged "
                "again (phase 'judge'), with options.scenarios"
            )
        trace = parse_trace(self.text, self.origin)
        definition = trace.metadata.definition
        if self.run_number is not None:
            definition.run_number = self.run_number
        if self.dataset is not None:
            definition.hf_metadata = self.dataset
        if not trace.apps and definition.hf_metadata is not None:
            from pytest_a2perf.domains.assistant.sources.hub import hub_apps

            trace.apps = hub_apps(definition.hf_metadata, self.id, self.capability, self.origin)
            check_trace(trace, self.origin)
        return trace


def file_case(path: Path, *, config: str, split: str) -> CaseRef:
    """Return the scenario in a file.

    Raises:
        TraceError: it cannot be read, or is none.
    """
    return case_of(_read(path), str(path), config=config, split=split, load=lambda: _read(path))


def packed_case(text: bytes, origin: str, **known: Any) -> CaseRef:
    """Return the scenario in a row, which is kept in memory, packed.

    Args:
        text: its JSON.
        origin: for messages.
        known: what else the row says; see `case_of`.

    Raises:
        TraceError: it is none.
    """
    packed = zlib.compress(text, 1)
    return case_of(text, origin, **known, load=lambda: zlib.decompress(packed))


def case_of(
    text: bytes,
    origin: str,
    *,
    load: Callable[[], bytes],
    config: str,
    split: str,
    scenario_id: str | None = None,
    run_number: int | None = None,
    phase: str = "",
    dataset: Dataset | None = None,
) -> CaseRef:
    """Return a scenario from its bytes; only its definition is looked at.

    Args:
        text: its JSON.
        origin: for messages.
        load: returns its bytes again.
        config: of the data set.
        split: of the data set.
        scenario_id: what the row of a data set calls it, which must be right.
        run_number: what the row says.
        phase: what the row says.
        dataset: where on the Hub it comes from.

    Raises:
        TraceError: it is no scenario.
    """
    try:
        definition = _Head.model_validate_json(text).metadata.definition
    except ValidationError as error:
        if b'"per_agent_interaction_histories"' in text:
            trace = read_lite(text, origin)
            return CaseRef(
                trace.scenario_id,
                "",
                (),
                config,
                split,
                _digest(text),
                origin,
                lite=True,
                load=load,
            )
        raise schema_error(error, text, origin) from None
    if scenario_id is not None and scenario_id != definition.scenario_id:
        raise TraceError(
            f"{origin}: scenario_id is {scenario_id!r} in the row but"
            f" {definition.scenario_id!r} in its data; make them equal"
        )
    tags = tuple(definition.tags or ())
    return CaseRef(
        id=definition.scenario_id,
        capability=_capability(config, tags, definition.config),
        tags=tags,
        config=config,
        split=split or (definition.hf_metadata.split if definition.hf_metadata else ""),
        digest=_digest(text),
        origin=origin,
        run_number=definition.run_number if run_number is None else run_number,
        phase=phase,
        dataset=dataset,
        load=load,
    )


class _HeadDefinition(BaseModel):
    scenario_id: str
    tags: list[str] | None = None
    config: str | None = None
    run_number: int | None = None
    hf_metadata: Dataset | None = None


class _HeadMetadata(BaseModel):
    definition: _HeadDefinition


class _Head(BaseModel):
    """What of a scenario is needed to choose it."""

    metadata: _HeadMetadata


def _capability(config: str, tags: tuple[str, ...], own_config: str | None) -> str:
    # ARE's phases have configurations such as "execution_noise".
    names = [config.lower().split("_")[0], *map(str.lower, tags), (own_config or "").lower()]
    return next((name for name in names if name in CAPABILITIES), "")


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from None
