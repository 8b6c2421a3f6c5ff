"""A site as one HTML document that people, screen readers and browsers can use."""

from __future__ import annotations

from html import escape

from pytest_a2perf.domains.web.site import Element, Page, Site

__all__ = ["site_html"]

_VOID = "input"


def site_html(site: Site) -> str:
    """Return a document with all pages of a site, of which it shows one at a time.

    It asks for nothing outside itself. Its script defines ``window.a2perf``:

    - ``reset()`` shows the first page with nothing filled in;
    - ``act(index, text)`` does to an element of the page shown what a user would, see
      `pytest_a2perf.domains.web.engine.Engine.act`;
    - both return ``{page, values, submitted, changed}``, see
      `pytest_a2perf.domains.web.engine.State`;
    - ``state()`` returns ``{page, submitted, elements: [{index, tag, text, attributes, options,
      value, checked, visible}]}`` of the page shown, read from the DOM.
    """
    pages = "\n".join(_page(page, len(site.pages)) for page in site.pages)
    return _DOCUMENT.format(style=_STYLE, script=_SCRIPT, pages=pages)


def _page(page: Page, count: int) -> str:
    children: dict[int, list[Element]] = {}
    for element in page.elements:
        children.setdefault(element.parent, []).append(element)
    body = "\n".join(_element(element, children) for element in children[-1])
    hidden = " hidden" if page.number else ""
    label = f"Page {page.number + 1} of {count}"
    return f'<form class="page" novalidate aria-label="{label}"{hidden}>\n{body}\n</form>'


def _element(element: Element, children: dict[int, list[Element]]) -> str:
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in element.attributes.items())
    start = f"<{element.tag}{attributes}>"
    if element.tag == _VOID:
        return start
    inner = escape(element.text)
    inner += "".join(f"<option>{escape(option)}</option>" for option in element.options)
    inner += "".join(_element(child, children) for child in children.get(element.index, ()))
    return f"{start}{inner}</{element.tag}>"


