"""Strategies of observations and actions, and of the spaces they lie in."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.strategies import SearchStrategy

from pytest_a2perf.strategies.basic import names

if TYPE_CHECKING:
    import gymnasium
    from numpy.typing import NDArray

__all__ = ["actions", "observations", "spaces"]

_MAGNITUDE = 1e6
_SMALL = 64  # elements that are drawn one by one


def observations(
    source: gymnasium.Env[Any, Any] | gymnasium.Space[Any] | str,
    *,
    magnitude: float | None = _MAGNITUDE,
) -> SearchStrategy[Any]:
    """Draw observations: any that the space contains, not only likely ones.

    ::

        @given(observations("CartPole-v1"))
        def test_it_always_decides(observation):
            assert policy(observation) in (0, 1)

    Arrays have the space's element type; NaN and infinite numbers are not drawn. Graphs, and spaces
    of classes that Gymnasium does not have, are sampled with a drawn seed.

    Args:
        source: an environment, the id of one, or a space.
        magnitude: where a ``Box`` has no bound, numbers go this far from zero, or from its other
            bound; None goes as far as the element type does.
    """
    return _of(source, "observation_space", magnitude)


def actions(
    source: gymnasium.Env[Any, Any] | gymnasium.Space[Any] | str,
    *,
    magnitude: float | None = _MAGNITUDE,
) -> SearchStrategy[Any]:
    """Draw actions, e.g. to test an environment or a wrapper; see `observations`."""
    return _of(source, "action_space", magnitude)


def spaces(max_leaves: int = 6) -> SearchStrategy[gymnasium.Space[Any]]:
    """Draw spaces: of numbers and texts, and dictionaries, tuples and sequences of them.

    Args:
        max_leaves: how many spaces of numbers or texts one space may hold, at most.
    """
    from gymnasium import spaces as gym

    whole = st.integers(-100, 100)
    counts = npst.arrays(
        np.int64, npst.array_shapes(max_dims=2, max_side=3), elements=st.integers(1, 9)
    )
    leaves = st.one_of(
        _boxes(),
        st.builds(gym.Discrete, st.integers(1, 20), start=whole),
        st.builds(gym.MultiDiscrete, counts),
        st.builds(gym.MultiBinary, st.integers(1, 8)),
        st.builds(gym.Text, st.integers(1, 8), charset=st.text("abc xyz", min_size=1)),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(gym.Dict, st.dictionaries(names, inner, min_size=1, max_size=3)),
            st.builds(gym.Tuple, st.lists(inner, min_size=1, max_size=3)),
            st.builds(gym.Sequence, inner),
        ),
        max_leaves=max_leaves,
    )


@st.composite
def _boxes(draw: st.DrawFn, /) -> gymnasium.Space[Any]:
    from gymnasium.spaces import Box

    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, max_side=4))
    dtype: Any = draw(st.sampled_from([np.float32, np.float64, np.int64, np.uint8]))
    low: float = draw(st.integers(0 if dtype is np.uint8 else -100, 100))
    high: float = low + draw(st.integers(0, 100))
    if dtype is not np.uint8:
        low, high = draw(st.sampled_from([(low, high), (-np.inf, high), (low, np.inf)]))
    return Box(low, high, shape, dtype)


def _of(source: Any, attribute: str, magnitude: float | None) -> SearchStrategy[Any]:
    if not isinstance(source, str):
        return _members(getattr(source, attribute, source), magnitude)

    def make() -> SearchStrategy[Any]:
        import gymnasium

        env = gymnasium.make(source)
        try:
            return _members(getattr(env, attribute), magnitude)
        finally:
            env.close()

    return st.deferred(make)


def _members(space: Any, magnitude: float | None) -> SearchStrategy[Any]:
    """Draw members of a space."""
    from gymnasium import spaces as gym

    def inner(part: Any) -> SearchStrategy[Any]:
        return _members(part, magnitude)

    match space:
        case gym.Box():
            bounds = (space.low, space.high, space.bounded_below, space.bounded_above)
            return _arrays(bounds, space.dtype, magnitude)
        case gym.Discrete():
            low = int(space.start)
            return st.integers(low, low + int(space.n) - 1).map(space.dtype.type)
        case gym.MultiDiscrete():
            always = np.ones(space.shape, dtype=bool)
            high = space.start + space.nvec - 1
            return _arrays((space.start, high, always, always), space.dtype, None)
        case gym.MultiBinary():
            return npst.arrays(np.int8, space.shape, elements=st.integers(0, 1))
        case gym.Dict():
            return st.fixed_dictionaries({key: inner(part) for key, part in space.items()})
        case gym.Tuple():
            return st.tuples(*map(inner, space.spaces))
        case gym.OneOf():
            choices = [
                st.tuples(st.just(np.int64(index)), inner(part))
                for index, part in enumerate(space.spaces)
            ]
            return st.one_of(choices)
        case gym.Text():
            letters = sorted(space.character_set)
            return st.text(letters, min_size=space.min_length, max_size=space.max_length)
        case gym.Sequence():
            # Gymnasium cannot stack nothing.
            parts = st.lists(inner(space.feature_space), min_size=int(space.stack), max_size=8)
            whole = parts.map(tuple)
            return whole.map(_stacked(space.feature_space)) if space.stack else whole
    return st.builds(_sample, st.just(space), st.integers(0, 2**32 - 1))


def _sample(space: Any, seed: int) -> Any:
    space = copy.deepcopy(space)  # the user's own generator stays as it is
    space.seed(seed)
    return space.sample()


def _stacked(space: Any) -> Callable[[tuple[Any, ...]], Any]:
    from gymnasium.vector.utils import concatenate, create_empty_array

    def stack(parts: tuple[Any, ...]) -> Any:
        empty: Any = create_empty_array(space, len(parts))
        return concatenate(space, parts, empty)

    return stack


def _arrays(
    bounds: tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]],
    dtype: np.dtype[Any],
    magnitude: float | None,
) -> SearchStrategy[NDArray[Any]]:
    """Draw arrays whose elements have bounds; those of equal bounds are drawn together.

    Most of a large array is one value, so that images cost little.

    Args:
        bounds: lower and upper ones, and whether they hold.
        dtype: element type.
        magnitude: see `observations`.
    """
    flat = [part.ravel() for part in bounds]
    codes = np.stack([np.unique(part, return_inverse=True)[1].reshape(-1) for part in flat])
    _, first, group = np.unique(codes, axis=1, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    parts = []
    for number, index in enumerate(first):
        low, high, below, above = (part[index].item() for part in flat)
        elements = _between(
            low if below else None, high if above else None, dtype=dtype, magnitude=magnitude
        )
        size = int((group == number).sum())
        fill = st.nothing() if size <= _SMALL else None
        parts.append(npst.arrays(dtype, size, elements=elements, fill=fill))

    def assemble(drawn: tuple[NDArray[Any], ...]) -> NDArray[Any]:
        whole = np.empty(group.size, dtype)
        for number, values in enumerate(drawn):
            whole[group == number] = values
        return whole.reshape(bounds[0].shape)

    return st.tuples(*parts).map(assemble)


def _between(
    low: Any, high: Any, *, dtype: np.dtype[Any], magnitude: float | None
) -> SearchStrategy[Any]:
    """Draw numbers of an element type between bounds, of which None is replaced."""
    if dtype.kind == "b":
        return st.integers(low, high).map(bool)
    info: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    number = float if dtype.kind == "f" else int
    least, most = number(info.min), number(info.max)
    reach = most if magnitude is None else min(number(magnitude), most)
    if low is None:
        low = max(least, -reach if high is None else min(-reach, high - reach))
    if high is None:
        high = min(most, max(reach, low + reach))
    low, high = dtype.type(low).item(), dtype.type(high).item()
    if number is int:
        return st.integers(low, high)
    width: Any = min(64, 8 * dtype.itemsize)
    # Adding zero makes 0.0 of -0.0, which Hypothesis takes to lie below it.
    return st.floats(low + 0.0, high + 0.0, width=width)
