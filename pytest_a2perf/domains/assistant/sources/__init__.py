"""Where scenarios come from: files, folders, data sets, the Hub."""

from pytest_a2perf.domains.assistant.sources.cases import CaseRef
from pytest_a2perf.domains.assistant.sources.find import find_cases

__all__ = ["CaseRef", "find_cases"]
