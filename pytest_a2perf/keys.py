"""Keys of what the plugin keeps in pytest's stashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_a2perf.meters.session import Instruments
    from pytest_a2perf.scheduling.order import Place
    from pytest_a2perf.settings import Config
    from pytest_a2perf.trials.plan import PlannedTrial
    from pytest_a2perf.trials.trial import Trial

__all__ = [
    "COMPANION",
    "CONFIG",
    "DRIFTS",
    "INSTRUMENTS",
    "PLACE",
    "PLANNED",
    "PROGRESS",
    "RUN_FOLDER",
    "TRIAL",
]

COMPANION: pytest.StashKey[bool] = pytest.StashKey()
"""Set in the process that runs the other version, see `pytest_a2perf.against`."""

CONFIG: pytest.StashKey[Config] = pytest.StashKey()
INSTRUMENTS: pytest.StashKey[Instruments] = pytest.StashKey()
RUN_FOLDER: pytest.StashKey[str] = pytest.StashKey()
PROGRESS: pytest.StashKey[tuple[str, int]] = pytest.StashKey()
PLACE: pytest.StashKey[Place] = pytest.StashKey()
PLANNED: pytest.StashKey[PlannedTrial] = pytest.StashKey()
DRIFTS: pytest.StashKey[dict[str, float]] = pytest.StashKey()
TRIAL: pytest.StashKey[Trial] = pytest.StashKey()
