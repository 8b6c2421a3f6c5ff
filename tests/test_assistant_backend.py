"""The backend ``are`` where Meta's package is not; with it, see `test_assistant_parity`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_a2perf.domains.assistant.backends import are_process
from pytest_a2perf.domains.assistant.backends.are_process import (
    PACKAGE,
    PYTHON_VARIABLE,
    AreProcess,
    are_python,
)
from pytest_a2perf.errors import A2PerfError

NAME = PACKAGE.replace("-", "_")


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Put a package of that version on the path, without anything in it."""

    def pretend(version):
        folder = tmp_path / f"{NAME}-{version}.dist-info"
        folder.mkdir()
        text = f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n"
        (folder / "METADATA").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return pretend


def test_the_environment_names_the_python(monkeypatch):
    monkeypatch.setenv(PYTHON_VARIABLE, "/somewhere/python")
    assert are_python() == "/somewhere/python"


def test_without_the_package_it_is_said_what_to_do(monkeypatch):
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr(are_process, "PACKAGE", "there-is-no-such-package")
    with pytest.raises(A2PerfError, match=rf"extra \[are\].*{PYTHON_VARIABLE}"):
        are_python()


def test_what_is_no_python_is_named():
    with pytest.raises(A2PerfError, match="'/nowhere/python' is no Python"):
        AreProcess("/nowhere/python")


@pytest.mark.parametrize("version", ["1.3.0", "2.0.0", "1.20.0"])
def test_another_version_is_refused(version, pretend):
    pretend(version)
    with pytest.raises(A2PerfError, match=rf"has Meta ARE {version}, but needed is 1\.2\.x"):
        AreProcess(sys.executable)


def test_a_python_without_the_package_is_refused(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = str(tmp_path / "venv/bin/python")
    with pytest.raises(A2PerfError, match=rf"has no Meta ARE; see {PYTHON_VARIABLE}"):
        AreProcess(python)