_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>Example site</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header class="top"><h1>Example site</h1><p id="where" aria-live="polite"></p></header>
<main>
{pages}
<p id="done" role="status"></p>
</main>
<script>{script}</script>
</body>
</html>
"""

_STYLE = """
:root { color-scheme: light; --accent: #14539a; --line: #c9d1da; --soft: #f2f5f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--soft); color: #1b2430; font: 16px/1.5 system-ui, sans-serif; }
.top { background: #10243e; color: #fff; padding: .7rem 1.2rem; display: flex;
  justify-content: space-between; align-items: baseline; }
h1, h2, h3, p { margin: 0; } h1 { font-size: 1.15rem; } h2 { font-size: 1.35rem; }
h3 { font-size: 1rem; }
main { max-width: 46rem; margin: 1.2rem auto; padding: 0 1rem; }
.page { background: #fff; border: 1px solid var(--line); border-radius: .6rem; padding: 1.2rem;
  display: flex; flex-direction: column; gap: .9rem; }
.page[hidden] { display: none; }
a { color: var(--accent); } a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid #f0a202; outline-offset: 2px; }
label, legend { font-weight: 600; font-size: .95rem; }
.field { display: flex; flex-direction: column; gap: .2rem; max-width: 24rem; }
.choice, .choices, .search, .navbar, .footer, .carousel { display: flex; gap: .6rem;
  align-items: center; flex-wrap: wrap; }
.choice label, .choices label { font-weight: 400; margin-right: .8rem; }
fieldset { border: 1px solid var(--line); border-radius: .4rem; margin: 0; max-width: 24rem; }
input:not([type=checkbox]):not([type=radio]), select { font: inherit; padding: .4rem .6rem;
  border: 1px solid #6b7887; border-radius: .4rem; background: #fff; }
input::placeholder { color: #5d6875; }
.search { background: var(--soft); padding: .6rem; border-radius: .4rem; }
.search input { flex: 1; min-width: 8rem; }
button { font: inherit; font-weight: 600; padding: .45rem 1rem; border-radius: .4rem;
  border: 1px solid var(--accent); background: #fff; color: var(--accent); cursor: pointer; }
button[type=submit] { background: var(--accent); color: #fff; align-self: flex-start; }
.navbar, .footer { gap: 1.2rem; padding: .5rem .8rem; background: #e6ecf4; border-radius: .4rem; }
.footer { background: none; border-top: 1px solid var(--line); border-radius: 0; }
.carousel { padding: 1rem .8rem; border-radius: .4rem;
  background: linear-gradient(100deg, #dce9f8, #f8ecd8); }
.deal, .cart { border-left: .3rem solid var(--accent); padding: .4rem .9rem; background: #f8fafc; }
.cart a { display: block; }
.deck { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .7rem; }
.card { border: 1px solid var(--line); border-radius: .4rem; padding: .7rem; }
.card::before { content: ""; display: block; height: 4rem; margin-bottom: .5rem;
  border-radius: .3rem; background: linear-gradient(135deg, #bcd3ee, #eef3f9); }
#done { margin-top: 1rem; font-weight: 600; color: #0b5d2a; }
"""

_SCRIPT = """
"use strict";
window.a2perf = (() => {
  const forms = [...document.querySelectorAll("form.page")];
  const own = form => [...form.querySelectorAll("*")].filter(e => e.tagName !== "OPTION");
  const elements = forms.map(own);
  const ticked = element => element.type === "checkbox" || element.type === "radio";
  const controls = elements.map(
    list => list.filter(e => e.tagName === "INPUT" || e.tagName === "SELECT"));
  const value = e => ticked(e) ? (e.checked ? "yes" : "") : e.value;
  let page = 0, submitted = false;

  const show = number => {
    page = number;
    forms.forEach((form, other) => { form.hidden = other !== page; });
    document.getElementById("where").textContent = forms[page].getAttribute("aria-label");
    document.getElementById("done").textContent = submitted ? "Thank you, all is sent." : "";
  };
  const brief = changed =>
    ({ page, values: controls[page].map(value), submitted, changed });

  forms.forEach((form, number) => {
    form.addEventListener("submit", event => {
      event.preventDefault();
      submitted = number === forms.length - 1;
      show(submitted ? number : number + 1);
    });
    form.addEventListener("click", event => {
      if (event.target.tagName === "A") event.preventDefault();
    });
    for (const search of form.querySelectorAll("[role=search] input")) {
      search.addEventListener("keydown", event => {
        if (event.key === "Enter") event.preventDefault();
      });
    }
  });

  const reset = () => {
    forms.forEach(form => form.reset());
    submitted = false;
    show(0);
    return brief(true);
  };
  const act = (index, text) => {
    const element = elements[page][index];
    const before = JSON.stringify(brief(false));
    const types = element.tagName === "INPUT" && !ticked(element);
    if (types || element.tagName === "SELECT") {
      element.focus();
      if (types || [...element.options].some(option => option.text === text)) {
        element.value = text;
        element.dispatchEvent(new Event("input", { bubbles: true }));
        element.dispatchEvent(new Event("change", { bubbles: true }));
      }
    } else if (ticked(element) || element.tagName === "A" || element.tagName === "BUTTON") {
      element.focus();
      element.click();
    }
    return brief(before !== JSON.stringify(brief(false)));
  };
  const state = () => ({
    page, submitted,
    elements: elements[page].map((e, index) => ({
      index,
      tag: e.tagName.toLowerCase(),
      text: e.children.length ? "" : e.textContent,
      attributes: Object.fromEntries([...e.attributes].map(a => [a.name, a.value])),
      options: e.tagName === "SELECT" ? [...e.options].map(option => option.text) : [],
      value: "value" in e ? e.value : "",
      checked: Boolean(e.checked),
      visible: e.getClientRects().length > 0,
    })),
  });
  reset();
  return { reset, act, state };
})();
"""
