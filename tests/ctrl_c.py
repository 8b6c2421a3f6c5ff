"""A pytest that a test can interrupt."""

from __future__ import annotations

# Workers of xdist, which may run the test, ignore SIGINT and pass that on to their children.
PYTEST = """
import signal, sys, pytest
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.main(sys.argv[1:]))
"""
