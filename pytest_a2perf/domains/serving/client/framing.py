"""Where a reply of HTTP/1.1 begins and ends, in bytes that may be cut anywhere."""

from __future__ import annotations

__all__ = ["Framing", "FramingError"]

_MOST_HEAD = 1 << 16
_MOST_LINE = 1 << 14
_HEAD, _CHUNKS, _LENGTH, _CLOSE = range(4)


class FramingError(Exception):
    """The bytes are no reply of HTTP/1.1."""


class Framing:
    """Takes in the bytes of one reply, and hands out its body.

    Attributes:
        status: of the reply; 0 until its head is complete.
        headers: with names in lower case.
        done: the reply is complete.
        keep_alive: the connection can be used again.
        seen: any byte has come.
    """

    __slots__ = (
        "_left", "_mode", "_rest", "_trailer", "done", "headers", "keep_alive", "seen", "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False
        self.keep_alive = False
        self.seen = False
        self._mode = _HEAD
        self._rest = b""  # of a head or a line that is not complete
        self._left = 0  # bytes of the body, or of a chunk and the line end after it
        self._trailer = False

    def feed(self, data: bytes) -> bytes:
        """Take in bytes and return those of the body.

        Raises:
            FramingError: they are no reply.
        """
        if self._mode == _CHUNKS:
            if not self._left and not self._rest:
                # Nearly always a read is one whole chunk.
                line = data.find(b"\r\n")
                try:
                    size = int(data[:line], 16)
                except ValueError:
                    return self._chunks(data)
                if 0 < size == len(data) - line - 4 and data.endswith(b"\r\n"):
                    return data[line + 2 : -2]
            return self._chunks(data)
        if self._mode == _LENGTH:
            return self._counted(data)
        if self._mode == _CLOSE:
            return data
        return self._head(data)

    def close(self) -> bool:
        """Take in that the connection was closed; return whether the reply is complete."""
        if self._mode == _CLOSE:
            self.done = True
        return self.done

    def _head(self, data: bytes) -> bytes:
        self.seen = True
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head, self._rest = self._rest[:end], self._rest[end + 4 :]
            self._parse(head)
            if self.status >= 200:
                body, self._rest = self._rest, b""
                self._choose()
                return self.feed(body) if body or self.done else b""
            self.status = 0  # 100 Continue and its like: the reply proper follows
        if len(self._rest) > _MOST_HEAD:
            raise FramingError(f"the head of the reply is longer than {_MOST_HEAD} bytes")
        return b""

    def _parse(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0") or not (code.isdecimal() and len(code) == 3):
            raise FramingError(f"not a reply of HTTP/1.1: {first[:80]!r}")
        self.status = int(code)
        self.headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise FramingError(f"not a header: {line[:80]!r}")
            self.headers[name.strip().lower()] = value.strip()
        connection = self.headers.get("connection", "").lower()
        stays = "keep-alive" in connection if version == "HTTP/1.0" else "close" not in connection
        self.keep_alive = stays

    def _choose(self) -> None:
        """Decide how the end of the body is told."""
        coding = self.headers.get("transfer-encoding", "").lower()
        length = self.headers.get("content-length")
        if self.status in (204, 304):
            self._mode, self.done = _LENGTH, True
        elif coding.endswith("chunked"):
            self._mode = _CHUNKS
        elif length is not None and not coding:
            if not length.isdecimal():
                raise FramingError(f"content-length is {length[:40]!r}")
            self._mode, self._left = _LENGTH, int(length)
            self.done = self._left == 0
        else:
            self._mode, self.keep_alive = _CLOSE, False

    def _counted(self, data: bytes) -> bytes:
        if len(data) > self._left:  # more than was announced: who knows what comes next
            self.keep_alive = False
            data = data[: self._left]
        self._left -= len(data)
        self.done = self._left == 0
        return data

    def _chunks(self, data: bytes) -> bytes:
        out: list[bytes] = []
        at = 0
        while at < len(data):
            if self.done:
                self.keep_alive = False
                break
            if self._left > 2:
                part = data[at : at + self._left - 2]
                out.append(part)
                at += len(part)
                self._left -= len(part)
            elif self._left:
                if data[at] != b"\r\n"[2 - self._left]:
                    raise FramingError("a chunk does not end where it should")
                at += 1
                self._left -= 1
            else:
                end = data.find(b"\n", at)
                line = self._rest + (data[at:] if end < 0 else data[at:end])
                if len(line) > _MOST_LINE:
                    raise FramingError("a line between chunks is too long")
                if end < 0:
                    self._rest = line
                    break
                at, self._rest = end + 1, b""
                self._line(line.rstrip(b"\r"))
        return out[0] if len(out) == 1 else b"".join(out)

    def _line(self, line: bytes) -> None:
        """Take in the line before a chunk, or one of those after the last."""
        if self._trailer:
            self.done = not line
            return
        digits = line.partition(b";")[0].strip()
        try:
            size = int(digits, 16) if digits.isalnum() else -1
        except ValueError:
            size = -1
        if size < 0:
            raise FramingError(f"not the size of a chunk: {line[:40]!r}")
        self._trailer = size == 0
        self._left = size + 2 if size else 0
