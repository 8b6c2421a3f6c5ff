"""Profiles: what a user would fill in, one text for each field."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np

from pytest_a2perf.domains.web.engine import TICKED
from pytest_a2perf.domains.web.errors import WebError
from pytest_a2perf.domains.web.primitives import FILLABLE, PRIMITIVES, STATES
from pytest_a2perf.suggest import did_you_mean

__all__ = ["POOLS", "Profile", "change_profile", "draw_profile"]

Profile = Mapping[str, str]
"""Text of each field, in the order of `FILLABLE`."""

_AIRPORTS = ("Boston", "Chicago", "Denver", "Houston", "Miami", "Phoenix", "Portland", "Seattle")
POOLS: Mapping[str, tuple[str, ...]] = {
    "firstname": ("Amara", "Chen", "Elena", "Farid", "Greta", "Ivan", "Maria", "Noor", "Tomas"),
    "lastname": ("Adeyemi", "Berg", "Costa", "Haddad", "Kim", "Lopez", "Novak", "Patel", "Weber"),
    "street": ("Cedar Street", "Hill Road", "Lake Avenue", "Maple Street", "Mill Lane", "Park Row"),
    "addressline2": ("Apartment 3", "Apartment 12", "Floor 2", "Floor 5", "Suite 40", "Unit 7"),
    "city": ("Ashland", "Fairview", "Georgetown", "Greenville", "Madison", "Salem", "Springfield"),
    "state": STATES,
    "airport": _AIRPORTS,
}
"""Texts that profiles are drawn from; numbers and dates are drawn freely."""
_FIRST_DAY = date(2026, 1, 1)


def draw_profile(rng: np.random.Generator) -> Profile:
    """Draw a user's profile."""

    def one(pool: tuple[str, ...]) -> str:
        return pool[int(rng.integers(len(pool)))]

    def digits(count: int) -> str:
        return "".join(map(str, rng.integers(10, size=count).tolist()))

    first, last = one(POOLS["firstname"]), one(POOLS["lastname"])
    origin, goal = rng.choice(len(_AIRPORTS), 2, replace=False).tolist()
    leaves = _FIRST_DAY + timedelta(days=int(rng.integers(330)))
    returns = leaves + timedelta(days=int(rng.integers(1, 28)))
    drawn = {
        "username": f"{first}.{last}{digits(2)}".lower(),
        "password": f"{one(POOLS['city'])}-{digits(4)}",
        "captcha": digits(4),
        "firstname": first,
        "lastname": last,
        "fullname": f"{first} {last}",
        "addressline1": f"{int(rng.integers(1, 1000))} {one(POOLS['street'])}",
        "zipcode": digits(5),
        "ccnumber": " ".join(digits(4) for _ in range(4)),
        "ccexpdate": f"{int(rng.integers(1, 13)):02}/{int(rng.integers(27, 36))}",
        "cccvv": digits(3),
        "departureairport": _AIRPORTS[origin],
        "destinationairport": _AIRPORTS[goal],
        "departuredate": leaves.isoformat(),
        "destinationdate": returns.isoformat(),
        "numberofpeople": str(int(rng.integers(1, 10))),
    }
    for field in FILLABLE:
        if field not in drawn:
            drawn[field] = one(POOLS.get(field) or _choices(field) or (TICKED,))
    return {field: drawn[field] for field in FILLABLE}


def change_profile(profile: Profile, changes: Mapping[str, Any]) -> Profile:
    """Return a profile with other texts for some fields.

    Raises:
        WebError: there is no such field, or no element of it could ever hold the text.
    """
    for field, text in changes.items():
        if field not in profile:
            raise WebError(f"profile: unknown field {field!r}{did_you_mean(field, FILLABLE)}")
        choices = _choices(field) or PRIMITIVES[field].root.children[-1].options
        if not choices and PRIMITIVES[field].root.children[0].kind == "checkbox":
            choices = (TICKED,)
        if choices and text not in choices:
            known = ", ".join(repr(choice) for choice in choices if choice)
            raise WebError(f"profile: {field} is {text!r}; known: {known}")
        if not isinstance(text, str) or not text.isprintable() or not text:
            raise WebError(f"profile: {field} is {text!r}; it must be a line of text")
    return {**profile, **changes}


def _choices(field: str) -> tuple[str, ...]:
    """Return the labels of a field's radios."""
    children = PRIMITIVES[field].root.children
    return tuple(child.attributes["value"] for child in children if child.kind == "radio")
