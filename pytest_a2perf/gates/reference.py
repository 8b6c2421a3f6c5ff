"""The baseline that a run is compared with, and the one that it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.gates.regression import Reference
from pytest_a2perf.runs.baseline import (
    Baseline,
    Entry,
    baseline_of_run,
    entry_of,
    machine_of,
    newest_of_main,
    read_baseline,
    write_baseline,
)
from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import RECORDS
from pytest_a2perf.settings import Config
from pytest_a2perf.suggest import did_you_mean

__all__ = ["BaselineBook"]

_DEFAULT = "main"  # the name that --a2perf-update-baseline writes without --a2perf-compare


class BaselineBook:
    """Finds, writes and updates baselines as the options say.

    Args:
        options: the plugin's.
        provenance: of this run.

    Raises:
        A2PerfError: the baseline that was named cannot be read.
    """

    def __init__(self, options: Config, provenance: Mapping[str, Any]) -> None:
        self._options = options
        self._provenance = provenance
        self._machine = machine_of(provenance)
        self._missing = "there is no baseline: name one with --a2perf-compare"
        self.baseline = self._find()

    def reference(self, against: Baseline | None = None) -> Reference:
        """Return what regression gates are compared with.

        Args:
            against: another version that ran side by side; it takes the place of the baseline.
        """
        options = self._options
        return Reference(
            self.baseline if against is None else against,
            self._missing,
            self._machine,
            any_machine=options.any_machine,
            required=options.require_baseline and not options.update_baseline,
            alpha=options.alpha,
            side_by_side=against is not None,
        )

    def keep(
        self,
        records: Mapping[str, Sequence[Record]],
        gated: Mapping[str, Sequence[str]],
        *,
        whole: bool,
    ) -> list[str]:
        """Save and update baselines as asked; return what was done, in words.

        Args:
            records: of this run, by scenario.
            gated: metrics of the regression gates, by scenario.
            whole: whether nothing was deselected, so that other entries of the same files are
                unused and go.

        Raises:
            OSError: a file cannot be written.
            A2PerfError: an existing file cannot be read.
        """
        entries = {
            name: self._entry(trials, gated.get(name, ())) for name, trials in records.items()
        }
        notes = []
        if self._options.save:
            path = self._path(self._options.save)
            old = read_baseline(path).entries if path.exists() else {}
            write_baseline(path, Baseline(path.stem, {**old, **entries}))
            notes.append(f"baseline {path.stem!r} saved in {path}")
        if self._options.update_baseline:
            notes.append(self._update(entries, whole=whole))
        return notes

    def _update(self, entries: dict[str, Entry], *, whole: bool) -> str:
        path = self._path(self._options.compare or _DEFAULT)
        old = read_baseline(path).entries if path.exists() else {}
        files = {name.split("::")[0] for name in entries}
        unused = [name for name in old if name not in entries and name.split("::")[0] in files]
        kept = {name: entry for name, entry in old.items() if not (whole and name in unused)}
        write_baseline(path, Baseline(path.stem, {**kept, **entries}))
        new = sum(name not in old for name in entries)
        changed = sum(
            name in old and old[name].metrics != entry.metrics for name, entry in entries.items()
        )
        gone = f"{len(unused)} unused {'removed' if whole else 'kept, since tests were deselected'}"
        return f"baseline {path.stem!r}: {new} new, {changed} updated, {gone}"

    def _entry(self, trials: Sequence[Record], gated: Sequence[str]) -> Entry:
        return entry_of(trials, self._provenance, gated)

    def _path(self, name: str) -> Path:
        return Path(name) if name.endswith(".json") else self._options.baselines / f"{name}.json"

    def _find(self) -> Baseline | None:
        name = self._options.compare
        if name == "auto":
            newest = newest_of_main(self._options.folder / "runs", self._machine)
            if newest is not None:
                return baseline_of_run(newest)
            self._missing = "there is no complete run of the main branch on such a machine"
            return None
        if not name:
            path = self._path(_DEFAULT)
            return read_baseline(path) if path.is_file() else None
        for folder in (Path(name), self._options.folder / "runs" / name):
            if (folder / RECORDS).is_file():
                return baseline_of_run(folder)
        path = self._path(name)
        if path.is_file():
            return read_baseline(path)
        known = [file.stem for file in self._options.baselines.glob("*.json")]
        self._missing = f"there is no baseline {name!r} yet{did_you_mean(name, known)}"
        if not self._options.update_baseline and known:
            raise A2PerfError(
                f"--a2perf-compare: no baseline {name!r} in {self._options.baselines}"
                f"{did_you_mean(name, known)}"
            )
        return None
