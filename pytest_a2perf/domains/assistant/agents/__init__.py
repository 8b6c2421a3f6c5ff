"""Agents of the domain ``assistant``."""
