"""Energies of a netlist's toggles, for the dynamic simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from halo_timing.delay_calculation import CLOCK_SLEW_PS
from halo_timing.dynamic.model import EnergySource
from halo_timing.energy.cell_power import EdgeTables, input_tables, toggle_tables
from halo_timing.energy.lines import NONE, EdgeEnergies
from halo_timing.energy.register_power import RegisterPower
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Instance, Netlist, Register
from halo_timing.pdk.line import Line
from halo_timing.pdk.table import Floats

Edges = tuple[float, float]


class CellEnergies(EnergySource):
    """Switching energy of nets and internal energy of cells, from their Liberty tables.

    A net's toggle costs C V² / 2, C being its load for that edge. An output's toggle costs what the
    ``internal_power`` table of the input that caused it says, at that input's slew and the output's load; an
    input's own edge what the input's own table says.

    Parameters
    ----------
    netlist
        The netlist.
    load_ff, slew_ps
        Load of, and nominal slew on, each net for (rise, fall), float64, shape ``(nets, 2)``; see
        :mod:`halo_timing.delay_calculation`. What wires add to a load counts. Slews are not used where the
        simulation carries its own.
    """

    def __init__(self, netlist: Netlist, load_ff: Floats, slew_ps: Floats) -> None:
        self.netlist, self.load_ff = netlist, load_ff
        # A net without a slew never moves.
        self.slew_ps = np.nan_to_num(slew_ps)
        self.half_v2 = netlist.library.voltage_v**2 / 2
        self._made: dict[tuple[object, ...], EdgeTables] = {}

    def toggle_fj(self, net: int) -> Edges:
        """Switching energy of a net's rise and fall."""
        rise_ff, fall_ff = self.load_ff[net]
        return float(rise_ff) * self.half_v2, float(fall_ff) * self.half_v2

    def toggle_lines(
        self, instance: Instance, pin: str, inputs: Sequence[str]
    ) -> tuple[Sequence[Line], NDArray[np.int64]]:
        """See :class:`~halo_timing.dynamic.model.EnergySource`."""
        energies = self._toggles(instance, pin, inputs)
        return energies.lines, energies.index

    def edge_lines(
        self, instance: Instance, pin: str, inputs: Sequence[str]
    ) -> tuple[Sequence[Line], NDArray[np.int64]]:
        """See :class:`~halo_timing.dynamic.model.EnergySource`."""
        energies = self._edges(instance, pin, inputs)
        return energies.lines, energies.index

    def _toggles(self, instance: Instance, pin: str, inputs: Sequence[str]) -> EdgeEnergies:
        tables = self._tables(instance, pin, inputs, None)
        return tables.under(_pair(self.load_ff, instance.pins[pin]))

    def _edges(self, instance: Instance, pin: str, inputs: Sequence[str]) -> EdgeEnergies:
        """Each input's own edge, charged once: to the first connected output that depends on it."""
        cell = self.netlist.cell_of(instance)
        earlier: set[str] = set()
        for other in cell.outputs:
            if other.name == pin:
                break
            if other.name in instance.pins and other.function is not None:
                earlier |= set(other.function.inputs)
        own = tuple(name for name in inputs if name not in earlier)
        return self._tables(instance, pin, inputs, own).under((0.0, 0.0))

    def gate_fj(self, instance: Instance, pin: str, inputs: Sequence[str]) -> NDArray[np.float32]:
        """Energy table of an output at the nets' slews, see :attr:`halo_timing.dynamic.model.Gate.energy_fj`.

        If several inputs change at once, the output's toggle costs the mean over those of them whose change
        alone would move it, in the state before or after; and over all of them where there is none. Own
        edges of inputs add up.
        """
        inputs = list(inputs)
        slews = [_pair(self.slew_ps, instance.pins[name]) for name in inputs]
        count = 1 << len(inputs)
        states = np.arange(count)
        function = self.netlist.cell_of(instance).pins[pin].function
        assert function is not None
        value = np.array(
            [
                function(**{name: bool(state >> inputs.index(name) & 1) for name in function.inputs})
                for state in range(count)
            ]
        )
        toggles = self._toggles(instance, pin, inputs)
        edges = self._edges(instance, pin, inputs)
        toggle_fj, edge_fj = toggles.at(slews), edges.at(slews)
        moved = states[:, None] ^ states[None, :]
        energy = np.zeros((2, count, count))
        causes, any_change = np.zeros((2, 2, count, count))
        for position in range(len(inputs)):
            changes = moved >> position & 1 == 1
            alone = value != value[states ^ (1 << position)]
            fits = toggles.fits[position] & (alone[:, None] | alone[None, :])
            known = toggles.index[position] != NONE
            for sums, counts in ((causes, changes & fits), (any_change, changes & known)):
                sums[0] += np.where(counts, toggle_fj[position], 0.0)
                sums[1] += counts
            energy[1] += np.where(changes, edge_fj[position], 0.0)
        mean = np.where(causes[1] > 0, causes[0], any_change[0]) / np.maximum(
            np.where(causes[1] > 0, causes[1], any_change[1]), 1
        )
        energy[0] = np.where(value[:, None] != value[None, :], mean, 0.0)
        return energy.astype(np.float32)

    def capture_fj(self, instance: Instance, pin: str) -> tuple[Edges, Edges]:
        """Energy of a data pin's rise and fall, and of what follows in the register one cycle later.

        See `pin_fj` and `state_fj` of :class:`halo_timing.dynamic.model.Endpoint`, and
        :class:`~halo_timing.energy.register_power.RegisterPower` for what belongs to which.
        """
        power = self.register_power(instance)
        change = np.array(power.change_fj())
        for name, state_rise in self._state_pins(instance).items():
            rise_fj, fall_fj = self.toggle_fj(instance.pins[name])
            change += (rise_fj, fall_fj) if state_rise else (fall_fj, rise_fj)
        turns = np.array(power.turns(pin)) @ change
        return power.data_fj(pin), (float(turns[0]), float(turns[1]))

    def hold_fj(self, register: Register) -> Edges:
        """Energy of the clock pin's two edges in a cycle in which a register stays 0, or 1; its net apart."""
        return self.register_power(self.netlist.instances[register.instance]).hold_fj()

    def register_power(self, instance: Instance) -> RegisterPower:
        """Energies of a flip-flop in its place."""
        cell = self.netlist.cell_of(instance)
        pins = instance.pins
        slews = {pin.name: _pair(self.slew_ps, pins[pin.name]) for pin in cell.inputs if pin.name in pins}
        assert cell.flip_flop is not None
        slews |= dict.fromkeys(cell.flip_flop.clocked_on.inputs, (CLOCK_SLEW_PS, CLOCK_SLEW_PS))
        loads = {pin.name: _pair(self.load_ff, pins[pin.name]) for pin in cell.outputs if pin.name in pins}
        return RegisterPower(cell, self._tied(instance), slews, loads)

    def _state_pins(self, instance: Instance) -> Mapping[str, bool]:
        """Find the connected outputs, and whether they carry the state itself."""
        cell = self.netlist.cell_of(instance)
        flip_flop = cell.flip_flop
        assert flip_flop is not None
        found = {}
        for pin in cell.outputs:
            if pin.name in instance.pins and pin.function is not None:
                (name,) = pin.function.inputs
                found[pin.name] = pin.function(**{name: True}) == (name == flip_flop.state)
        return found

    def _tables(
        self, instance: Instance, pin: str, inputs: Sequence[str], own: tuple[str, ...] | None
    ) -> EdgeTables:
        cell = self.netlist.cell_of(instance)
        # What is an input of this output is a bit of the state, whatever it is connected to.
        tied = {name: value for name, value in self._tied(instance).items() if name not in inputs}
        key = cell.name, pin, tuple(inputs), tuple(sorted(tied.items())), own
        if key not in self._made:
            self._made[key] = (
                toggle_tables(cell, pin, inputs, tied)
                if own is None
                else input_tables(cell, inputs, own, tied)
            )
        return self._made[key]

    def _tied(self, instance: Instance) -> dict[str, bool]:
        constants = {CONSTANT_0: False, CONSTANT_1: True}
        return {name: constants[net] for name, net in instance.pins.items() if net in constants}


def _pair(values: Floats, net: int) -> Edges:
    return float(values[net, 0]), float(values[net, 1])
