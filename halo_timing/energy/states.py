"""The states of a cell, and which ``internal_power`` groups hold in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import NetlistError
from halo_timing.pdk.library import BooleanFunction, Cell, PowerArc

Bits = NDArray[np.bool_]
Weights = NDArray[np.float64]

MAX_VARIABLES = 14


class CellStates:
    """Every assignment of a cell's inputs and state, and the value of every pin in it.

    Parameters
    ----------
    cell
        The cell.
    first
        Pins that are the lowest bits of an assignment's number, in this order; the others follow.
    tied
        Pins that hold still, with their values.

    Raises
    ------
    NetlistError
        If there are more than 2**14 assignments.
    """

    def __init__(self, cell: Cell, first: Sequence[str], tied: Mapping[str, bool]) -> None:
        self.cell = cell
        names = [pin.name for pin in cell.inputs]
        if cell.flip_flop is not None:
            names.append(cell.flip_flop.state)
        others = [name for name in names if name not in first and name not in tied]
        self.variables = (*first, *others)
        if len(self.variables) > MAX_VARIABLES:
            raise NetlistError(
                f"cell {cell.name}: {len(self.variables)} inputs are too many for its energy; "
                "exclude the cell"
            )
        self.count = 1 << len(self.variables)
        numbers = np.arange(self.count)
        self.values: dict[str, Bits] = {
            name: (numbers >> position & 1).astype(bool) for position, name in enumerate(self.variables)
        }
        self.values |= {name: np.full(self.count, value) for name, value in tied.items() if name in names}
        if cell.flip_flop is not None:
            self.values[cell.flip_flop.inverted_state] = ~self.values[cell.flip_flop.state]
        for pin in cell.outputs:
            if pin.function is not None and self.knows(pin.function):
                self.values[pin.name] = self.of(pin.function)

    def knows(self, function: BooleanFunction) -> bool:
        """Whether every input of the function has a value."""
        return all(name in self.values for name in function.inputs)

    def of(self, function: BooleanFunction) -> Bits:
        """Value of a function of pins and state variables in every assignment."""
        words = {name: self.values[name].astype(np.uint64) for name in function.inputs}
        return np.broadcast_to(np.asarray(function.evaluate(words) & np.uint64(1), bool), self.count)

    def flipped(self, name: str, values: Bits) -> Bits:
        """`values` after `name` alone has changed."""
        changed = np.arange(self.count) ^ (1 << self.variables.index(name))
        return np.asarray(values[changed])

    def holding(self, groups: Sequence[PowerArc], covered: Bits | None = None) -> tuple[Weights, Bits]:
        """How much each group counts in each assignment.

        A group with ``when`` counts where that holds; one without counts where none with it does. Where
        several hold, which Liberty does not foresee, they share. Supplies are apart: their energies add up.

        Parameters
        ----------
        covered
            Assignments in which a group without ``when`` that stands beside others with one is not to
            count, because the energy is in another table.

        Returns
        -------
        weights
            Shape ``(groups, count)``.
        fits
            Whether any counts, shape ``(count,)``.
        """
        weights = np.zeros((len(groups), self.count))
        for supply in _supplies(groups):
            members = [index for index, group in enumerate(groups) if group.supply_pin == supply]
            stated = [index for index in members if groups[index].when is not None]
            plain = [index for index in members if groups[index].when is None]
            for index in stated:
                when = groups[index].when
                # A state of a pin without a function cannot be told, so that the group counts nowhere.
                if when is not None and self.knows(when):
                    weights[index] = self.of(when)
            rest = ~weights[stated].any(axis=0) if stated else np.ones(self.count, bool)
            if stated and covered is not None:
                rest &= ~covered
            weights[plain] = rest
            weights[members] /= np.maximum(weights[members].sum(axis=0), 1)
        return weights, np.asarray(weights.any(axis=0))

    def averaged(self, values: NDArray[np.float64], kept: int) -> NDArray[np.float64]:
        """Mean over all but the lowest `kept` variables, along the last axis."""
        return np.asarray(values.reshape(*values.shape[:-1], -1, 1 << kept).mean(axis=-2))


def standing_in(groups: Sequence[PowerArc]) -> Weights:
    """Weights of a mean over all groups of each supply, shape ``(groups,)``."""
    weights = np.zeros(len(groups))
    for supply in _supplies(groups):
        members = [index for index, group in enumerate(groups) if group.supply_pin == supply]
        weights[members] = 1 / len(members)
    return weights


def _supplies(groups: Iterable[PowerArc]) -> list[str | None]:
    return list(dict.fromkeys(group.supply_pin for group in groups))
