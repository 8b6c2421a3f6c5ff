"""Metrics in Prometheus' text format, read from the servers that offer them.

Only the addresses that are named are asked: no proxy, no redirection.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from pytest_a2perf.errors import InfraError
from pytest_a2perf.meters.sampler import Sampler

__all__ = ["Sample", "Scraper", "fetch", "parse"]

_MOST_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: ``name{labels} value``."""

    name: str
    labels: dict[str, str]
    value: float


def fetch(url: str, timeout: float) -> str:
    """Return what an address answers.

    Args:
        url: http or https.
        timeout: seconds after which it is given up, however slowly it trickles.

    Raises:
        InfraError: it does not answer, or not with 200.
    """
    parts = urlsplit(url)
    maker = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = maker(parts.hostname or "", parts.port, timeout=timeout)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.connect()
        with _limit(connection.sock, timeout):
            connection.request("GET", target, headers={"Accept": "text/plain;version=0.0.4"})
            with contextlib.closing(connection.getresponse()) as response:
                body = response.read(_MOST_BYTES + 1)
    except TimeoutError:
        raise InfraError(f"{url}: no answer within {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise InfraError(f"{url}: {str(error) or type(error).__name__}") from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise InfraError(f"{url}: answers with status {response.status}")
    if len(body) > _MOST_BYTES:
        raise InfraError(f"{url}: the answer is longer than {_MOST_BYTES // 2**20} MiB")
    if response.length:
        raise InfraError(f"{url}: the answer was cut off")
    return body.decode("utf-8", "replace")


@contextlib.contextmanager
def _limit(sock: socket.socket, seconds: float) -> Iterator[None]:
    """Give an exchange some time; a socket's own limit begins anew with each byte.

    Raises:
        TimeoutError: it took longer.
    """

    def cut() -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    watchdog = threading.Timer(seconds, cut)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        late = not watchdog.is_alive()
        watchdog.cancel()
        if late:
            raise TimeoutError


def parse(text: str, names: Collection[str]) -> list[Sample]:
    """Return the samples of some metrics.

    Lines of others are not looked at: an engine offers thousands, of which some dozens count. That
    leaves their types out as well, without which the parser keeps names as they are written.

    Args:
        text: in Prometheus' text format.
        names: as they stand in the lines, e.g. with ``_total`` or ``_bucket``.

    Raises:
        ValueError: a line cannot be read.
    """
    from prometheus_client.parser import text_string_to_metric_families

    lines = [line for line in text.split("\n") if line.partition("{")[0].partition(" ")[0] in names]
    return [
        Sample(sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families("\n".join(lines))
        for sample in family.samples
    ]


class Scraper:
    """Reads metrics from one address in a thread.

    Args:
        url: http or https.
        names: of the metrics, see `parse`.
        take: called with the monotonic time and the samples of each answer; never twice at once.
        interval: seconds between two readings.
        timeout: seconds after which an answer is given up.
    """

    def __init__(
        self,
        url: str,
        names: Collection[str],
        take: Callable[[float, list[Sample]], None],
        interval: float = 1.0,
        timeout: float = 2.0,
    ) -> None:
        self.url = url
        self.last = 0.0
        self._names = frozenset(names)
        self._take = take
        self._timeout = timeout
        self._sampler = Sampler(interval)
        self._lock = threading.Lock()

    def scrape(self) -> None:
        """Read once.

        Raises:
            InfraError: there is no answer, or it cannot be read.
        """
        with self._lock:
            asked = time.monotonic()
            text = fetch(self.url, self._timeout)
            at = (asked + time.monotonic()) / 2
            try:
                samples = parse(text, self._names)
            except ValueError as error:
                raise InfraError(f"{self.url}: not in Prometheus' text format: {error}") from None
            self._take(at, samples)
            self.last = at

    def try_scrape(self) -> None:
        """Read once; what fails is left out, and shows as a gap."""
        with contextlib.suppress(InfraError):
            self.scrape()

    def start(self) -> None:
        """Read from now on."""
        self._sampler.add(self.try_scrape)

    def stop(self) -> None:
        """Read no more."""
        self._sampler.remove(self.try_scrape)

    def reach(self, end: float) -> None:
        """Read once more while running, unless that was done after ``end``."""
        if self.last < end and self._sampler.running:
            self.try_scrape()
