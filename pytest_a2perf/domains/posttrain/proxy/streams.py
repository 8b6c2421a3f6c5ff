"""What passes from upstream to the agent: everything but the key and what the proxy asked for."""

from __future__ import annotations

import json

__all__ = ["Redactor", "UsageFilter"]

_END = b"\n\n"


class Redactor:
    """Replaces keys in a stream of bytes, wherever it is cut; holds back as little as it can.

    Args:
        keys: none of them empty.
    """

    def __init__(self, keys: list[str]) -> None:
        forms = {form for key in keys for form in (key, json.dumps(key)[1:-1])}
        # Longest first: one may be the beginning of another.
        self._keys = [form.encode() for form in sorted(forms, key=len, reverse=True)]
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be passed on now."""
        data = self._cleaned(self._rest + data)
        held = max((_overlap(data, key) for key in self._keys), default=0)
        self._rest = data[len(data) - held :]
        return data[: len(data) - held]

    def end(self) -> bytes:
        """Return the rest."""
        rest, self._rest = self._cleaned(self._rest), b""
        return rest

    def _cleaned(self, data: bytes) -> bytes:
        for key in self._keys:
            data = data.replace(key, b"[key]")
        return data


def _overlap(data: bytes, key: bytes) -> int:
    """Return how many bytes at the end of the data begin the key."""
    most = min(len(data), len(key) - 1)
    return next((n for n in range(most, 0, -1) if data.endswith(key[:n])), 0)


class UsageFilter:
    """Leaves out of a stream of events the one with the usage, for which the client did not ask.

    Events are passed on when they are whole.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be passed on now."""
        *events, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(_END)
        return b"".join(event + _END for event in events if not _is_usage(event))

    def end(self) -> bytes:
        """Return the rest."""
        rest, self._rest = self._rest, b""
        return rest


def _is_usage(event: bytes) -> bool:
    text = event.strip()
    if not text.startswith(b"data:"):
        return False
    try:
        data = json.loads(text[5:])
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("choices") == [] and bool(data.get("usage"))
