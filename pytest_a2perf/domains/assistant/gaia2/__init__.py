"""Gaia2: its groups of runs, what came of them, and the folder that is submitted."""
