"""The report after a run, by rules alone."""

from pytest_a2perf.domains.posttrain.report.analyse import analyse
from pytest_a2perf.domains.posttrain.report.command import report_command, write_reports
from pytest_a2perf.domains.posttrain.report.data import Report
from pytest_a2perf.domains.posttrain.report.text import summary_lines

__all__ = ["Report", "analyse", "report_command", "summary_lines", "write_reports"]
