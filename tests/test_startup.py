"""An ordinary pytest run must not notice that the plugin is installed."""

from __future__ import annotations

import sys

HEAVY = (
    "litellm", "scipy", "gymnasium", "codecarbon", "numpy", "pynvml", "psutil", "pydantic", "torch",
)  # fmt: skip


def test_nothing_heavy_is_imported_while_the_plugin_is_off(pytester):
    pytester.makepyfile(f"""
        import sys
        def test_modules():
            ours = sorted(name for name in sys.modules if name.startswith("pytest_a2perf"))
            assert ours == ["pytest_a2perf", "pytest_a2perf.hookspecs", "pytest_a2perf.options", "pytest_a2perf.plugin"]
            assert [name for name in {HEAVY!r} if name in sys.modules] == []
    """)
    pytester.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_it_leaves_nothing_behind(pytester):
    pytester.makepyfile("def test_x(): pass")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    assert not (pytester.path / ".a2perf").exists()


def test_the_plugin_module_stays_small():
    import subprocess

    code = "import sys; import pytest; n = len(sys.modules); import pytest_a2perf.plugin; print(len(sys.modules) - n)"
    count = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)  # fmt: skip
    assert count <= 5
