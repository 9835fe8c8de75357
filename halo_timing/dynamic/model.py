"""What dynamic timing simulates: gates with delay tables, the nets that start it, the pins that end it.

A model belongs to a netlist and its delays, not to a weight: :mod:`halo_timing.dynamic.plan` reduces it to
what is alive under one weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.stages import endpoint_net
from halo_timing.errors import NetlistError
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Instance, Netlist
from halo_timing.pdk.library import BooleanFunction
from halo_timing.sdf import IoPath, Sdf, condition_function

Times = NDArray[np.int32]
Values = NDArray[np.uint32]

MAX_GATE_INPUTS = 9
_UNKNOWN = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Gate:
    """One output of a combinational cell.

    Parameters
    ----------
    name
        ``instance/pin`` of the output, or the pin at the end of a wire with delay.
    net
        Net that it drives.
    inputs
        Nets of its inputs.
    value
        Output per state, shape ``(2**inputs,)``; bit p of a state is the value of input p.
    delay_fs
        Delay from each state to the next, shape ``(2**inputs, 2**inputs)``; -1 where the output stays.
    energy_fj
        Internal energy of such a step: of the output's toggle, and of the inputs' own edges; float32, shape
        ``(2, 2**inputs, 2**inputs)``.
    """

    name: str
    net: int
    inputs: tuple[int, ...]
    value: Values
    delay_fs: Times
    energy_fj: NDArray[np.float32]


@dataclass(frozen=True)
class Endpoint:
    """A pin that captures, or an output port.

    Parameters
    ----------
    name
        ``instance/pin``, or the port's bit.
    stage
        Name of its stage.
    net
        Net that it sees.
    setup_fs
        Setup time before a rise and a fall.
    pin_fj
        Internal energy of a rise and a fall of the pin.
    state_fj
        Energy of the register's outputs, one cycle later, when the pin ends up risen or fallen.
    """

    name: str
    stage: str
    net: int
    setup_fs: tuple[int, int]
    pin_fj: tuple[float, float]
    state_fj: tuple[float, float]


@dataclass(frozen=True)
class Source:
    """A net that changes at the clock edge, or arrives from outside, and when its rise and fall happen."""

    net: int
    launch_fs: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Model:
    """Gates between sources and endpoints, in an order in which inputs come before outputs.

    `toggle_fj` holds the switching energy of each net's toggle from 0 and from 1; nets from
    ``len(netlist.net_names)`` on are the far ends of wires that have a delay of their own.
    """

    netlist: Netlist
    sources: tuple[Source, ...]
    gates: tuple[Gate, ...]
    endpoints: tuple[Endpoint, ...]
    toggle_fj: Mapping[int, tuple[float, float]]

    @cached_property
    def longest_fs(self) -> int:
        """Time by which everything has settled, whatever switches: along the slowest arcs, setup included."""
        latest = {source.net: max(source.launch_fs) for source in self.sources}
        for gate in self.gates:
            arrivals = [latest[net] for net in gate.inputs if net in latest]
            if arrivals:
                latest[gate.net] = max(arrivals) + max(int(gate.delay_fs.max()), 0)
        ends = [latest[end.net] + max(end.setup_fs) for end in self.endpoints if end.net in latest]
        return max([0, *latest.values(), *ends])

    @property
    def net_count(self) -> int:
        """Number of nets, the far ends of wires included."""
        return max([len(self.netlist.net_names), *(gate.net + 1 for gate in self.gates)])


class EnergySource:
    """Energies of a model without any: the base of :class:`halo_timing.energy.CellEnergies`."""

    def gate_fj(self, instance: Instance, pin: str, inputs: Sequence[str]) -> NDArray[np.float32]:
        """Energy table of an output, see :attr:`Gate.energy_fj`."""
        return np.zeros((2, 1 << len(inputs), 1 << len(inputs)), np.float32)

    def toggle_fj(self, net: int) -> tuple[float, float]:
        """Switching energy of a net's toggle from 0 and from 1."""
        return 0.0, 0.0

    def capture_fj(self, instance: Instance, pin: str) -> tuple[tuple[float, float], tuple[float, float]]:
        """See `pin_fj` and `state_fj` of :class:`Endpoint`."""
        return (0.0, 0.0), (0.0, 0.0)


