"""Which port of a MAC is what: the roles that every analysis needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interface:
    """Roles of the ports of a MAC or multiplier.

    Parameters
    ----------
    weight, activation
        Operand ports.
    partial_sum, result
        Port of the incoming sum ("" if there is none), and of the result.
    result_carry
        Second vector of a result in carry-save form, to be added to the first; "" if there is none.
    clock
        Clock port, "" for a combinational unit.
    load
        Control inputs and their values while the weight is loaded.
    hold
        Control inputs and their values while the weight holds still and the MAC computes.
    chains
        Output port → input port of the next, equal element that it feeds.
    signed
        Whether operands are two's complement.
    """

    weight: str
    activation: str
    result: str
    partial_sum: str = ""
    result_carry: str = ""
    clock: str = ""
    load: Mapping[str, int] = field(default_factory=dict)
    hold: Mapping[str, int] = field(default_factory=dict)
    chains: Mapping[str, str] = field(default_factory=dict)
    signed: bool = True
