"""Boolean functions as Liberty writes them.

Operators, tightest first (the order that Yosys and OpenSTA use): inversion as ``!A`` or ``A'``; ``^``;
AND as ``*``, ``&`` or a mere space; OR as ``+`` or ``|``. Constants are ``0`` and ``1``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import LibertyError

MAX_INPUTS = 16

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_\\][\w\[\].\\]*)|(?P<constant>[01])(?![\w.])|(?P<operator>[!'^*&+|()]))"
)
_CANONICAL = {"&": "*", "|": "+"}
_PRECEDENCE = {"+": 1, "*": 2, "^": 3, "!": 4}

Word = TypeVar("Word", int, NDArray[np.uint64])


@dataclass(frozen=True)
class BooleanFunction:
    """A function of named inputs.

    Attributes
    ----------
    text : str
        As the library writes it.
    inputs : tuple of str
        Names, in the order in which they first appear.
    truth_table : int
        Bit i is the value where input k is bit k of i; ``2**len(inputs)`` bits.

    Examples
    --------
    >>> f = parse_function("!(A1 * A2)", ("A1", "A2"), where="cell NAND2")
    >>> f.inputs, bin(f.truth_table)
    (('A1', 'A2'), '0b111')
    """

    text: str = field(compare=False)
    inputs: tuple[str, ...]
    truth_table: int
    _postfix: tuple[str, ...] = field(repr=False, compare=False)

    def __call__(self, **values: bool) -> bool:
        """Value at one point; every input is named."""
        row = sum(bool(values[name]) << position for position, name in enumerate(self.inputs))
        return bool(self.truth_table >> row & 1)

    def evaluate(self, words: Mapping[str, NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """Value at 64 points a word at once.

        Parameters
        ----------
        words : mapping of str to ndarray of uint64
            For each input, bits of equal shape.

        Returns
        -------
        ndarray of uint64
            Bits of that shape; shape ``()`` for a constant.
        """
        ones = np.array(~np.uint64(0), dtype=np.uint64)
        return _run(self._postfix, words, ones)

    def unateness(self, name: str) -> str:
        """How the value follows one input.

        Returns
        -------
        str
            ``positive_unate``, ``negative_unate``, ``non_unate``, or ``constant`` when it never does.
        """
        if name not in self.inputs:
            return "constant"
        position = 1 << self.inputs.index(name)
        low = [row for row in range(1 << len(self.inputs)) if not row & position]
        steps = {(self.truth_table >> (row | position) & 1) - (self.truth_table >> row & 1) for row in low}
        if {1, -1} <= steps:
            return "non_unate"
        return "positive_unate" if 1 in steps else "negative_unate" if -1 in steps else "constant"

    def written_with(self, inversion: str, operators: Mapping[str, str], leaf: Callable[[str], str]) -> str:
        """Write the function in another language.

        Parameters
        ----------
        inversion : str
            Format of ``!``, with one ``{}``.
        operators : mapping of str to str
            Formats of ``*``, ``+`` and ``^``, each with two ``{}`` and its own parentheses.
        leaf : callable
            Writes a name, ``0`` or ``1``.
        """
        stack: list[str] = []
        for token in self._postfix:
            if token == "!":
                stack.append(inversion.format(stack.pop()))
            elif token in operators:
                right, left = stack.pop(), stack.pop()
                stack.append(operators[token].format(left, right))
            else:
                stack.append(leaf(token))
        return stack[0]


def parse_function(text: str, known: Collection[str], *, where: str) -> BooleanFunction:
    """Parse a function.

    Parameters
    ----------
    text : str
        The attribute's value, without its quotes.
    known : collection of str
        Names that may appear: pins, and the state variables of ``ff`` and ``latch`` groups.
    where : str
        Begins the error messages: file, line and cell.

    Raises
    ------
    LibertyError
        If the text is not a function, names something unknown, or has more than 16 inputs.
    """
    postfix = _to_postfix(text, where)
    inputs: dict[str, None] = {}
    for token in postfix:
        if token not in _PRECEDENCE and token not in "01":
            if token not in known:
                raise LibertyError(
                    f"{where}: the function {text!r} uses {token!r}, which is no pin of the cell"
                )
            inputs[token] = None
    if len(inputs) > MAX_INPUTS:
        raise LibertyError(f"{where}: a function of {len(inputs)} inputs; at most {MAX_INPUTS} can be used")
    rows = 1 << len(inputs)
    ones = (1 << rows) - 1
    # Input k alternates in runs of 2**k rows: 0xAA…, 0xCC…, 0xF0…
    columns = {name: ones // ((1 << (1 << k)) + 1) << (1 << k) for k, name in enumerate(inputs)}
    return BooleanFunction(text, tuple(inputs), _run(postfix, columns, ones), postfix)


def _run(postfix: tuple[str, ...], values: Mapping[str, Word], ones: Word) -> Word:
    stack: list[Any] = []
    for token in postfix:
        if token == "!":
            stack[-1] = stack[-1] ^ ones
        elif token in _PRECEDENCE:
            right, left = stack.pop(), stack.pop()
            stack.append(left & right if token == "*" else left | right if token == "+" else left ^ right)
        elif token in "01":
            stack.append(ones if token == "1" else ones ^ ones)
        else:
            stack.append(values[token])
    result: Word = stack[0]
    return result


def _to_postfix(text: str, where: str) -> tuple[str, ...]:
    """Shunting yard, so that nesting costs no recursion."""
    output: list[str] = []
    waiting: list[str] = []
    after_operand = False

    def release(tightness: int) -> None:
        while waiting and waiting[-1] != "(" and _PRECEDENCE[waiting[-1]] >= tightness:
            output.append(waiting.pop())

    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise LibertyError(
                f"{where}: {text[position:].strip()[:20]!r} in the function {text!r} cannot be read"
            )
        position = match.end()
        token = _CANONICAL.get(match.group(match.lastgroup or 0), match.group(match.lastgroup or 0))
        starts_operand = match.lastgroup != "operator" or token in "!("
        if starts_operand and after_operand:
            release(_PRECEDENCE["*"])
            waiting.append("*")
        elif not starts_operand and not after_operand:
            raise LibertyError(f"{where}: {token!r} in the function {text!r} has nothing before it")
        if match.lastgroup != "operator":
            output.append(token)
            after_operand = True
        elif token in "!(":
            waiting.append(token)
            after_operand = False
        elif token == "'":
            output.append("!")
        elif token == ")":
            release(0)
            if not waiting:
                raise LibertyError(f"{where}: ')' in the function {text!r} closes nothing")
            waiting.pop()
        else:
            release(_PRECEDENCE[token])
            waiting.append(token)
            after_operand = False
    release(0)
    if waiting or not after_operand:
        raise LibertyError(f"{where}: the function {text!r} is not complete")
    return tuple(output)
