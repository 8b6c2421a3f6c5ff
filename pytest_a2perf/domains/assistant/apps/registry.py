"""Which classes of apps scenarios can ask for, and how their apps are made."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.assistant.apps.app import App, Clock
from pytest_a2perf.domains.assistant.apps.attachments import connect
from pytest_a2perf.domains.assistant.errors import ToolError, TraceError
from pytest_a2perf.domains.assistant.trace.models import App as AppSpec
from pytest_a2perf.suggest import did_you_mean

__all__ = ["CLASSES", "app_class", "connect", "make_app"]

_HERE = "pytest_a2perf.domains.assistant.apps"
_MODULES = {
    "app:App": ("App",),
    "user_interface:AgentUserInterface": ("AgentUserInterface",),
    "system:SystemApp": ("SystemApp",),
    "email:EmailClientV2": ("EmailClientV2", "Mail"),
    "messaging:MessagingAppV2": ("MessagingAppV2",),
    "contacts:ContactsApp": ("ContactsApp", "Contacts", "InternalContacts"),
    "calendar:CalendarApp": ("CalendarApp", "Calendar"),
    "shopping:ShoppingApp": ("ShoppingApp", "Shopping"),
    "cab:CabApp": ("CabApp",),
    "apartments:ApartmentListingApp": ("ApartmentListingApp", "RentAFlat"),
    "city:CityApp": ("CityApp",),
    "files:Files": ("SandboxLocalFileSystem", "Files"),
    "virtual_files:VirtualFileSystem": ("VirtualFileSystem",),
}
CLASSES: Mapping[str, str] = {
    name: f"{_HERE}.{place}" for place, names in _MODULES.items() for name in names
}
"""Where each class is, as ``module:Class``, by the name under which scenarios ask for it."""
_ON_DISK = {"SandboxLocalFileSystem", "Files"}


def app_class(name: str) -> type[App]:
    """Return the class that scenarios ask for by a name.

    Raises:
        TraceError: there is none.
    """
    if name not in CLASSES:
        raise TraceError(f"unknown class of apps {name!r}{did_you_mean(name, CLASSES)}")
    module, _, attribute = CLASSES[name].partition(":")
    found: type[App] = getattr(importlib.import_module(module), attribute)
    return found


def make_app(spec: AppSpec, clock: Clock, seed: int, files: Path | None) -> App:
    """Return an app as a scenario describes it; without a state, it holds nothing.

    Args:
        spec: the description.
        clock: tells the simulated time.
        seed: of the world.
        files: folder in which an app may keep files on disk, or None: one of its own.

    Raises:
        TraceError: there is no such class, or it cannot hold such a state; names app and key.
    """
    class_name = spec.class_name or spec.name
    options: dict[str, Any] = {"files": files} if class_name in _ON_DISK else {}
    try:
        cls = app_class(class_name)
        app = cls(spec.name, clock, seed=seed, app_class=class_name, **options)
        _load(app, spec.app_state or {})
    except TraceError as error:
        raise TraceError(f"app {spec.name!r}: {error}") from error.__cause__
    return app


def _load(app: App, state: dict[str, Any]) -> None:
    try:
        if state:
            app.load_state(state)
    except (AttributeError, KeyError, ToolError, TypeError, ValueError) as error:
        raise TraceError(f"cannot take over its state: {error!r}") from error
