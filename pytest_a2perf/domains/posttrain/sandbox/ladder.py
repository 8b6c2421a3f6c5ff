"""Choose a sandbox: the best that works here, or the one that is asked for."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable

from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.sandbox.bubblewrap import Bubblewrap
from pytest_a2perf.domains.posttrain.sandbox.container import Container
from pytest_a2perf.domains.posttrain.sandbox.landlock import Landlock
from pytest_a2perf.domains.posttrain.sandbox.plain import Plain
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Limits, Probe, Sandbox

__all__ = ["choose", "probe", "probe_all"]

_MAKERS: dict[str, Callable[[], Sandbox]] = {
    "bubblewrap": Bubblewrap,
    "landlock": Landlock,
    "docker": functools.partial(Container, "docker"),
    "podman": functools.partial(Container, "podman"),
    "none": Plain,
}
_AUTOMATIC = ("bubblewrap", "landlock")
_START_LIMIT = 30.0
_REMEDY = (
    " (if user namespaces are blocked here: on Ubuntu load the AppArmor profile"
    " `bwrap-userns-restrict` or set the sysctl kernel.apparmor_restrict_unprivileged_userns=0;"
    " in a container they must be allowed from outside)"
)


def probe_all() -> list[Probe]:
    """Try every sandbox with a box that does nothing; what is found holds for this process."""
    return [probe(name) for name in _MAKERS]


@functools.cache
def probe(name: str) -> Probe:
    """Try one sandbox."""
    try:
        sandbox = _MAKERS[name]()
        with tempfile.TemporaryFile() as output:
            running = sandbox.start(Box(["true"], limits=Limits(wall=_START_LIMIT)), output)
            status = running.wait(_START_LIMIT)
            if status != 0:
                running.stop(0)
                output.seek(0)
                said = output.read(500).decode(errors="replace").strip()
                return Probe(name, works=False, why=f"`true` ended with {status} {said}")
    except SandboxError as error:
        blocked = name == "bubblewrap" and "cannot start" in str(error)
        return Probe(name, works=False, why=f"{error}{_REMEDY if blocked else ''}")
    return Probe(name, works=True)


def choose(wanted: str = "auto", *, allow_unisolated: bool = False) -> Sandbox:
    """Return a sandbox that works here.

    Args:
        wanted: ``auto`` for bubblewrap or else Landlock; or a name. Containers are used only if
            they are named.
        allow_unisolated: whether ``none`` may be had, by name or as the last resort.

    Raises:
        SandboxError: it does not work here, or is not known; the message says what is missing.
    """
    if wanted != "auto" and wanted not in _MAKERS:
        raise SandboxError(f"unknown sandbox {wanted!r}; there are: auto, {', '.join(_MAKERS)}")
    if wanted == "none" and not allow_unisolated:
        raise SandboxError("sandbox 'none' isolates nothing; it must be allowed explicitly")
    names = (wanted,) if wanted != "auto" else _AUTOMATIC
    if wanted == "auto" and allow_unisolated:
        names = (*names, "none")
    tried = []
    for name in names:
        found = probe(name)
        if found.works:
            return _MAKERS[name]()
        tried.append(f"{name}: {found.why}")
    raise SandboxError("no sandbox can be had here. " + "; ".join(tried))
