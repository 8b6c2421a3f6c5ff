"""A meter and a metric."""

import resource
from dataclasses import dataclass

from pytest_a2perf.errors import UnknownNameError, UnsupportedSampleError
from pytest_a2perf.metrics.base import Estimate
from pytest_a2perf.quantities import Quantity


class PageFaults:
    """Counts the pages of memory that a trial touches for the first time.

    Where an instrument is missing, ``__init__`` raises ``MeterUnavailableError``.
    """

    name = "page_faults"

    def start(self):
        self.before = self._count()

    def stop(self):
        count = self._count() - self.before
        return {"page_faults": Quantity(count, "", "getrusage", "measured", resolution=1)}

    def _count(self):
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@dataclass(frozen=True)
class WordsPerSolved:
    """All the words that were written, for each episode that was solved."""

    name: str = "words.per_solved"
    unit: str = ""
    direction: str = "lower"
    group: str = "application"
    summary: str = "words for each solved episode"

    def estimate(self, records, request):
        used = [record for record in records if "words" in record.samples]
        words = sum(record.samples["words"].total for record in used)
        solved = sum(bool(episode.success) for record in used for episode in record.episodes)
        if not solved:
            raise UnsupportedSampleError(f"{self.name}: nothing was solved")
        # Without an interval a gate with ``confidence`` stays undecided.
        return Estimate(words / solved, confidence=request.confidence, n=len(used))


class WordsFamily:
    """Metrics whose names begin with ``words.``."""

    prefix = "words"
    examples = ("per_solved",)  # for suggestions, and for ``python -m pytest_a2perf metrics``
    shown = ("per_solved",)  # in the report, where it has a value

    def make(self, suffix):
        if suffix != "per_solved":
            raise UnknownNameError(f"unknown metric 'words.{suffix}'")
        return WordsPerSolved()
