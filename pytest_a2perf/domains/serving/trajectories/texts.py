"""Texts that look like what coding agents read and write, made from templates and word lists.

Nothing here is copied from a code base: a model that is fed such text has as much to compute as
with real text of that length, and no more is asked of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["CODE", "DIFF", "LISTING", "LOG", "MATCHES", "PROSE", "path", "text", "word"]

WORDS = (  # noqa: SIM905 - two hundred quoted words cannot be read
    "account address agent archive balance batch block border branch bucket buffer bundle cache "
    "cell chain channel chart check client clock cluster column command config context counter "
    "cursor cycle daemon date delta depth device digest draft edge engine entry epoch error event "
    "export factor feature field filter folder format frame gateway graph group handle header "
    "heap hint image index input invoice item job journal kernel key label layer layout ledger "
    "length level limit link list loader lock machine map marker matrix member merge message "
    "meter method mirror model module monitor mount name node note number object offset option "
    "order output owner packet page panel parser part patch pattern phase pipe plan point policy "
    "pool port price process profile proxy query queue quota range rate reader record region "
    "registry relay report request result retry role rollback root route row rule sample scale "
    "schema scope score segment server session shard signal size slice slot snapshot socket "
    "source stack stage state status step store stream string style summary switch symbol table "
    "tag target task template tenant thread ticket timer token topic trace track tree trigger "
    "tuple unit update upload user value vector vendor version view volume walker weight widget "
    "window worker writer zone"
).split()
ENDINGS = ("py", "py", "py", "ts", "go", "toml", "md")

PROSE = (
    "The {0} of the {1} does not agree with its {2}, so that the {3} is written twice. ",
    "I should look at how {0}_{1} is called before the {2} is changed. ",
    "It fails only where the {0} is empty and {4} entries of the {1} wait for their {2}. ",
    "Let me read the {0} of {1} first. ",
    "The {0} that was made by the {1} keeps its {2} until the {3} ends, which explains the {0}. ",
    "Now the {0} can be tested: the {1} has to hold {4} times, and the {2} must stay as it was. ",
    "The change belongs in the {0}, not in the {1}; the {2} only passes the {3} on. ",
    "Keep the {0} small, name the {1} after the {2}, and do not touch the {3}. ",
    "If the {0} cannot be found, say so and ask for the {1} instead of guessing the {2}. ",
    "That leaves the {0}: {1}, {2} and {3} are read in this order. ",
)
CODE = (
    '\n\ndef {0}_{1}({2}: int):\n    """Return the {0} whose {2} is at least that of its {3}."""\n',
    "\n\nclass {0}{1}:\n    {2}: int = {4}\n    {3}: dict[str, float]\n",
    '    if {0}.{1} is None:\n        raise ValueError(f"no {2}: {{{3}!r}}")\n',
    "    for {0} in {1}.{2}s({4}):\n        {3}.append({0}.{2})\n",
    "    {0} = self._{1}({2}, {3}={4})\n",
    "    with {0}.{1}() as {2}:\n        {2}.write({3}[{4}:])\n",
    "    return [{0}.{1} for {0} in {2} if {0}.{3} > {4}]\n",
    "    try:\n        {0}_{1} = {2}.pop({4})\n    except KeyError:\n        {0}_{1} = {3}()\n",
    "    assert {0}.{1} == {2}_{3}[{4}]\n",
    "    # The {0} of a {1} may be older than its {2}.\n",
    "from {0}.{1} import {2}_{3}\n",
)
DIFF = (
    "@@ -{4},7 +{4},9 @@ def {0}_{1}({2}):\n",
    "-    {0} = {1}.{2}({3})\n+    {0} = {1}.{2}({3}, {0}={4})\n",
    "     {0}.{1} = {2}\n",
    "     return {0}_{1}({2}[{4}])\n",
    "+    if not {0}:\n+        return {1}.{2}\n",
    "-    # {0} {1} {2}\n",
)
LISTING = (
    "-rw-r--r-- 1 {4:>6} {0}/{1}_{2}.py\n",
    "-rw-r--r-- 1 {4:>6} {0}/{1}/{2}_{3}.py\n",
    "-rw-r--r-- 1 {4:>6} tests/test_{0}_{1}.py\n",
    "drwxr-xr-x 2   4096 {0}/{1}\n",
    "-rw-r--r-- 1 {4:>6} docs/{0}-{1}.md\n",
)
LOG = (
    "tests/test_{0}.py::test_{1}_{2}_keeps_its_{3} PASSED\n",
    "tests/test_{0}.py::test_{1}_of_{2} PASSED\n",
    "tests/test_{0}.py::test_{1}_{2} FAILED\n",
    "E       AssertionError: assert {4} == len({0}.{1})\n",
    "E       KeyError: '{0}_{1}'\n",
    "{0}/{1}_{2}.py:{4}: in {3}\n    return self.{1}.{3}({0})\n",
    "WARNING  {0}.{1}: {2} {3} took {4} ms\n",
)
MATCHES = (
    "{0}/{1}.py:{4}:    {2} = {3}.{0}()\n",
    "{0}/{1}_{2}.py:{4}:def {3}_{0}(self, {1}):\n",
    "tests/test_{0}.py:{4}:    assert {1}.{2} is {3}\n",
)


def word(rng: random.Random) -> str:
    """Return one word."""
    return rng.choice(WORDS)


def path(rng: random.Random) -> str:
    """Return the relative path of a file that does not exist."""
    folder, first, second = rng.choices(WORDS, k=3)
    return f"src/{folder}/{first}_{second}.{rng.choice(ENDINGS)}"


def text(rng: random.Random, kind: Sequence[str], size: int) -> str:
    """Return a text of one kind (`CODE`, `LOG`, ...): `size` bytes of ASCII, less the odd line.

    Args:
        rng: decides it.
        kind: templates of its blocks.
        size: bytes; nothing shorter than one letter is made.
    """
    parts: list[str] = []
    length = 0
    while length < size:
        # Bulk draws: a session of full size is half a megabyte, made while a trial waits for it.
        count = max(1, (size - length) // 48)
        words = iter(rng.choices(WORDS, k=4 * count))
        numbers = rng.choices(range(10_000), k=count)
        for template, number in zip(rng.choices(kind, k=count), numbers, strict=True):
            block = template.format(next(words), next(words), next(words), next(words), number)
            parts.append(block)
            length += len(block)
    whole = "".join(parts).lstrip()[: max(1, size)]
    end = whole.rfind("\n")
    # Cutting at a line's end must not make a short text much shorter.
    return whole[:end] if end > 0.9 * size else whole
