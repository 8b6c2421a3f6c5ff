"""What a data set cost: the energy of training the policies that generated it.

Energies are in joules; the metadata of a data set has kWh, as A2Perf does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pytest_a2perf.errors import A2PerfError, InfraError
from pytest_a2perf.metrics.data_cost import checkpoint_data_cost, data_cost
from pytest_a2perf.quantities import QUALITIES, Quality, Quantity, worst_quality
from pytest_a2perf.units import UNITS, parse_quantity

if TYPE_CHECKING:
    import minari

    from pytest_a2perf.domains.gym.options import CollectOptions
    from pytest_a2perf.training.artefacts import Artefact, Checkpoint

__all__ = [
    "COST_KEY", "KWH", "Cost", "Formula", "Policy", "cost_of", "dataset_cost", "declared_cost",
    "parse_energy",
]  # fmt: skip

KWH = UNITS["kWh"][1]
"""Joules in a kilowatt-hour."""

COST_KEY = "training_sample_cost_kwh"

Formula = Literal["paper", "a2perf", "declared", "none", "unknown"]


@dataclass(frozen=True, slots=True)
class Policy:
    """A trained policy that generated episodes.

    Attributes:
        scenario: id of its training's scenario.
        run: id of the run in which it was trained.
        seed: of the training.
        algorithm: its name in reports.
        checkpoint: step of the checkpoint, or None for the final model.
        last: step of the training's last checkpoint, or None if it saved none.
        value: mean return of the checkpoint as the training logged it, or None.
        energy: of the whole training, or None where nothing could read it.
    """

    scenario: str
    run: str
    seed: int
    algorithm: str = ""
    checkpoint: float | None = None
    last: float | None = None
    value: float | None = None
    energy: Quantity | None = None

    @property
    def training(self) -> tuple[str, str, int]:
        """What two checkpoints of the same training have in common."""
        return self.run, self.scenario, self.seed

    @classmethod
    def of(cls, artefact: Artefact, checkpoint: Checkpoint | None = None) -> Self:
        """Describe an artefact's final model, or one of its checkpoints."""
        steps = [point.step for point in artefact.checkpoints]
        return cls(
            scenario=artefact.scenario,
            run=artefact.run,
            seed=artefact.seed,
            algorithm=artefact.algorithm,
            checkpoint=None if checkpoint is None else checkpoint.step,
            last=max(steps, default=None),
            value=None if checkpoint is None else checkpoint.value,
            energy=artefact.energy,
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON scalars and objects; the energy with its source and quality."""
        energy = None if self.energy is None else self.energy.to_json()
        return {**asdict(self), "energy": energy}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`."""
        energy = data["energy"]
        return cls(**{**data, "energy": None if energy is None else Quantity.from_json(energy)})

    def energy_until_checkpoint(self) -> float:
        """Return A2Perf's E_k = E_total * k / k_max, J; the final model has k = k_max."""
        assert self.energy is not None
        if self.checkpoint is None or not self.last:
            return self.energy.value
        return checkpoint_data_cost(self.energy.value, [self.checkpoint], self.last)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a data set.

    Attributes:
        energy: J, or None if it is unknown.
        formula: how it came about.
        source: who says so: the meters of the trainings, or what the scenario declares.
        quality: the worst of the energies.
        note: why it is 0 or unknown.
    """

    energy: float | None
    formula: Formula
    source: str
    quality: Quality
    note: str = ""

    def metadata(self) -> dict[str, Any]:
        """Return the keys of a data set's metadata, with the cost in kWh."""
        return {
            COST_KEY: None if self.energy is None else self.energy / KWH,
            "cost_formula": self.formula,
            "cost_source": self.source,
            "cost_quality": self.quality,
            "cost_note": self.note,
        }


def cost_of(policies: Sequence[Policy], agent: str, options: CollectOptions, root: Path) -> Cost:
    """Work out what the data of these policies cost.

    ``paper``: mean over the trainings of the energy of each. ``a2perf``: mean over the checkpoints
    of what each training had used by then, see `Policy.energy_until_checkpoint`.

    Args:
        policies: what generated the data; empty for an agent that was not trained here.
        agent: as the scenario names it.
        options: what the scenario declares, which comes before anything else, and the formula.
        root: folder against which the agent's path is resolved.
    """
    if options.cost_kwh is not None:
        declared = options.cost_source or "declared"
        return Cost(options.cost_kwh * KWH, "declared", declared, "modelled")
    if not policies:
        return _untrained(agent, root)
    missing = sorted({f"{p.scenario}[{p.seed}]" for p in policies if p.energy is None})
    if missing:
        return Cost(
            None,
            "unknown",
            "",
            "modelled",
            f"no energy was read in the training of {', '.join(missing)}; "
            "options.collect.cost_kwh can declare a cost",
        )
    # Several seeds may have used the same training, or checkpoint; it counts once.
    paper = options.scaling == "paper"
    used = {(p.training, None if paper else p.checkpoint): p for p in policies}.values()
    readings = [policy.energy for policy in used if policy.energy is not None]
    energies = (
        [reading.value for reading in readings]
        if paper
        else [policy.energy_until_checkpoint() for policy in used]
    )
    sources = ", ".join(sorted({reading.source for reading in readings}))
    worst = worst_quality([reading.quality for reading in readings])
    return Cost(data_cost(energies), options.scaling, sources, worst)


def _untrained(agent: str, root: Path) -> Cost:
    """Cost of the data of an agent that no scenario has trained."""
    from pytest_a2perf.agents.registry import FILES
    from pytest_a2perf.agents.submission import is_submission

    advice = "options.collect.cost_kwh can declare a cost"
    if Path(agent).suffix in FILES or is_submission(root / agent):
        return Cost(
            None, "unknown", "", "modelled", f"agent {agent!r} was trained elsewhere; {advice}"
        )
    note = f"agent {agent!r} is taken for one that needs no training; {advice}"
    return Cost(0.0, "none", "", "modelled", note)


def parse_energy(text: str | float) -> float:
    """Parse an energy such as ``"3 kWh"`` to joules; a bare number is in joules.

    Raises:
        A2PerfError: it is none, or negative, or not finite.
    """
    value, _ = parse_quantity(text, unit="J")
    if not (value >= 0 and math.isfinite(value)):
        raise A2PerfError(f"expected an energy of 0 or more like '3 kWh', got {text!r}")
    return value


def declared_cost(text: str | float) -> Quantity:
    """Return a declared data cost, J.

    Raises:
        A2PerfError: see `parse_energy`.
    """
    return Quantity(parse_energy(text), "J", "declared", "modelled")


def dataset_cost(dataset: minari.MinariDataset) -> Quantity | None:
    """Return what a data set's metadata say it cost, J; None where they do not know.

    Raises:
        InfraError: the metadata have something else than an energy.
    """
    metadata = dataset.storage.metadata
    cost = metadata.get(COST_KEY)
    if cost is None:
        return None
    number = isinstance(cost, int | float) and not isinstance(cost, bool)
    if not number or not 0 <= cost < math.inf:
        raise InfraError(
            f"data set {dataset.id!r}: {COST_KEY} in its metadata is no energy in kWh: {cost!r}; "
            "correct it there"
        )
    formula, quality = metadata.get("cost_formula", ""), metadata.get("cost_quality")
    return Quantity(
        cost * KWH,
        "J",
        "declared" if formula == "declared" else "minari-metadata",
        quality if quality in QUALITIES else "modelled",
        note=str(formula),
    )
