"""A language of one-letter words on a stack of whole numbers.

A program starts with its argument on the stack and returns what lies on top in the end. Digits push
themselves; ``+``, ``-`` and ``*`` take two numbers and push what comes of them; ``d`` doubles the
top one's entry, ``s`` swaps the upper two. So ``3+d*`` adds 3 and squares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

__all__ = ["ProgramError", "passes", "run"]

_STEPS, _DEPTH, _LARGEST = 64, 16, 10**12

_BINARY: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}


class ProgramError(Exception):
    """A program is none, or goes beyond its limits."""


def run(program: str, argument: int) -> int:
    """Run a program.

    Raises:
        ProgramError: it has an unknown word, takes from an empty stack, or is too long; or a number
            or the stack gets too large.
    """
    if len(program) > _STEPS:
        raise ProgramError(f"a program has {_STEPS} words at most")
    stack = [argument]
    for word in program:
        if word in "123456789":
            stack.append(int(word))
        elif word in _BINARY or word == "s":
            if len(stack) < 2:
                raise ProgramError(f"{word!r} needs two numbers")
            b, a = stack.pop(), stack.pop()
            stack += [b, a] if word == "s" else [_BINARY[word](a, b)]
        elif word == "d":
            stack.append(stack[-1])
        else:
            raise ProgramError(f"there is no word {word!r}")
        if len(stack) > _DEPTH or abs(stack[-1]) > _LARGEST:
            raise ProgramError("the stack or a number gets too large")
    return stack[-1]


def passes(program: str, tests: Iterable[Sequence[int]]) -> bool:
    """Return whether a program returns what each test wants: pairs of argument and result."""
    try:
        return all(run(program, argument) == result for argument, result in tests)
    except ProgramError:
        return False
