"""Domains: families of tasks; they know nothing of pytest."""
