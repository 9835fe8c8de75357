"""What dynamic timing simulates: gates with delay tables, the nets that start it, the pins that end it.

A model belongs to a netlist and its delays, not to a weight: :mod:`halo_timing.dynamic.plan` reduces it to
what is alive under one weight.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from halo_timing.dynamic.slews import NldmDelays, SlewSteps, constant_setup, largest, setup_segments
from halo_timing.dynamic.stages import Launch, endpoint_net
from halo_timing.errors import NetlistError
from halo_timing.netlist import CONSTANT_0, CONSTANT_1, Instance, Netlist
from halo_timing.pdk.library import BooleanFunction
from halo_timing.pdk.line import CONSTANT_ZERO, Line
from halo_timing.sdf import IoPath, Sdf, condition_function

Times = NDArray[np.int32]
Values = NDArray[np.uint32]

MAX_GATE_INPUTS = 9
_UNKNOWN = 2**31 - 1
_NO_DELAYS = np.zeros((0, 0), np.int32)
_NO_ENERGIES = np.zeros((2, 0, 0), np.float32)

Delays: TypeAlias = "Sdf | NldmDelays"


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
        Delay from each state to the next, shape ``(2**inputs, 2**inputs)``; -1 where the output stays. Not
        used where `steps` are given.
    energy_fj
        Internal energy of such a step: of the output's toggle, and of the inputs' own edges; float32, shape
        ``(2, 2**inputs, 2**inputs)``. Not used where `steps` are given.
    steps
        Delays, slews and energies that depend on the slew of each event; None for fixed delays.
    """

    name: str
    net: int
    inputs: tuple[int, ...]
    value: Values
    delay_fs: Times
    energy_fj: NDArray[np.float32]
    steps: SlewSteps | None = None


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
    setup_ps
        Setup time before a rise and a fall, over the slew in ps of that edge.
    pin_fj
        Internal energy of a rise and a fall of the pin.
    state_fj
        Energy of the register's outputs, one cycle later, when the pin ends up risen or fallen.
    """

    name: str
    stage: str
    net: int
    setup_ps: tuple[Line, Line]
    pin_fj: tuple[float, float]
    state_fj: tuple[float, float]

    @cached_property
    def setup_segments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Setup times as the kernels take them: every weight asks for them again."""
        return setup_segments(self.setup_ps)


@dataclass(frozen=True)
class Source:
    """A net that changes at the clock edge, or arrives from outside: times and slews of its rise and fall."""

    net: int
    launch_fs: tuple[int, int]
    slew_fs: tuple[int, int] = (0, 0)


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
    def has_slews(self) -> bool:
        """Whether events carry slews."""
        return any(gate.steps is not None for gate in self.gates)

    @cached_property
    def longest_fs(self) -> int:
        """Time by which everything has settled, whatever switches: along the slowest arcs, setup included."""
        latest = {source.net: max(source.launch_fs) for source in self.sources}
        slew = {source.net: source.slew_fs for source in self.sources}
        for gate in self.gates:
            moving = [net for net in gate.inputs if net in latest]
            if not moving:
                continue
            if gate.steps is None:
                latest[gate.net] = max(latest[net] for net in moving) + max(int(gate.delay_fs.max()), 0)
                slew[gate.net] = (0, 0)
            else:
                latest[gate.net], slew[gate.net] = _slowest(gate, gate.steps, latest, slew)
        ends = [
            latest[end.net]
            + math.ceil(
                1000
                * max(
                    float(line.at(points).max())
                    for line, limit in zip(end.setup_ps, slew[end.net], strict=True)
                    for points in [np.append(line.points[line.points < limit / 1000], [0, limit / 1000])]
                )
            )
            for end in self.endpoints
            if end.net in latest
        ]
        return max([0, *latest.values(), *ends])

    @property
    def net_count(self) -> int:
        """Number of nets, the far ends of wires included."""
        return max([len(self.netlist.net_names), *(gate.net + 1 for gate in self.gates)])


