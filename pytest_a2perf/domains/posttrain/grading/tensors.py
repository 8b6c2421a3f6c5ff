"""Files of the safetensors format: the header, read with suspicion, and whose weights they are.

The format is 8 bytes for the header's length (little endian), the header as JSON, and the tensors'
bytes. Nothing in it is ever executed, but a header may lie; here everything is checked before a
library sees the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.posttrain.grading.refusal import Refused

__all__ = ["Tensor", "read_tensors", "same_weights"]

_HEADER = 4 << 20  # bytes; a tensor needs some 130
_BLOCK = 1 << 20  # elements compared at once
_WIDTHS = {
    1: ("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3"),
    2: ("I16", "U16", "F16", "BF16"),
    4: ("I32", "U32", "F32"),
    8: ("I64", "U64", "F64"),
}
_BYTES = {dtype: width for width, dtypes in _WIDTHS.items() for dtype in dtypes}
_FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies.

    Attributes:
        path: of the file.
        dtype: as the format names it, e.g. ``BF16``.
        count: of elements.
        offset: of its first byte in the file.
    """

    path: Path
    dtype: str
    count: int
    offset: int


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the header of a file.

    Raises:
        Refused: it is not a well-formed file of the format; nothing overlaps, is left over, or
            lies outside of the file.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise Refused(f"{path.name}: is no safetensors file: the header's length is wrong")
        if length > _HEADER:
            raise Refused(f"{path.name}: the header is too large: at most {_HEADER} bytes", 413)
        raw = file.read(length)
    try:
        header = json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path.name}: is no safetensors file: header: {error}"[:300]) from None
    if not isinstance(header, dict):
        raise Refused(f"{path.name}: is no safetensors file: the header is no table of tensors")
    header.pop("__metadata__", None)
    spans = {name: _span(entry, f"{path.name}: {name[:100]!r}") for name, entry in header.items()}
    end = 0
    for name, (_, _, first, last) in sorted(spans.items(), key=lambda item: item[1][2:]):
        if first != end:
            raise Refused(f"{path.name}: {name[:100]!r}: overlaps another tensor, or leaves a gap")
        end = last
    if 8 + length + end != size:
        raise Refused(f"{path.name}: has {size} bytes where its header says {8 + length + end}")
    return {
        name: Tensor(path, dtype, count, 8 + length + first)
        for name, (dtype, count, first, _) in spans.items()
    }


def same_weights(ours: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> bool:
    """Return whether each of our tensors is one of the base model's.

    The base's values are rounded to our type first, so that a copy saved with less precision is
    the base model still; other files, another order and other names make no difference either.
    """
    if not ours or len(ours) > 2 * len(base):
        return False
    if all(name in base for name in ours):
        return all(_equal(tensor, base[name]) for name, tensor in ours.items())
    by_count: dict[int, list[Tensor]] = {}
    for tensor in base.values():
        by_count.setdefault(tensor.count, []).append(tensor)
    return all(
        any(_equal(tensor, other) for other in by_count.get(tensor.count, ()))
        for tensor in ours.values()
    )


def _span(entry: Any, where: str) -> tuple[str, int, int, int]:
    """Return type, number of elements, first byte and the byte after the last."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Refused(f"{where}: needs dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise Refused(f"{where}: unknown dtype {str(dtype)[:40]!r}")
    if not _naturals(shape) or len(shape) > 16 or not _naturals(offsets) or len(offsets) != 2:
        raise Refused(f"{where}: shape and data_offsets must be lists of natural numbers")
    count = math.prod(shape)
    if offsets[1] - offsets[0] != count * _BYTES[dtype]:
        raise Refused(f"{where}: shape and data_offsets do not match")
    return dtype, count, offsets[0], offsets[1]


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(number) is int and 0 <= number < 1 << 48 for number in value
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name stands twice")
    return table


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _equal(ours: Tensor, base: Tensor) -> bool:
    if ours.count != base.count:
        return False
    if ours.dtype == base.dtype or not {ours.dtype, base.dtype} <= {*_FLOATS, "BF16"}:
        pairs = zip(_blocks(ours, raw=True), _blocks(base, raw=True), strict=False)
        return ours.dtype == base.dtype and all(np.array_equal(a, b) for a, b in pairs)
    return all(
        np.array_equal(a, _rounded(b, ours.dtype), equal_nan=True)
        for a, b in zip(_blocks(ours), _blocks(base), strict=True)
    )


def _blocks(tensor: Tensor, *, raw: bool = False) -> Iterator[NDArray[Any]]:
    """Yield the elements, as numbers or as bytes; few at first, where most tensors differ."""
    width = _BYTES[tensor.dtype]
    with tensor.path.open("rb") as file:
        file.seek(tensor.offset)
        left, block = tensor.count, 64
        while left:
            data = file.read(width * min(block, left))
            left, block = left - min(block, left), _BLOCK
            yield np.frombuffer(data, np.uint8) if raw else _numbers(data, tensor.dtype)


def _numbers(data: bytes, dtype: str) -> NDArray[Any]:
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.frombuffer(data, _FLOATS[dtype])


def _rounded(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Round to a type, to the nearest and to even as torch does."""
    with np.errstate(all="ignore"):
        if dtype != "BF16":
            return values.astype(_FLOATS[dtype])
        bits = values.astype(np.float32).view(np.uint32)
        kept = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        return (kept & np.uint32(0xFFFF0000)).view(np.float32)
