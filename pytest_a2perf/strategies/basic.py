"""The small strategies that the others share."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["amounts", "counts", "names", "numbers", "seeds", "shares", "texts"]

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

numbers: SearchStrategy[float] = st.floats(-1e9, 1e9)
amounts: SearchStrategy[float] = st.floats(0, 1e9)
shares: SearchStrategy[float] = st.floats(0, 1)
counts: SearchStrategy[int] = st.integers(1, 9)
seeds: SearchStrategy[int] = st.integers(0, 2**32 - 1)
names: SearchStrategy[str] = st.builds(
    str.__add__, st.sampled_from(_LETTERS), st.text(_LETTERS + ".+-", max_size=8)
)
"""As scenarios have them."""

texts: SearchStrategy[str] = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
"""Any that can be encoded."""
