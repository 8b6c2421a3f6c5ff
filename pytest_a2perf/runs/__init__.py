"""Runs: the record of each trial, the append-only store, provenance and summaries."""
