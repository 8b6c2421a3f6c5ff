"""Benchmarks of autonomous agents as pytest suites.

Importing this package costs next to nothing: heavy modules are imported where they are used.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
