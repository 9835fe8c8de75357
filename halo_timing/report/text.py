"""Numbers and names as people read them."""

from __future__ import annotations

from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
_NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
_MISSING = "–"


def fixed(value: float | None, digits: int = 0) -> str:
    """Write `value` with `digits` decimals and a true minus sign; a dash for None."""
    if value is None:
        return _MISSING
    # Adding 0 after rounding turns a negative zero into zero.
    return f"{round(value, digits) + 0:,.{digits}f}".replace(",", _NARROW_SPACE).replace("-", MINUS)


def percent(share: float | None) -> str:
    """Write a share, such as 0.5, as per cent."""
    return _MISSING if share is None else f"{fixed(100 * share, 1)}{_NARROW_SPACE}%"


def gigahertz(period_ps: float) -> str:
    """Clock frequency of a period; a dash where nothing switches and any clock would do."""
    return fixed(1e3 / period_ps, 3) if period_ps > 0 else _MISSING


def shape(sizes: Sequence[int]) -> str:
    """Write the shape of a tensor."""
    return " × ".join(map(str, sizes)) or "scalar"


def bits(value: int, width: int) -> str:
    """Two's complement bits of an operand value, in groups of four from the right."""
    digits = format(value & ((1 << width) - 1), f"0{width}b")
    head = len(digits) % 4
    groups = [digits[:head]] if head else []
    return " ".join(groups + [digits[start : start + 4] for start in range(head, len(digits), 4)])


def value_list(values: Sequence[int]) -> str:
    """Write sorted operand values so that they can be copied; three neighbours or more become ``a…b``."""
    parts: list[str] = []
    start = 0
    while start < len(values):
        end = start
        while end + 1 < len(values) and values[end + 1] == values[end] + 1:
            end += 1
        if end - start >= 2:
            parts.append(f"{values[start]}…{values[end]}")
        else:
            parts += [str(value) for value in values[start : end + 1]]
        start = end + 1
    return ", ".join(parts)
