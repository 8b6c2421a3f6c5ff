"""Server-sent events out of pieces that may be cut anywhere."""

from __future__ import annotations

__all__ = ["EventSplitter", "EventsError"]

_MOST = 1 << 24


class EventsError(Exception):
    """The stream cannot be read."""


class EventSplitter:
    """Collects the data of events; comments and other fields are passed over."""

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()  # a line that is not complete
        self._data: list[bytes] = []  # of an event that is not complete

    @property
    def idle(self) -> bool:
        """Whether no event is half done."""
        return not self._rest and not self._data

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of the events that a piece completes.

        Raises:
            EventsError: a line is longer than 16 MiB.
        """
        if (  # nearly always a piece is one whole event of a line
            piece[:6] == b"data: "
            and piece.find(b"\n") == len(piece) - 2
            and piece[-1:] == b"\n"
            and b"\r" not in piece
            and not self._rest
            and not self._data
        ):
            return [piece[6:-2]]
        held = self._rest.endswith(b"\r")
        self._rest += piece
        if b"\n" not in piece and b"\r" not in piece and not held:
            if len(self._rest) > _MOST:
                raise EventsError("an event of the stream is longer than 16 MiB")
            return []
        lines = bytes(self._rest).splitlines(keepends=True)
        # A carriage return at the end may be the first half of a line's end.
        whole = lines[-1].endswith(b"\n")
        self._rest = bytearray() if whole else bytearray(lines.pop())
        return self._data_of(lines)

    def close(self) -> list[bytes]:
        """Return the data of an event that the stream's end left without its empty line."""
        lines, self._rest = bytes(self._rest).splitlines(), bytearray()
        return self._data_of([*lines, b""])

    def _data_of(self, lines: list[bytes]) -> list[bytes]:
        return [data for line in lines if (data := self._line(line.rstrip(b"\r\n"))) is not None]

    def _line(self, line: bytes) -> bytes | None:
        if not line:
            if not self._data:
                return None
            data = b"\n".join(self._data)
            self._data.clear()
            return data
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        return None
