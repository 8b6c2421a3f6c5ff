"""A page as text, for language models and for ``render_mode="ansi"``."""

from __future__ import annotations

from pytest_a2perf.domains.web.engine import State
from pytest_a2perf.domains.web.profile import Profile
from pytest_a2perf.domains.web.site import Element, Page, Site

__all__ = ["page_text", "profile_text"]

_HEADINGS = {"h2", "h3"}


def page_text(site: Site, state: State) -> str:
    """Return what the page shown says, one line for each element that means something.

    Lines begin with the element's index, as ``[4] textbox "First name" = "Maria"``.
    """
    page = site.pages[state.page]
    values = {
        element.index: value for element, value in zip(page.controls, state.values, strict=True)
    }
    labels = {element.control: element.text for element in page.elements if element.tag == "label"}
    lines = [f"Page {state.page + 1} of {len(site.pages)}"]
    for element in page.elements:
        line = _line(page, element, labels.get(element.index, ""), values.get(element.index, ""))
        if line:
            lines.append(f"[{element.index}] {line}")
    if state.submitted:
        lines.append("Thank you, all is sent.")
    return "\n".join(lines)


def profile_text(profile: Profile) -> str:
    """Return a profile, one line for each field."""
    return "\n".join(f"{field}: {text}" for field, text in profile.items())


def _line(page: Page, element: Element, label: str, value: str) -> str:
    match element.kind:
        case "text":
            hint = element.attributes.get("placeholder")
            return f'textbox "{label}"{f" ({hint})" if hint else ""} = "{value}"'
        case "select":
            return f'list "{label}" of {", ".join(element.options[1:])} = "{value}"'
        case "checkbox":
            return f'checkbox "{label}" is {"on" if value else "off"}'
        case "radio":
            legend = page.elements[element.parent + 1].text
            return f'radio "{legend}: {label}" is {"on" if value else "off"}'
        case "button" | "next":
            return f'button "{element.text}"'
        case "link":
            return f'link "{element.text}"'
        case _:
            # What labels say stands with what they label.
            if element.tag in {"label", "legend"} or not element.text:
                return ""
            return f'{"heading" if element.tag in _HEADINGS else "text"} "{element.text}"'