def _slowest(
    gate: Gate, steps: SlewSteps, latest: Mapping[int, int], slew: Mapping[int, tuple[int, int]]
) -> tuple[int, tuple[int, int]]:
    """Latest time and largest slews of a gate's output; fs."""
    states = np.arange(len(gate.value))
    time, slews = 0.0, [0.0, 0.0]
    for place, net in enumerate(gate.inputs):
        if net not in latest:
            continue
        for falls in (0, 1):
            after = (states >> place & 1) != falls
            for edge in (0, 1):
                rows = steps.record[place][after & (gate.value != edge)]
                if len(rows):
                    time = max(time, latest[net] + largest(steps, 0, slew[net][falls], rows))
                    slews[edge] = max(slews[edge], largest(steps, 1, slew[net][falls], rows))
    return math.ceil(time), (math.ceil(slews[0]), math.ceil(slews[1]))


class EnergySource:
    """Energies of a model without any: the base of :class:`halo_timing.energy.CellEnergies`."""

    def gate_fj(self, instance: Instance, pin: str, inputs: Sequence[str]) -> NDArray[np.float32]:
        """Energy table of an output, see :attr:`Gate.energy_fj`."""
        return np.zeros((2, 1 << len(inputs), 1 << len(inputs)), np.float32)

    def toggle_lines(
        self, instance: Instance, pin: str, inputs: Sequence[str]
    ) -> tuple[Sequence[Line], NDArray[np.int64]]:
        """Give the internal energy of an output's toggle over the slew of the input event that causes it.

        Returns
        -------
        lines
            Energies in fJ over the slew in ps, at the net's load.
        index
            Which of them an event at input p that leads to state s has, shape ``(inputs, states)``; -1: none.
        """
        return (), np.full((len(inputs), 1 << len(inputs)), -1)

    def edge_lines(
        self, instance: Instance, pin: str, inputs: Sequence[str]
    ) -> tuple[Sequence[Line], NDArray[np.int64]]:
        """Energy of the inputs' own edges, in the form of :meth:`toggle_lines`.

        Of a cell with several outputs, each input's edge is counted at one of them.
        """
        return (), np.full((len(inputs), 1 << len(inputs)), -1)

    def toggle_fj(self, net: int) -> tuple[float, float]:
        """Switching energy of a net's toggle from 0 and from 1."""
        return 0.0, 0.0

    def capture_fj(self, instance: Instance, pin: str) -> tuple[tuple[float, float], tuple[float, float]]:
        """See `pin_fj` and `state_fj` of :class:`Endpoint`."""
        return (0.0, 0.0), (0.0, 0.0)


def build_model(
    netlist: Netlist,
    delays: Delays,
    endpoints: Iterable[tuple[str, str]],
    launch: Mapping[int, Launch],
    energies: EnergySource | None = None,
) -> Model:
    """Collect the cone of gates behind endpoints.

    Parameters
    ----------
    netlist, delays
        Netlist and its delays: fixed, or over slews.
    endpoints
        (stage, ``instance/pin`` or output port bit).
    launch
        When the rise and the fall of each source happen, and with which slews; nets that are neither here
        nor constant are expected to hold still.
    energies
        Energies of cells and nets; none by default.

    Raises
    ------
    NetlistError
        If a pin that a function depends on has no delay.
    """
    return _Builder(netlist, delays, launch, energies or EnergySource()).build(list(endpoints))


