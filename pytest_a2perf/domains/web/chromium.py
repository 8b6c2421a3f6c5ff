"""The engine that shows the pages in a real, headless Chromium."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_a2perf.domains.web.browser import find_chromium
from pytest_a2perf.domains.web.devtools import DevTools
from pytest_a2perf.domains.web.engine import SCREEN, State
from pytest_a2perf.domains.web.html import site_html
from pytest_a2perf.domains.web.server import PageServer
from pytest_a2perf.errors import InfraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_a2perf.domains.web.site import Site

__all__ = ["FLAGS", "ChromiumEngine", "make_engine"]

FLAGS = (
    "--headless",
    "--no-sandbox",  # it shows our own pages only, and a container often has no name spaces
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--mute-audio",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-startup-window",  # the window of our page is enough; its own would load a start page
    "--disable-breakpad",
    "--disable-extensions",
    # Nothing outside is asked for: no names are resolved, no services of Google's are called.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-features=MediaRouter,OptimizationHints,Translate",
    "--metrics-recording-only",
    "--password-store=basic",
    # A page that nobody looks at is as fast as any other, and none is kept for going back.
    "--disable-back-forward-cache",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)
"""Arguments of Chromium."""


class ChromiumEngine:
    """Sites in Chromium, served on the loopback interface; see `engine.Engine`.

    Args:
        executable: path or name of Chromium; default: the system's.
        timeout: seconds that a page may take to load, and an action to be done.

    Raises:
        InfraError: Chromium is not here, or does not start.
    """

    def __init__(self, executable: str | None = None, timeout: float = 30.0) -> None:
        self._site: Site | None = None
        self.devtools = DevTools([find_chromium(executable), *FLAGS], timeout)
        self._server = PageServer()
        height, width = SCREEN
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools.call("Emulation.setDeviceMetricsOverride", **screen)

    def load(self, site: Site) -> State:
        """Show the first page of a site, with nothing filled in.

        Raises:
            InfraError: it does not load, or Chromium has ended.
        """
        if self._site is None or self._site.design != site.design:
            self._show(site)
        return _state(self.devtools.evaluate("a2perf.reset()"))

    def act(self, index: int, text: str) -> State:
        """Act on an element of the page shown, see `engine.Engine.act`.

        Raises:
            InfraError: the page or Chromium has crashed, or takes too long.
        """
        return _state(self.devtools.evaluate(f"a2perf.act({index}, {json.dumps(text)})"))

    def screenshot(self) -> NDArray[np.uint8]:
        """Return the page as it is seen, in RGB, of shape (height, width, 3) with `SCREEN`'s size.

        Raises:
            InfraError: Pillow is missing, or Chromium has ended.
        """
        try:
            from PIL import Image
        except ModuleNotFoundError:
            raise InfraError("screenshots need Pillow: pip install 'pytest-a2perf[web]'") from None
        shot = self.devtools.call("Page.captureScreenshot", format="png", optimizeForSpeed=True)
        with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as image:
            return np.asarray(image.convert("RGB"))

    def _show(self, site: Site) -> None:
        document = site_html(site)
        url = self._server.serve(document)
        first, self._site = self._site is None, None  # what is shown is unknown if this raises
        if first:
            self.devtools.navigate(url)
        else:  # a navigation takes four times as long
            script = "document.open(); document.write({}); document.close()"
            self.devtools.evaluate(script.format(json.dumps(document)))
        self._site = site

    def close(self) -> None:
        """End Chromium and the server."""
        self.devtools.close()
        self._server.close()


def make_engine(**options: Any) -> ChromiumEngine:
    """Make the engine; see `ChromiumEngine` for what ``options`` may hold.

    Raises:
        InfraError: there is no such option, Chromium is not here, or does not start.
    """
    try:
        return ChromiumEngine(**options)
    except TypeError as error:
        raise InfraError(f"engine_options: {error}") from None


def _state(shown: dict[str, Any]) -> State:
    return State(shown["page"], tuple(shown["values"]), shown["submitted"], shown["changed"])
