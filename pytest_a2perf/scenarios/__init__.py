"""Scenarios: what is written in files and markers, and the pytest items made of it."""
