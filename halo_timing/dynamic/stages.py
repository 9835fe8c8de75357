"""Stages of a MAC: which can be simulated exhaustively, and when their sources move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from halo_timing.dynamic.activation import ActivationNets
from halo_timing.errors import NetlistError
from halo_timing.held_weight import HeldWeight
from halo_timing.interface import Interface
from halo_timing.netlist import Netlist
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


def launch_times(netlist: Netlist, sdf: Sdf, arrivals_ps: Mapping[str, float]) -> dict[int, tuple[int, int]]:
    """When the rise and the fall of each register output and input port bit happen, fs after the clock edge.

    Registers launch at their own clock-to-output delay; a port's bits at its arrival, 0 if none is given.

    Raises
    ------
    NetlistError
        If a register's output has no clock-to-output delay in the SDF.
    """
    launch: dict[int, tuple[int, int]] = {}
    for port in netlist.ports:
        if port.direction == "input":
            time = round(arrivals_ps.get(port.name, 0.0) * 1000)
            launch |= dict.fromkeys(port.nets, (time, time))
    for register in netlist.registers:
        instance = netlist.instances[register.instance]
        paths = sdf.cells[instance.name].paths if instance.name in sdf.cells else []
        for pin in register.state_pins:
            own = [path for path in paths if (path.from_pin, path.to_pin) == (register.clock_pin, pin)]
            if not own:
                raise NetlistError(
                    f"{instance.name}: the SDF has no delay from {register.clock_pin} to {pin}; "
                    "it belongs to another netlist"
                )
            rise = max(path.rise_fs or 0 for path in own)
            fall = max(path.fall_fs or 0 for path in own)
            launch[instance.pins[pin]] = (rise, fall)
    return launch
