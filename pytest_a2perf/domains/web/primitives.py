"""The 40 primitives that sites are made of: 24 that are filled in, 16 that are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_a2perf.domains.web.nodes import Kind, Node

__all__ = ["FILLABLE", "PASSIVE", "PRIMITIVES", "STATES", "TRANSITIONS", "Primitive"]

STATES = ("California", "Colorado", "Illinois", "New York", "Oregon", "Texas", "Washington")


@dataclass(frozen=True, slots=True)
class Primitive:
    """A part of a page.

    Attributes:
        name: as in designs.
        root: its elements.
        fillable: whether the user's profile has a field of that name for it.
    """

    name: str
    root: Node
    fillable: bool

    @property
    def size(self) -> int:
        """Number of its DOM elements."""
        return _size(self.root)

    @property
    def transition(self) -> bool:
        """Whether it leaves the page."""
        return self.root.kind == "next"


def _size(node: Node) -> int:
    return 1 + sum(map(_size, node.children))


def _group(tag: str, *children: Node, css: str, **attributes: str) -> Node:
    named = {name.replace("_", "-"): value for name, value in attributes.items()}
    return Node(tag, attributes={"class": css, **named}, children=children)


def _text(
    name: str, label: str, *, kind: str = "text", placeholder: str = "", autocomplete: str = "off"
) -> Node:
    attributes = {"type": kind, "id": f"{name}-#", "name": name, "autocomplete": autocomplete}
    if placeholder:
        attributes["placeholder"] = placeholder
    return _group(
        "div",
        Node("label", label, attributes={"for": f"{name}-#"}),
        Node("input", kind="text", attributes=attributes),
        css="field",
    )


def _checkbox(name: str, label: str) -> Node:
    return _group(
        "div",
        Node(
            "input",
            kind="checkbox",
            attributes={"type": "checkbox", "id": f"{name}-#", "name": name, "value": "yes"},
        ),
        Node("label", label, attributes={"for": f"{name}-#"}),
        css="choice",
    )


def _radios(name: str, legend: str, *labels: str) -> Node:
    children = [Node("legend", legend)]
    for number, label in enumerate(labels):
        same = f"{name}-#-{number}"
        attributes = {"type": "radio", "id": same, "name": f"{name}-#", "value": label}
        children += [
            Node("input", kind="radio", attributes=attributes),
            Node("label", label, attributes={"for": same}),
        ]
    return _group("fieldset", *children, css="choices")


def _select(name: str, label: str, options: tuple[str, ...]) -> Node:
    return _group(
        "div",
        Node("label", label, attributes={"for": f"{name}-#"}),
        Node(
            "select",
            kind="select",
            attributes={"id": f"{name}-#", "name": name},
            options=("", *options),
        ),
        css="field",
    )


def _link(text: str) -> Node:
    return Node("a", text, "link", {"href": "#"})


def _button(text: str, kind: Kind = "button") -> Node:
    return Node("button", text, kind, {"type": "submit" if kind == "next" else "button"})


def _card(title: str, price: str) -> Node:
    return _group(
        "article", Node("h3", title), Node("p", price), _link(f"View {title.lower()}"), css="card"
    )


_FILLABLE: Mapping[str, Node] = {
    "username": _text("username", "User name", placeholder="name", autocomplete="username"),
    "password": _text("password", "Password", kind="password", autocomplete="current-password"),
    "rememberme": _checkbox("rememberme", "Remember me"),
    "captcha": _text("captcha", "Enter captcha"),
    "stayloggedin": _checkbox("stayloggedin", "Stay logged in"),
    "firstname": _text("firstname", "First name", autocomplete="given-name"),
    "lastname": _text("lastname", "Last name", autocomplete="family-name"),
    "fullname": _text("fullname", "Full name", autocomplete="name"),
    "addressline1": _text("addressline1", "Address", autocomplete="address-line1"),
    "addressline2": _text(
        "addressline2",
        "Address, second line",
        placeholder="Apartment or floor",
        autocomplete="address-line2",
    ),
    "city": _text("city", "City", autocomplete="address-level2"),
    "zipcode": _text("zipcode", "ZIP code", placeholder="12345", autocomplete="postal-code"),
    "state": _select("state", "State", STATES),
    "cc": _radios("cc", "Payment", "Credit card", "Debit card"),
    "ccnumber": _text("ccnumber", "Card number", autocomplete="cc-number"),
    "ccexpdate": _text("ccexpdate", "Expiration date", placeholder="MM/YY", autocomplete="cc-exp"),
    "cccvv": _text("cccvv", "Security code", autocomplete="cc-csc"),
    "departureairport": _text("departureairport", "From", placeholder="Airport"),
    "destinationairport": _text("destinationairport", "To", placeholder="Airport"),
    "departuredate": _text("departuredate", "Depart", placeholder="YYYY-MM-DD"),
    "destinationdate": _text("destinationdate", "Return", placeholder="YYYY-MM-DD"),
    "numberofpeople": _text("numberofpeople", "Number of passengers"),
    "cabin": _radios("cabin", "Cabin", "Economy", "First"),
    "flighttype": _radios("flighttype", "Trip", "One way", "Round trip"),
}

_PASSIVE: Mapping[str, Node] = {
    "navbar": _group(
        "nav",
        *map(_link, ("Home", "Login", "Account", "Cart", "Checkout")),
        css="navbar",
        aria_label="Main",
    ),
    "carousel": _group(
        "section",
        _button("Previous"),
        *map(_link, ("Spring sale", "New arrivals", "Top rated", "Last chance", "Gift cards")),
        _button("Next slide"),
        css="carousel",
        aria_label="Offers",
    ),
    "dealmedia": _group(
        "section",
        Node("h3", "Deal of the day"),
        Node("p", "Gaming workstation"),
        _link("Get it today!"),
        css="deal",
        aria_label="Deal of the day",
    ),
    "deck": _group(
        "section",
        *(
            _card(title, price)
            for title, price in (
                ("Desk lamp", "$24.99"),
                ("Backpack", "$49.00"),
                ("Headphones", "$89.50"),
                ("Water bottle", "$12.75"),
            )
        ),
        css="deck",
        aria_label="Products",
    ),
    "cart": _group(
        "section",
        Node("h3", "Your cart"),
        *map(_link, ("Shoes", "Bag", "T-shirt")),
        Node("p", "Total $118.40"),
        css="cart",
        aria_label="Cart",
    ),
    "header": Node("h2", "Shipping information"),
    "header_login": Node("h2", "Login"),
    "header_select_items": Node("h2", "Select items"),
    "forgotusername": _link("Forgot user name?"),
    "forgotpassword": _link("Forgot password?"),
    "inpgroup1": _group(
        "div",
        Node("label", "Search", attributes={"for": "search-#"}),
        Node(
            "input",
            kind="text",
            attributes={
                "type": "text",
                "id": "search-#",
                "name": "search",
                "autocomplete": "off",
                "placeholder": "What are you looking for?",
            },
        ),
        _button("Go"),
        css="search",
        role="search",
    ),
    "footer1": _group(
        "footer", *map(_link, ("Contact", "Terms", "Support", "Full site")), css="footer"
    ),
    "next_login_page": _button("Log in", "next"),
    "next_login": _button("Log in and check out", "next"),
    "next_checkout": _button("Check out", "next"),
    "submit": _button("Place order", "next"),
}

FILLABLE = tuple(_FILLABLE)
"""Names of the primitives that are filled in, which are the fields of a profile."""
PASSIVE = tuple(_PASSIVE)
PRIMITIVES: Mapping[str, Primitive] = {
    **{name: Primitive(name, root, fillable=True) for name, root in _FILLABLE.items()},
    **{name: Primitive(name, root, fillable=False) for name, root in _PASSIVE.items()},
}
"""By their names, which are A2Perf's."""
TRANSITIONS = tuple(name for name in PASSIVE if PRIMITIVES[name].transition)
"""Those that go to the next page, and submit on the last one."""
