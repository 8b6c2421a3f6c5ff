"""Boundaries that spend a given error: of a running mean of normal values, and of a count.

The mathematics behind `pytest_a2perf.gates.sequential`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_levels", "normal_levels"]

Floats = NDArray[np.float64]

_STEPS = 6
"""Points of the grid in a standard deviation of an increment."""
_REACH = 6.5
"""Standard deviations beyond which a density counts as zero."""
_ENDS = (3 / 8, 7 / 6, 23 / 24)
"""Gregory's weights at the end of an integral, of fourth order."""
_EXACT = 1e-10


def normal_levels(sizes: Sequence[int], spent: Sequence[float]) -> list[float]:
    """Return the one-sided level of each look at a growing sample of normal values.

    A look at level ``p`` crosses where the mean is beyond the normal quantile of ``1 - p``. The
    levels are such that up to look ``k`` some look has crossed with probability ``spent[k]``. The
    density of sums that have not crossed is carried from look to look by numerical integration
    (Armitage, McPherson and Rowe, "Repeated Significance Tests on Accumulating Data", 1969).

    Args:
        sizes: of the sample at each look, ascending, with equal steps.
        spent: strictly ascending, the first positive, the last below one half.
    """
    from scipy.special import ndtr, ndtri

    unit = sizes[1] - sizes[0] if len(sizes) > 1 else 1
    spreads = [math.sqrt(size / unit) for size in sizes]
    bound = -float(ndtri(spent[0])) * spreads[0]
    bounds = [bound]
    sums = _grid(bound, spreads[0])
    density = _normal(sums / spreads[0]) / spreads[0]
    rise = 0.0
    for look in range(1, len(sizes)):
        density[:3] *= _ENDS
        density /= _STEPS
        rise = _rise(bound - sums, density, spent[look] - spent[look - 1], rise, ndtr)
        # The new grid hangs from the new bound, so that each integral ends on one of its points.
        bound += rise
        sums = _grid(bound, spreads[look])
        density = _moved(density, rise, sums.size)
        bounds.append(bound)
    scores = np.array(bounds) / np.array(spreads)
    return [float(level) for level in ndtr(-scores)]


def _normal(values: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * np.square(values)) / math.sqrt(2 * math.pi))


def _grid(bound: float, spread: float) -> Floats:
    """Return points from the bound downwards, to where there is no density."""
    points = math.ceil((bound + _REACH * spread) * _STEPS) + 1
    return bound - np.arange(points) / _STEPS


def _rise(
    below: Floats, masses: Floats, wanted: float, start: float, ndtr: Callable[[Floats], Floats]
) -> float:
    """Find how far the bound moves so that the next increment crosses it as often as wanted.

    Args:
        below: how far each point lies below the present bound, ascending.
        masses: probability at each point.
        wanted: probability of crossing.
        start: first guess.
        ndtr: the normal distribution function.
    """
    near = below <= 2 * _REACH
    below, masses = below[near], masses[near]
    rise = start
    for _ in range(50):
        gaps = below + rise
        tail, slope = float(masses @ ndtr(-gaps)), float(masses @ _normal(gaps))
        step = math.log(tail / wanted) * tail / slope  # Newton's, of the logarithm
        rise = min(max(rise + min(max(step, -1.0), 1.0), -_REACH), _REACH)
        if abs(step) < _EXACT:
            break
    return rise


def _moved(masses: Floats, rise: float, points: int) -> Floats:
    """Add a normal increment to masses on the old grid; return the density on the new one."""
    first = math.ceil((-_REACH - rise) * _STEPS)
    last = math.floor((_REACH - rise) * _STEPS)
    kernel = _normal(rise + np.arange(first, last + 1) / _STEPS)
    # density[i] = sum over j of kernel[j - i] * masses[j]
    density = np.convolve(masses, kernel[::-1])[last : last + points]
    return np.pad(density, (0, points - density.size))


def count_levels(sizes: Sequence[int], spent: Mapping[int, float], rate: float) -> dict[int, float]:
    """Return the level of each look at a growing number of attempts, by exact probabilities.

    A look at level ``p`` crosses where as many or more successes have a probability of at most
    ``p``. Up to each look some look has crossed with at most the probability spent, as near to it
    as counts allow, if successes have the given rate.

    Args:
        sizes: attempts at each look, ascending.
        spent: of each size.
        rate: probability of success, between 0 and 1.

    Returns:
        Size -> level; sizes at which no number of successes may cross are missing. A level lies a
        little above the one of the count that crosses, so that rounding does not matter.
    """
    from scipy.special import betainc

    levels: dict[int, float] = {}
    masses = np.zeros(sizes[-1] + 2)
    masses[0] = 1.0
    crossed = 0.0
    attempts = 0
    for size in sizes:
        for _ in range(size - attempts):
            masses[1:] = masses[1:] * (1 - rate) + masses[:-1] * rate
            masses[0] *= 1 - rate
        attempts = size
        tails = np.cumsum(masses[::-1])[::-1]
        least = int(np.argmax(crossed + tails <= spent[size]))
        if least > size:
            continue
        crossed += float(tails[least])
        masses[least:] = 0.0
        # P(at least x of n) = I_rate(x, n - x + 1)
        level = float(betainc(least, size - least + 1, rate))
        above = float(betainc(least - 1, size - least + 2, rate)) if least > 1 else 1.0
        levels[size] = level + min((above - level) / 2, level / 1000)
    return levels
