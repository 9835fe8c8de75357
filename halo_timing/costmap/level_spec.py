"""Levels as a user gives them: which codebooks, in one line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.codebooks import allowed_values, choose_codebook
from halo_timing.costmap.cuts import MOST_LEVELS, symmetric_part
from halo_timing.costmap.distributions import Distribution
from halo_timing.errors import UsageError

Codebook = NDArray[np.int16]

#: Form of each level in a line of them, and what it means.
FORMS = {
    "all": "every value",
    "period:PS": "every value that is no slower",
    "freq:GHZ": "every value that is right at this clock",
    "size:N": "the fastest N values, and those as fast as the last of them",
    "step:N": "multiples of N",
    "pot": "0 and powers of two, of either sign",
    "values:A,B,…": "these values, and 0",
    "best:N:PS": "of the values that are no slower, the N that represent weights best",
}
SEPARATOR = "/"


def parse_count(text: str | int) -> int | str | None:
    """Tell what ``--levels`` asks for: a number of levels, None for ``auto``, or the text of given ones.

    Raises
    ------
    UsageError
        If the number is out of range.
    """
    if isinstance(text, str):
        if text.strip() == "auto":
            return None
        if not text.strip().lstrip("-").isdigit():
            return text
    if not 1 <= int(text) <= MOST_LEVELS:
        raise UsageError(f"--levels {text}: between 1 and {MOST_LEVELS} levels are possible")
    return int(text)


def given_codebooks(
    text: str,
    values: Codebook,
    period_ps: NDArray[np.floating],
    distribution: Distribution,
    *,
    symmetric: bool = False,
) -> tuple[Codebook, ...]:
    """Codebooks of levels that are given, such as ``step:32/step:16/all``.

    Parameters
    ----------
    text
        Levels in the forms of :data:`FORMS`, with ``/`` between them, in any order.
    symmetric
        Whether values without their negative are left out.

    Returns
    -------
    tuple of ndarray
        Fastest first; each holds the values of those before it, since what is right at a clock is right at a
        slower one.

    Raises
    ------
    UsageError
        If a level cannot be read, names a value that the operand does not have, or adds nothing.
    """
    parts = [part.strip() for part in text.split(SEPARATOR)]
    if len(parts) > MOST_LEVELS:
        raise UsageError(f"--levels: {len(parts)} are given; {MOST_LEVELS} are possible")
    read: list[tuple[float, int, Codebook, str]] = []
    for part in parts:
        book = _codebook(part, values, period_ps, distribution, symmetric)
        if symmetric:
            book = symmetric_part(book)
        slowest = float(period_ps[np.isin(values, book)].max())
        if slowest <= 0:
            raise UsageError(f"--levels: nothing switches under the values of {part!r}; add some that do")
        read.append((slowest, len(book), book, part))
    read.sort(key=lambda each: each[:2])
    nested: list[Codebook] = []
    for _, _, book, part in read:
        union = np.union1d(nested[-1], book).astype(np.int16) if nested else book
        if nested and len(union) == len(nested[-1]):
            raise UsageError(f"--levels: {part!r} adds no value to the levels that are faster; leave it out")
        nested.append(union)
    return tuple(nested)


def _codebook(
    part: str,
    values: Codebook,
    period_ps: NDArray[np.floating],
    distribution: Distribution,
    symmetric: bool,
) -> Codebook:
    kind, _, argument = part.partition(":")

    def number(text: str, whole: bool = False) -> float:
        try:
            parsed = int(text) if whole else float(text)
        except ValueError:
            parsed = 0
        if not 0 < parsed < np.inf:
            raise _unreadable(part)
        return parsed

    def up_to(limit_ps: float) -> Codebook:
        return allowed_values(values, period_ps, limit_ps).astype(np.int16)

    def fastest(count: float) -> Codebook:
        order = np.sort(period_ps)
        return up_to(float(order[min(int(count), len(order)) - 1]))

    def best(text: str) -> Codebook:
        size, _, limit = text.partition(":")
        count = int(number(size, whole=True))
        return choose_codebook(values, period_ps, number(limit), count, distribution, symmetric)

    forms: dict[str, Callable[[], Codebook]] = {
        "period": lambda: up_to(number(argument)),
        "freq": lambda: up_to(1e3 / number(argument)),
        "size": lambda: fastest(number(argument, whole=True)),
        "step": lambda: values[values % int(number(argument, whole=True)) == 0],
        "values": lambda: _listed(part, argument, values),
        "best": lambda: best(argument),
    }
    if part == "all":
        return values
    if part == "pot":
        size = np.abs(values.astype(np.int64))
        return np.asarray(values[size & (size - 1) == 0])
    if kind not in forms or not argument:
        raise _unreadable(part)
    return forms[kind]()


def _listed(part: str, argument: str, values: Codebook) -> Codebook:
    try:
        listed = np.union1d([int(text) for text in argument.split(",")], [0])
    except ValueError:
        raise _unreadable(part) from None
    if strange := sorted(set(listed.tolist()) - set(values.tolist())):
        raise UsageError(
            f"--levels: {part!r} names {strange[0]}; the operand has {values.min()} … {values.max()}"
        )
    return listed.astype(np.int16)


def _unreadable(part: str) -> UsageError:
    return UsageError(f"--levels: {part!r} is no level; write {', '.join(FORMS)}, with {SEPARATOR} between")