def value_table(function: BooleanFunction) -> Values:
    """Value per state of a function's inputs in their own order; shape ``(2**inputs,)``."""
    rows = range(1 << len(function.inputs))
    return np.array([function.truth_table >> row & 1 for row in rows], np.uint32)


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
        # Tables that are left at slow slews can give a negative delay; nothing comes before its cause.
        rise, fall = (-1 if time is None else max(time, 0) for time in (path.rise_fs, path.fall_fs))
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
        self, netlist: Netlist, delays: Delays, launch: Mapping[int, Launch], energies: EnergySource
    ) -> None:
        self.netlist, self.delays, self.launch, self.energies = netlist, delays, launch, energies
        wires = delays.interconnect_fs if isinstance(delays, Sdf) else {}
        self.wire_fs = {end: times for (_, end), times in wires.items() if any(times)}
        self.registers = {netlist.instances[own.instance].name: own for own in netlist.registers}
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
                pins.append(Endpoint(name, stage, net, self._setup(owner, pin_name), *energy))
            else:
                none = (CONSTANT_ZERO, CONSTANT_ZERO)
                pins.append(Endpoint(name, stage, net, none, (0.0, 0.0), (0.0, 0.0)))
        cone = self._cone({pin.net for pin in pins})
        for index in self.netlist.order:
            if index in cone:
                self._add_cell(self.netlist.instances[index])
        ends = tuple(replace(pin, net=self._wired(pin.name, pin.net)) for pin in pins)
        used = {net for gate in self.gates for net in gate.inputs} | {end.net for end in ends}
        sources = tuple(
            Source(net, launch.time_fs, launch.slew_fs)
            for net, launch in sorted(self.launch.items())
            if net in used
        )
        nets = {source.net for source in sources} | {gate.net for gate in self.gates}
        toggle_fj = {net: self.energies.toggle_fj(net) for net in nets if net < len(self.netlist.net_names)}
        model = Model(self.netlist, sources, tuple(self.gates), ends, toggle_fj)
        if model.longest_fs >= _UNKNOWN:
            raise NetlistError(
                f"{self.netlist.name}: delays up to {model.longest_fs / 1e9:.1f} us; at most 2 us are handled"
            )
        return model

    def _setup(self, owner: str, pin: str) -> tuple[Line, Line]:
        if isinstance(self.delays, Sdf):
            return constant_setup(self.delays.setup_fs(owner, pin))
        return self.delays.setup(self.registers[owner], pin)

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
        for pin in cell.outputs:
            if pin.name not in instance.pins or pin.function is None:
                continue
            inputs = pin.function.inputs
            if len(inputs) > MAX_GATE_INPUTS:
                raise NetlistError(
                    f"{instance.name} ({instance.cell}/{pin.name}): {len(inputs)} inputs, at most "
                    f"{MAX_GATE_INPUTS} are handled; exclude the cell"
                )
            nets = tuple(self._wired(f"{instance.name}/{name}", instance.pins[name]) for name in inputs)
            self.gates.append(self._gate(instance, pin.name, pin.function, nets))

    def _gate(self, instance: Instance, pin: str, function: BooleanFunction, nets: tuple[int, ...]) -> Gate:
        name, net, inputs = f"{instance.name}/{pin}", instance.pins[pin], function.inputs
        if isinstance(self.delays, Sdf):
            cell = self.delays.cells.get(instance.name)
            paths = [path for path in cell.paths if path.to_pin == pin] if cell else []
            value, delay = delay_table(function, inputs, paths, f"{instance.name} ({instance.cell}/{pin})")
            return Gate(name, net, nets, value, delay, self.energies.gate_fj(instance, pin, inputs))
        value = value_table(function)
        steps = self.delays.steps(
            instance,
            pin,
            function,
            value,
            self.energies.toggle_lines(instance, pin, inputs),
            self.energies.edge_lines(instance, pin, inputs),
        )
        return Gate(name, net, nets, value, _NO_DELAYS, _NO_ENERGIES, steps)

    def _wired(self, pin: str, net: int) -> int:
        """Net that `pin` sees: the far end of its wire, if that has a delay."""
        if pin not in self.wire_fs or net in (CONSTANT_0, CONSTANT_1):
            return net
        rise, fall = self.wire_fs[pin]
        far, self.next_net = self.next_net, self.next_net + 1
        value, delay = np.array([0, 1], np.uint32), np.array([[-1, rise], [fall, -1]], np.int32)
        self.gates.append(Gate(pin, far, (net,), value, delay, np.zeros((2, 2, 2), np.float32)))
        return far
