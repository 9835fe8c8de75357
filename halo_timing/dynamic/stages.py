"""Stages of a MAC: which can be simulated exhaustively, and when their sources move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from halo_timing.dynamic.activation import ActivationNets
from halo_timing.dynamic.slews import NldmDelays
from halo_timing.errors import NetlistError
from halo_timing.held_weight import HeldWeight
from halo_timing.interface import Interface
from halo_timing.netlist import Netlist, Register
from halo_timing.sdf import Sdf
from halo_timing.sta import stages_of


@dataclass(frozen=True)
class Stage:
    """A group of endpoints.

    Parameters
    ----------
    name, endpoints
        As in :func:`halo_timing.sta.stages_of`.
    depth
        Clock edges between the activation port and the sources of the stage, where the activation alone
        moves them all, so that its bit patterns before and after the edge decide everything; else None.
    """

    name: str
    endpoints: tuple[str, ...]
    depth: int | None


def find_stages(
    netlist: Netlist, interface: Interface, held: HeldWeight, nets: ActivationNets
) -> tuple[Stage, ...]:
    """Stages of a netlist; one whose sources hold still under every weight counts as depth 0."""
    result = []
    for name, endpoints in stages_of(netlist, interface, held).items():
        support = (
            netlist.support(endpoint_net(netlist, endpoint) for endpoint in endpoints) - nets.held.keys()
        )
        depths = {nets.depth.get(net) for net in support} or {0}
        result.append(Stage(name, tuple(endpoints), depths.pop() if len(depths) == 1 else None))
    return tuple(result)


def endpoint_net(netlist: Netlist, name: str) -> int:
    """Net of ``instance/pin``, or of an output port's bit.

    Raises
    ------
    NetlistError
        If there is no such pin or port.
    """
    owner, slash, pin = name.rpartition("/")
    if slash:
        for instance in netlist.instances:
            if instance.name == owner and pin in instance.pins:
                return instance.pins[pin]
    else:
        for port in netlist.ports:
            for bit, net in enumerate(port.nets):
                if name == (f"{port.name}[{bit}]" if len(port.nets) > 1 else port.name):
                    return net
    raise NetlistError(f"{netlist.name}: no pin or port bit {name!r}")


@dataclass(frozen=True)
class Launch:
    """When the rise and the fall of a net happen after the clock edge, and their slews; fs."""

    time_fs: tuple[int, int]
    slew_fs: tuple[int, int] = (0, 0)


def launch_times(
    netlist: Netlist, delays: Sdf | NldmDelays, arrivals_ps: Mapping[str, float]
) -> dict[int, Launch]:
    """When each register output and input port bit moves.

    Registers launch at their own clock-to-output delay; a port's bits at its arrival, 0 if none is given.
    Slews are 0 where delays are fixed.

    Raises
    ------
    NetlistError
        If a register's output has no clock-to-output delay.
    """
    launch: dict[int, Launch] = {}
    port_slew = 0 if isinstance(delays, Sdf) else round(delays.input_slew_ps * 1000)
    for port in netlist.ports:
        if port.direction == "input":
            time = round(arrivals_ps.get(port.name, 0.0) * 1000)
            launch |= dict.fromkeys(port.nets, Launch((time, time), (port_slew, port_slew)))
    for register in netlist.registers:
        instance = netlist.instances[register.instance]
        for pin in register.state_pins:
            if isinstance(delays, Sdf):
                launch[instance.pins[pin]] = Launch(_clock_to_output(delays, instance.name, register, pin))
            else:
                launch[instance.pins[pin]] = Launch(*delays.launch(register, pin))
    return launch


def _clock_to_output(sdf: Sdf, owner: str, register: Register, pin: str) -> tuple[int, int]:
    paths = sdf.cells[owner].paths if owner in sdf.cells else []
    own = [path for path in paths if (path.from_pin, path.to_pin) == (register.clock_pin, pin)]
    if not own:
        raise NetlistError(
            f"{owner}: the SDF has no delay from {register.clock_pin} to {pin}; it belongs to another netlist"
        )
    return max(path.rise_fs or 0 for path in own), max(path.fall_fs or 0 for path in own)
