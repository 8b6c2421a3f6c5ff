"""Keys stay in the environment: what would show one shows its variable instead."""

from __future__ import annotations

import json
import os
import re
from urllib.parse import urlsplit

__all__ = ["is_secret", "redact", "shown_url"]

_VARIABLE = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)S?(_ID)?$", re.IGNORECASE)
_PARAMETER = re.compile(
    r"api_?key|secret|passw|credential|header|(access|ad|auth|bearer|session|id)_?token|access_?key",
    re.IGNORECASE,
)
_SHORTEST = 6  # characters of a key; what is shorter stands in ordinary texts as well


def is_secret(name: str) -> bool:
    """Whether a parameter of this name may carry a key."""
    return _PARAMETER.search(name) is not None


def redact(text: str) -> str:
    """Return a text, or JSON, with ``$NAME`` for each key of the environment."""
    keys = {
        form: name
        for name, value in os.environ.items()
        if _VARIABLE.search(name) and len(value) >= _SHORTEST and not value.isdigit()
        for form in (value, json.dumps(value)[1:-1])
    }
    for form in sorted(keys, key=len, reverse=True):
        text = text.replace(form, f"${keys[form]}")
    return text


def shown_url(url: str) -> str:
    """Return a URL without user, password and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
