"""Energy of a MAC per weight that it holds, part by part."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.activation import ActivationNets
from halo_timing.dynamic.result import DynamicResult
from halo_timing.energy.cell_energies import CellEnergies
from halo_timing.energy.leakage import leakage_nw
from halo_timing.errors import UsageError
from halo_timing.held_weight import HeldWeight, bit_words
from halo_timing.netlist import Netlist, Words
from halo_timing.pdk.table import Floats
from halo_timing.pdk.units import FJ_PER_NW_PS


@dataclass(frozen=True, eq=False)
class WeightEnergies:
    """Mean energy of a cycle per weight.

    `switching_fj` and `internal_fj` are what toggles cost, `clock_fj` what the clock costs if nothing else
    toggles, and the leakage is there even when it stands still: those four make up a cycle. `glitch_fj` is
    no fifth part, but the part of the first two that toggles spend which cancel out.

    Parameters
    ----------
    values
        Weight values, int32, shape ``(n,)``.
    switching_fj, internal_fj, glitch_fj, clock_fj
        fJ per cycle, float64, shape ``(n,)``.
    leakage_nw
        nW, float64, shape ``(n,)``.
    """

    values: NDArray[np.int32]
    switching_fj: Floats
    internal_fj: Floats
    glitch_fj: Floats
    clock_fj: Floats
    leakage_nw: Floats

    def __post_init__(self) -> None:
        for field in fields(self):
            if np.shape(getattr(self, field.name)) != (len(self.values),):
                raise UsageError(f"{field.name} is not one number for each of {len(self.values)} weights")

    @property
    def dynamic_fj(self) -> Floats:
        """Switching, internal and clock energy, glitches included, shape ``(n,)``."""
        return self.switching_fj + self.internal_fj + self.clock_fj

    def leakage_fj(self, period_ps: float | Floats) -> Floats:
        """Leakage in a cycle of `period_ps`, one period or one for each weight, shape ``(n,)``."""
        return np.asarray(self.leakage_nw * period_ps * FJ_PER_NW_PS)

    def total_fj(self, period_ps: float | Floats) -> Floats:
        """All of a cycle of `period_ps`, shape ``(n,)``."""
        return self.dynamic_fj + self.leakage_fj(period_ps)


def weight_energies(
    energies: CellEnergies, held: HeldWeight, nets: ActivationNets, result: DynamicResult, seed: int = 0
) -> WeightEnergies:
    """Put what a run of the dynamic simulation found together with clock and leakage.

    Parameters
    ----------
    energies
        That the run was made with.
    result
        The run; its energies cover its own stages, clock and leakage cover the whole netlist.
    seed
        Of the bits that nothing decides (partial sums): see :func:`resting_sources`.

    Raises
    ------
    UsageError
        If the run was made without energies.
    """
    if np.isnan(result.energy_fj).any():
        raise UsageError("the dynamic simulation ran without energies; give it those of the cells")
    chosen = np.searchsorted(held.values, result.values)
    netlist = energies.netlist
    sources, patterns = resting_sources(netlist, nets, len(held.values), seed)
    # A few weights at a time bound the memory.
    leakage = [
        leakage_nw(netlist, {net: words[rows] for net, words in sources.items()}, patterns)
        for rows in np.array_split(chosen, max(len(chosen) // 64, 1))
    ]
    switching, internal, glitch = result.energy_fj.T
    return WeightEnergies(
        values=result.values,
        switching_fj=switching,
        internal_fj=internal,
        glitch_fj=glitch,
        clock_fj=clock_fj(energies, nets, len(held.values))[chosen],
        leakage_nw=np.concatenate(leakage),
    )


def clock_fj(energies: CellEnergies, nets: ActivationNets, weights: int) -> Floats:
    """Energy of the clock per cycle and weight: its nets' two toggles, and both edges in every register.

    Of registers that neither the weight nor the activation decides, half of the bits are taken as 1.

    Returns
    -------
    ndarray of float64
        fJ, shape ``(weights,)``.
    """
    netlist = energies.netlist
    clocks = set()
    total = np.zeros(weights)
    for register in netlist.registers:
        pins = netlist.instances[register.instance].pins
        clocks.add(pins[register.clock_pin])
        pin, same = next(iter(register.state_pins.items()))
        net = pins[pin]
        if net in nets.held:
            ones = nets.held[net].astype(np.float64)
        elif net in nets.values:
            ones = nets.values[net].mean(axis=1)
        else:
            ones = np.full(weights, 0.5)
        share = ones if same else 1 - ones
        at_0, at_1 = energies.hold_fj(register)
        total += at_0 * (1 - share) + at_1 * share
    return total + sum(sum(energies.toggle_fj(net)) for net in sorted(clocks))


def resting_sources(
    netlist: Netlist, nets: ActivationNets, weights: int, seed: int
) -> tuple[dict[int, Words], int]:
    """Input port bits and register outputs at rest, for every weight and every activation that stays.

    What neither weight nor activation decides, partial sums above all, is random, the same for every weight.

    Returns
    -------
    sources
        Words, shape ``(weights, words)``.
    patterns
        Number of activations.
    """
    patterns = 1 << nets.bits
    rng = np.random.default_rng(seed)
    sources: dict[int, Words] = {}

    def put(net: int) -> None:
        if net in nets.held:
            bits = np.repeat(nets.held[net][:, None], patterns, axis=1)
        elif net in nets.values:
            bits = nets.values[net]
        else:
            bits = np.broadcast_to(rng.integers(0, 2, patterns, np.uint32), (weights, patterns))
        sources[net] = np.stack([bit_words(row.astype(np.int64), 0) for row in bits])

    for port in netlist.ports:
        if port.direction == "input":
            for net in port.nets:
                put(net)
    for register in netlist.registers:
        pins = netlist.instances[register.instance].pins
        for position, (pin, same) in enumerate(register.state_pins.items()):
            if position == 0:
                first, first_same = pins[pin], same
                put(first)
            else:
                sources[pins[pin]] = sources[first] if same == first_same else ~sources[first]
    return sources, patterns