def build_model(
    netlist: Netlist,
    sdf: Sdf,
    endpoints: Iterable[tuple[str, str]],
    launch_fs: Mapping[int, tuple[int, int]],
    energies: EnergySource | None = None,
) -> Model:
    """Collect the cone of gates behind endpoints.

    Parameters
    ----------
    netlist, sdf
        Netlist and its delays.
    endpoints
        (stage, ``instance/pin`` or output port bit).
    launch_fs
        When the rise and the fall of each source happen; nets that are neither here nor constant are expected
        to hold still.
    energies
        Energies of cells and nets; none by default.

    Raises
    ------
    NetlistError
        If a pin that a function depends on has no delay in the SDF.
    """
    return _Builder(netlist, sdf, launch_fs, energies or EnergySource()).build(list(endpoints))


def delay_table(
    function: BooleanFunction, inputs: Sequence[str], paths: Sequence[IoPath], where: str
) -> tuple[Values, Times]:
    """Work out the value per state and the delay per step of an output.

    Where several inputs change at once, the output follows the fastest of their paths. Conditional paths
    count where the state after the step meets the condition, unconditional ones where no conditional one from
    that pin does. Where no input that changes has such a path, the slowest paths of those pins stand in.

    Parameters
    ----------
    function
        Of the output.
    inputs
        Pin names in the order of the state's bits.
    paths
        The paths that end at the output.

    Returns
    -------
    value, delay_fs
        See :class:`Gate`.
    """
    states = np.arange(1 << len(inputs))
    bits = {pin: (states >> index & 1).astype(bool) for index, pin in enumerate(inputs)}
    value = _evaluate(function, bits, len(states))
    fitting, standing_in = np.full((2, len(states), len(states)), _UNKNOWN, np.int64)
    for index, pin in enumerate(inputs):
        fits, slowest = _pin_delay(pin, bits, value, [path for path in paths if path.from_pin == pin], where)
        changes = (states[:, None] ^ states[None, :]) >> index & 1 == 1
        fitting = np.where(changes, np.minimum(fitting, fits[None, :]), fitting)
        standing_in = np.where(changes, np.minimum(standing_in, slowest[None, :]), standing_in)
    delay = np.where(fitting == _UNKNOWN, standing_in, fitting)
    toggles = value[:, None] != value[None, :]
    if (toggles & (delay == _UNKNOWN)).any():
        raise NetlistError(f"{where}: an input has no delay in the SDF; write it again with OpenSTA")
    return value.astype(np.uint32), np.where(toggles, np.maximum(delay, 0), -1).astype(np.int32)


