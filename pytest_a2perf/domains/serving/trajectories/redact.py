"""Finds what tells who, where and what in a text: one expression, and what to do with each find."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pytest_a2perf.domains.serving.trajectories.names import Pseudonyms

__all__ = ["Redactor", "user_names"]

# Texts of tools often hold escaped line ends, and what follows one begins a word. Each pattern can
# begin only once in a run of its letters, so that long rules of dashes cost no time.
_ESCAPED = r"(?<=\\[nrt]))(?!(?<=\\)[nrt])"
_BEGIN = r"(?:(?<![A-Za-z0-9_])|" + _ESCAPED
_BEGIN_PATH = r"(?:(?<![\w.@+-])|" + _ESCAPED
_BEGIN_NAME = r"(?:(?<![A-Za-z0-9])|" + _ESCAPED
_SEGMENT = r"[\w.@+-]+"
_EXTENSIONS = (
    "bash|bat|c|cc|cfg|conf|cpp|cs|css|csv|db|diff|env|go|gz|h|hpp|html|ini|ipynb|java|js|json|"
    "jsonl|jsx|key|kt|lock|log|lua|md|patch|pdf|pem|php|pl|png|ps1|py|pyi|rb|rs|rst|scala|sh|sql|"
    "svg|swift|tar|toml|ts|tsv|tsx|txt|vue|xml|yaml|yml|zip"
)
_DOMAINS = (
    "ai|app|au|be|biz|br|ca|ch|cloud|cn|co|com|corp|cz|de|dev|dk|edu|es|eu|fi|fr|gov|hu|ie|"
    "il|in|intra|internal|io|it|jp|kr|lan|local|mil|net|nl|no|nz|org|pl|pt|ru|se|sh|tech|tw|"
    "uk|us|xyz|za"
)
_PATTERNS = {
    "block": (
        _BEGIN
        + r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    ),
    "token": _BEGIN + (
        r"(?:eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(?:sk|pk|rk)[-_][\w-]{12,}|gh[oprsu]_\w{16,}"
        r"|github_pat_\w{16,}|glpat-[\w-]{12,}|xox[a-z]-[\w-]{8,}|A[KS]IA[0-9A-Z]{12,}"
        r"|AIza[\w-]{20,}|(?:hf|npm)_\w{16,}|pypi-[\w-]{16,})"
    ),
    "named": _BEGIN + (
        r"(?i:(?P<before>[\w-]{0,40}(?:api[_-]?key|passw(?:or)?d|passphrase|secret|token"
        r"|authorization)[\w-]{0,40}(?:\\?[\"'])?\s*[:=]\s*(?:\\?[\"'])?(?:(?:bearer|basic)\s+)?"
        r"|(?:bearer|basic)\s+))"
        r"(?P<value>[^\s\"'`,;()\[\]{}<>\\]{4,}+)(?![(\[])"
    ),
    "url": _BEGIN + r"[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s\"'`<>\\)\]}]+",
    "mail": _BEGIN_PATH + r"[\w.+-]+@[A-Za-z0-9][\w.-]*\w",
    "uuid": _BEGIN + r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
    "ipv4": _BEGIN + r"\d{1,3}(?:\.\d{1,3}){3}(?![\w.])",
    "ipv6": _BEGIN + (
        r"(?:(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}"
        r"|(?:[0-9a-fA-F]{1,4}:){1,6}(?::[0-9a-fA-F]{1,4}){1,6})"
    ),
    "windows": _BEGIN + (
        r"[A-Za-z]:(?:\\{1,2}[^\\/:*?\"<>|\r\n]+(?=\\))*\\{1,2}[^\\/:*?\"<>|\s]*"
    ),
    "path": _BEGIN_PATH + (
        rf"(?<!<)(?:~?/{_SEGMENT}(?:/{_SEGMENT})*|{_SEGMENT}(?:/{_SEGMENT})+)"
    ),
    "file": _BEGIN_PATH + rf"[\w+-][\w.+-]*\.(?:{_EXTENSIONS})(?!\w)",
    "host": _BEGIN_PATH + rf"(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+(?:{_DOMAINS})(?![\w(\[-])",
    "random": _BEGIN_PATH + r"[A-Za-z0-9+_-]{16,}={0,2}",
}  # fmt: skip
_USER = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\{1,2}Users\\{1,2})(\w[\w.-]*)")
_KEPT = frozenset(
    (  # noqa: SIM905 - a column of 40 lines else
        ". .. bin build dev dist docs etc example examples home include lib lib64 local log main "
        "node_modules opt proc root site-packages src sys test tests tmp usr users var localhost "
        "example.com example.net example.org"
    ).split()
)
"""Names that say nothing; paths keep them, so that they still look like paths."""
_ANYBODY = frozenset(
    "admin app home node public root runner shared ubuntu user users".split()  # noqa: SIM905
)
_NO_VALUES = frozenset(
    "boolean bytes false none null number optional required self string true undefined".split()  # noqa: SIM905
)
_NO_HOST = ("127.", "0.")
_ENDING = re.compile(rf"\.(?:{_EXTENSIONS})$")
_DOMAIN = re.compile(rf"\.(?:{_DOMAINS})$")
_MIXED = re.compile(r"(?<=[A-Za-z])[0-9]|(?<=[0-9])[A-Za-z]")
_BETWEEN = re.compile(r"([/\\?&#=:@]+)")


def user_names(text: str) -> set[str]:
    """Return the names of users that home folders in a text tell, less those that anybody has."""
    found = {name.strip(".") for name in _USER.findall(text)}
    return {name for name in found if len(name) > 1 and name.lower() not in _ANYBODY}


class Redactor:
    """Replaces what tells who, where and what, and leaves everything else.

    Args:
        pseudonyms: make the replacements.
        names: of people, machines or projects, replaced wherever they stand as words of their own.
    """

    def __init__(self, pseudonyms: Pseudonyms, names: Iterable[str] = ()) -> None:
        self._pseudonyms = pseudonyms
        patterns = [f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS.items()]
        wanted = sorted(set(filter(None, names)), key=lambda name: (-len(name), name))
        any_of = "|".join(map(re.escape, wanted)) or "(?!)"
        name = rf"{_BEGIN_NAME}(?i:{any_of})(?![A-Za-z0-9])"
        self._names = re.compile(name)
        self._expression = re.compile("|".join([*patterns, f"(?P<name>{name})"]), re.DOTALL)

    def redact(self, text: str) -> str:
        """Return a text of the same length in bytes without its secrets."""
        return self._expression.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        text = match[0]
        make = self._pseudonyms
        match match.lastgroup:
            case "block" | "token" | "uuid":
                return make.characters(text)
            case "named" if match["value"].lower() not in _NO_VALUES:
                return self._unnamed(match["before"]) + make.characters(match["value"])
            case "url":
                scheme, _, rest = text.partition("://")
                return f"{scheme}://{self._parts(rest)}"
            case "ipv4" if not text.startswith(_NO_HOST):
                return ".".join(map(self._octet, text.split(".")))
            case "ipv6" if any(letter.isdigit() for letter in text):
                return make.characters(text)
            case "windows":
                return text[:2] + self._parts(text[2:])
            case "path" | "file" | "mail" | "host":
                return self._parts(text)
            case "random" if _is_random(text):
                return make.characters(text)
            case "name":
                return make.words(text)
        return self._unnamed(text)

    def _unnamed(self, text: str) -> str:
        return self._names.sub(lambda name: self._pseudonyms.words(name[0]), text)

    def _parts(self, text: str) -> str:
        return "".join(
            part if number % 2 else self._part(part)
            for number, part in enumerate(_BETWEEN.split(text))
        )

    def _part(self, text: str) -> str:
        if text in _KEPT or text.startswith(_NO_HOST):
            return text
        ending = _ENDING.search(text) or _DOMAIN.search(text)
        end = ending.start() if ending else len(text)
        return self._pseudonyms.words(text[:end]) + text[end:]

    def _octet(self, text: str) -> str:
        if len(text) < 3:
            return self._pseudonyms.words(text)
        return str(100 + int(self._pseudonyms.digest(text), 16) % 156)


def _is_random(text: str) -> bool:
    # Names of tests and versions put a mark between words and numbers, keys do not.
    return len(_MIXED.findall(text)) >= 3
