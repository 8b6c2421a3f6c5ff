"""A2Perf's report: categories and metrics by rows, algorithms by columns."""