def _pin_delay(
    pin: str,
    bits: Mapping[str, NDArray[np.bool_]],
    value: NDArray[np.bool_],
    paths: Sequence[IoPath],
    where: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fitting and slowest delay from an edge of `pin` per state after it; _UNKNOWN where there is none."""
    count = len(value)
    conditional = np.full(count, -1, np.int64)
    plain = np.full(count, -1, np.int64)
    slowest = np.full(count, -1, np.int64)
    for path in paths:
        rise, fall = (-1 if time is None else time for time in (path.rise_fs, path.fall_fs))
        time = np.where(value, rise, fall)
        if path.edge:
            time = np.where(bits[pin] == (path.edge == "posedge"), time, -1)
        slowest = np.maximum(slowest, time)
        if path.condition is None:
            plain = np.maximum(plain, time)
        else:
            condition = condition_function(path.condition, tuple(bits), where)
            holds = _evaluate(condition, bits, count)
            conditional = np.maximum(conditional, np.where(holds, time, -1))
    fits = np.where(conditional >= 0, conditional, plain)
    return np.where(fits < 0, _UNKNOWN, fits), np.where(slowest < 0, _UNKNOWN, slowest)


def _evaluate(
    function: BooleanFunction, bits: Mapping[str, NDArray[np.bool_]], count: int
) -> NDArray[np.bool_]:
    row = np.zeros(count, np.int64)
    for index, name in enumerate(function.inputs):
        row |= bits[name].astype(np.int64) << index
    table = np.array([function.truth_table >> index & 1 for index in range(1 << len(function.inputs))], bool)
    return table[row]


class _Builder:
    def __init__(
        self,
        netlist: Netlist,
        sdf: Sdf,
        launch_fs: Mapping[int, tuple[int, int]],
        energies: EnergySource,
    ) -> None:
        self.netlist, self.sdf, self.launch_fs, self.energies = netlist, sdf, launch_fs, energies
        self.wire_fs = {end: times for (_, end), times in sdf.interconnect_fs.items() if any(times)}
        self.next_net = len(netlist.net_names)
        self.gates: list[Gate] = []

    def build(self, endpoints: Sequence[tuple[str, str]]) -> Model:
        instances = {instance.name: instance for instance in self.netlist.instances}
        pins = []
        for stage, name in endpoints:
            owner, slash, pin_name = name.rpartition("/")
            net = endpoint_net(self.netlist, name)
            if slash:
                energy = self.energies.capture_fj(instances[owner], pin_name)
                pins.append(Endpoint(name, stage, net, self.sdf.setup_fs(owner, pin_name), *energy))
            else:
                pins.append(Endpoint(name, stage, net, (0, 0), (0.0, 0.0), (0.0, 0.0)))
        cone = self._cone({pin.net for pin in pins})
        for index in self.netlist.order:
            if index in cone:
                self._add_cell(self.netlist.instances[index])
        ends = tuple(replace(pin, net=self._wired(pin.name, pin.net)) for pin in pins)
        used = {net for gate in self.gates for net in gate.inputs} | {end.net for end in ends}
        sources = tuple(Source(net, times) for net, times in sorted(self.launch_fs.items()) if net in used)
        nets = {source.net for source in sources} | {gate.net for gate in self.gates}
        toggle_fj = {net: self.energies.toggle_fj(net) for net in nets if net < len(self.netlist.net_names)}
        model = Model(self.netlist, sources, tuple(self.gates), ends, toggle_fj)
        if model.longest_fs >= _UNKNOWN:
            raise NetlistError(
                f"{self.netlist.name}: delays up to {model.longest_fs / 1e9:.1f} us; at most 2 us are handled"
            )
        return model

    def _cone(self, nets: set[int]) -> set[int]:
        """Find the combinational instances on which `nets` depend."""
        pending, cone = list(nets), set()
        seen = set(nets)
        while pending:
            driver = self.netlist.drivers.get(pending.pop())
            if driver is None or driver[0] not in self.netlist.graph:
                continue
            cone.add(driver[0])
            for net in self.netlist.instances[driver[0]].pins.values():
                if net not in seen:
                    seen.add(net)
                    pending.append(net)
        return cone

    def _add_cell(self, instance: Instance) -> None:
        cell = self.netlist.cell_of(instance)
        paths = self.sdf.cells[instance.name].paths if instance.name in self.sdf.cells else []
        for pin in cell.outputs:
            if pin.name not in instance.pins or pin.function is None:
                continue
            where = f"{instance.name} ({instance.cell}/{pin.name})"
            inputs = pin.function.inputs
            if len(inputs) > MAX_GATE_INPUTS:
                raise NetlistError(
                    f"{where}: {len(inputs)} inputs, at most {MAX_GATE_INPUTS} are handled; exclude the cell"
                )
            value, delay = delay_table(
                pin.function, inputs, [path for path in paths if path.to_pin == pin.name], where
            )
            nets = tuple(self._wired(f"{instance.name}/{name}", instance.pins[name]) for name in inputs)
            energy = self.energies.gate_fj(instance, pin.name, inputs)
            net = instance.pins[pin.name]
            self.gates.append(Gate(f"{instance.name}/{pin.name}", net, nets, value, delay, energy))

    def _wired(self, pin: str, net: int) -> int:
        """Net that `pin` sees: the far end of its wire, if that has a delay."""
        if pin not in self.wire_fs or net in (CONSTANT_0, CONSTANT_1):
            return net
        rise, fall = self.wire_fs[pin]
        far, self.next_net = self.next_net, self.next_net + 1
        value, delay = np.array([0, 1], np.uint32), np.array([[-1, rise], [fall, -1]], np.int32)
        self.gates.append(Gate(pin, far, (net,), value, delay, np.zeros((2, 2, 2), np.float32)))
        return far
