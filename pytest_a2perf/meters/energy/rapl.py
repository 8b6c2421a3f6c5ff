"""CPU energy from Intel's and AMD's running average power limit (RAPL) counters."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_a2perf.errors import MeterUnavailableError
from pytest_a2perf.meters.cpu import cpu_seconds
from pytest_a2perf.quantities import Quality, Quantity

__all__ = ["RaplDomain", "RaplMeter", "find_domains", "joules_between"]

_EXCLUSIVE = 0.999
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_FEW_TICKS = 10
_MOST_WATTS = 500.0  # what one package can draw for minutes; more means an unseen wrap-around


@dataclass(frozen=True, slots=True)
class RaplDomain:
    """One counter.

    Attributes:
        name: ``package-0``, ``dram``, ...
        counter: its file, in µJ.
        range: the value in µJ at which it wraps around.
    """

    name: str
    counter: Path
    range: int

    def read(self) -> int:
        """Return the counter in µJ.

        Raises:
            OSError: it cannot be read.
        """
        return int(self.counter.read_text())


def find_domains(root: Path = Path("/sys/class/powercap")) -> tuple[RaplDomain, ...]:
    """Return the domains that do not overlap: processor packages, and the memory beside them.

    Cores and uncore are parts of their package, ``psys`` contains it, and the ``intel-rapl-mmio``
    tree shows the same counters again.

    Raises:
        MeterUnavailableError: there is no package, or it must not be read; the message says which.
    """
    found: dict[str, RaplDomain] = {}
    for folder in sorted(root.glob("intel-rapl:*")):
        try:
            name = (folder / "name").read_text().strip()
            if name != "dram" and not name.startswith("package"):
                continue
            # Each package has a "dram" of its own, but a package that appears twice is one.
            key = folder.name if name == "dram" else name
            if key not in found:
                limit = int((folder / "max_energy_range_uj").read_text())
                domain = RaplDomain(name, folder / "energy_uj", limit)
                domain.read()
                found[key] = domain
        except PermissionError as error:
            raise MeterUnavailableError(
                f"RAPL: no permission to read {error.filename}; the kernel restricts it to root, "
                "give the group of the test user read access to it"
            ) from None
        except (OSError, ValueError):
            continue
    if not any(domain.name != "dram" for domain in found.values()):
        raise MeterUnavailableError(f"RAPL: no processor package under {root}")
    return tuple(found.values())


def joules_between(before: int, after: int, limit: int) -> float:
    """Return the energy in J between two readings in µJ of a counter that wraps at ``limit``."""
    difference = after - before
    return (difference if difference >= 0 else difference + limit) * 1e-6


class RaplMeter:
    """Reads ``energy.package`` and ``energy.dram``, and this process's share of them, in joules.

    The counters are those of the whole machine. ``energy.cpu`` and ``energy.ram`` are the parts
    that fall to this process by its share of the machine's busy CPU time (``/proc/stat``).

    Args:
        root: the powercap tree.
        domains: from `find_domains`, so as not to search again.
        stat: the kernel's CPU statistics.

    Raises:
        MeterUnavailableError: no counter can be read; the message says why.
    """

    name = "rapl"

    def __init__(
        self,
        root: Path = Path("/sys/class/powercap"),
        *,
        domains: Sequence[RaplDomain] | None = None,
        stat: Path = Path("/proc/stat"),
    ) -> None:
        self.domains = find_domains(root) if domains is None else tuple(domains)
        self._stat = stat
        self._before: list[int] = []
        self._cpu = self._busy = self._wall = 0.0

    def start(self) -> None:
        """Open a window."""
        self._busy = _busy_seconds(self._stat)
        self._cpu = cpu_seconds()
        self._wall = time.perf_counter()
        self._before = [domain.read() for domain in self.domains]

    def stop(self) -> Mapping[str, Quantity]:
        """Close the window and return what the counters show; nothing if one has failed."""
        try:
            after = [domain.read() for domain in self.domains]
        except OSError:
            return {}
        window = time.perf_counter() - self._wall
        own = cpu_seconds() - self._cpu
        busy = _busy_seconds(self._stat) - self._busy
        package = dram = 0.0
        for domain, first, last in zip(self.domains, self._before, after, strict=True):
            joules = joules_between(first, last, domain.range)
            if domain.name == "dram":
                dram += joules
            else:
                package += joules
        shares = {"own": own, "busy": busy, "window": window}
        quantities = _apportioned("cpu", "package", package, **shares)
        if any(domain.name == "dram" for domain in self.domains):
            quantities |= _apportioned("ram", "dram", dram, **shares)
        if window > min(domain.range for domain in self.domains) * 1e-6 / _MOST_WATTS:
            return {name: _perhaps_wrapped(value) for name, value in quantities.items()}
        return quantities


def _apportioned(
    part: str, whole: str, joules: float, *, own: float, busy: float, window: float
) -> dict[str, Quantity]:
    # /proc/stat counts in ticks and may lag behind the process's own, finer clock.
    share = own / max(busy, own) if own > 0 else 0.0
    exclusive = share >= _EXCLUSIVE
    note = "" if exclusive else f"{whole} energy apportioned by CPU time"
    if busy * _TICKS_PER_SECOND < _FEW_TICKS:
        exclusive, note = False, f"{whole} energy apportioned by CPU time, below resolution"
    quality: Quality = "measured" if exclusive else "estimated"
    return {
        f"energy.{whole}": Quantity(joules, "J", "rapl", "measured", window, 1e-6),
        f"energy.{part}": Quantity(joules * share, "J", "rapl", quality, window, 1e-6, note),
    }


def _perhaps_wrapped(quantity: Quantity) -> Quantity:
    note = "the counter may have wrapped around more than once"
    return replace(
        quantity, quality="estimated", note=", ".join(filter(None, (quantity.note, note)))
    )


def _busy_seconds(stat: Path) -> float:
    """Return the machine's busy CPU seconds since boot: all but idle and waiting for I/O."""
    with stat.open() as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(
            int, file.readline().split()[1:9]
        )
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_SECOND
