"""Metrics: named numbers over the trials of a scenario, each with an interval."""
