"""What a flip-flop spends: at each clock edge, when its state changes, and when a data input moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from halo_timing.energy.cell_power import line_of, mix_of
from halo_timing.energy.states import Bits, CellStates
from halo_timing.errors import NetlistError
from halo_timing.pdk.library import Cell, PowerArc

Edges = tuple[float, float]
"""Of a rise and of a fall, or of the states 0 and 1."""


@dataclass(frozen=True, eq=False)
class RegisterPower:
    """Energies of one flip-flop at its slews and loads.

    The order of events in a cycle is: active clock edge, at which data and state may differ; outputs;
    inactive edge; data inputs, up to the next active edge. So a changing data input is charged with the
    clock inactive, when the first latch is open, and the inactive edge with data and state equal. A data
    input that settles before the inactive edge costs the same in all, but its glitches cost less.

    Parameters
    ----------
    cell
        The flip-flop.
    tied
        Input pins that hold still.
    slew_ps
        Slews of (rise, fall) at each connected input pin; 0 for others.
    load_ff
        Loads of (rise, fall) at each connected output pin; 0 for others, which toggle nevertheless.
    """

    cell: Cell
    tied: Mapping[str, bool]
    slew_ps: Mapping[str, Edges]
    load_ff: Mapping[str, Edges]

    @cached_property
    def clock_pin(self) -> str:
        """Name of the clock pin."""
        assert self.cell.flip_flop is not None
        return self.cell.flip_flop.clocked_on.inputs[0]

    @cached_property
    def rises(self) -> bool:
        """Whether the clock pin's rise is the active edge."""
        assert self.cell.flip_flop is not None
        return self.cell.flip_flop.clocked_on(**{self.clock_pin: True})

    @cached_property
    def states(self) -> CellStates:
        """Its assignments."""
        return CellStates(self.cell, (), self.tied)

    @cached_property
    def state(self) -> Bits:
        """Its state in each of them."""
        assert self.cell.flip_flop is not None
        return self.states.values[self.cell.flip_flop.state]

    @cached_property
    def following(self) -> Bits:
        """State after an active edge."""
        assert self.cell.flip_flop is not None
        return self.states.of(self.cell.flip_flop.next_state)

    @cached_property
    def clocked(self) -> Bits:
        """Assignments in which neither clear nor preset acts."""
        flip_flop = self.cell.flip_flop
        assert flip_flop is not None
        acts = np.zeros(self.states.count, bool)
        for function in (flip_flop.clear, flip_flop.preset):
            if function is not None:
                acts |= self.states.of(function)
        if acts.all():
            raise NetlistError(f"cell {self.cell.name}: a flip-flop of it is always cleared or preset")
        return ~acts

    def hold_fj(self) -> Edges:
        """Energy of both edges of the clock pin in a cycle in which the state stays 0, or 1."""
        still = self.clocked & (self.following == self.state)
        return tuple(  # type: ignore[return-value]
            sum(self._clock_fj(edge, still & (self.state == state)) for edge in (True, False))
            for state in (False, True)
        )

    def change_fj(self) -> Edges:
        """Energy of a cycle in which the state rises, or falls, beyond :meth:`hold_fj`, nets apart.

        The outputs' toggles, and what the active clock edge costs more than if data and state were equal.
        """
        result = []
        for after in (True, False):
            before = self.clocked & (self.state != after)
            clock_fj = self._clock_fj(self.rises, before & (self.following == after)) - self._clock_fj(
                self.rises, before & (self.following != after)
            )
            result.append(clock_fj + sum(self._output_fj(pin.name, after) for pin in self.cell.outputs))
        return result[0], result[1]

    def data_fj(self, pin: str) -> Edges:
        """Energy of a data pin's own rise and fall."""
        result = []
        for rise in (True, False):
            after = self.states.values[pin] == rise
            before = self.states.flipped(pin, self.following)
            inactive = self.states.values[self.clock_pin] != self.rises
            # The register still holds what the pin was before.
            where = after & inactive & self.clocked & (before == self.state)
            result.append(self._energy_fj(self.cell.pins[pin].power, where, rise, pin, 0.0))
        return result[0], result[1]

    def turns(self, pin: str) -> tuple[Edges, Edges]:
        """How often a data pin's rise, and its fall, will let the state rise and fall.

        A plain flip-flop follows its only data pin: 1 and 0. Where others decide too, a mean over them.
        """
        result = []
        for rise in (True, False):
            after = self.clocked & (self.states.values[pin] == rise)
            before = self.states.flipped(pin, self.following)
            moved = self.following != before
            result.append(
                (
                    float((moved & self.following)[after].mean()),
                    float((moved & ~self.following)[after].mean()),
                )
            )
        return result[0], result[1]

    def _clock_fj(self, rise: bool, where: Bits) -> float:
        where = where & (self.states.values[self.clock_pin] == rise)
        covered = np.zeros(self.states.count, bool)
        if rise == self.rises:
            covered = self.clocked & (self.following != self.state)
        groups = self.cell.pins[self.clock_pin].power
        return self._energy_fj(groups, where, rise, self.clock_pin, 0.0, covered)

    def _output_fj(self, output: str, state: bool) -> float:
        """Energy of an output's toggle that the clock causes, when the state becomes `state`."""
        pin = self.cell.pins[output]
        if output not in self.states.values:
            return 0.0
        groups = [group for group in pin.power if group.related_pin in (self.clock_pin, None)]
        active = self.states.values[self.clock_pin] == self.rises
        where = self.clocked & active & (self.state == state) & (self.following == state)
        rise = bool(self.states.values[output][where].any())
        load_ff = self.load_ff.get(output, (0.0, 0.0))[not rise]
        return self._energy_fj(groups, where, rise, self.clock_pin, load_ff, edge=self.rises)

    def _energy_fj(
        self,
        groups: Sequence[PowerArc],
        where: Bits,
        rise: bool,
        from_pin: str,
        load_ff: float,
        covered: Bits | None = None,
        edge: bool | None = None,
    ) -> float:
        """Mean over assignments of the energy of a rise or fall that an edge of `from_pin` causes."""
        if not groups or not where.any():
            return 0.0
        weights, _ = self.states.holding(groups, covered)
        mix = mix_of(groups, weights[:, where].mean(axis=1), rise)
        from_rise = rise if edge is None else edge
        slew_ps = self.slew_ps.get(from_pin, (0.0, 0.0))[not from_rise]
        return float(line_of(mix, load_ff).at(slew_ps))
