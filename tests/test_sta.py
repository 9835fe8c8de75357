"""Case analysis with OpenSTA, against single runs, hand-made netlists and the SDF's own numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halo_timing.characterization import Mapped
from halo_timing.errors import FlowError, ToolError
from halo_timing.held_weight import HeldWeight, find_held_weight
from halo_timing.interface import Interface
from halo_timing.netlist import Instance, Netlist, Port
from halo_timing.pdk.library import Library
from halo_timing.rtl import Mac
from halo_timing.sta import Sweep, TimingConditions, stages_of, sweep, worst_period_ps, write_delays
from halo_timing.tools.opensta import OpenSta


@pytest.fixture(scope="module")
def held(small_mapped: Mapped, small_mac: Mac) -> HeldWeight:
    return find_held_weight(small_mapped.netlist, small_mac.interface)


@pytest.fixture(scope="module")
def delays(
    small_mapped: Mapped,
    small_mac: Mac,
    conditions: TimingConditions,
    sta: OpenSta,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("sdf")
    sdf = folder / "delays.sdf"
    arrivals = write_delays(
        small_mapped.netlist, small_mac.interface, conditions, sta, sdf, folder / "sta_delays.log"
    )
    return sdf, arrivals


@pytest.fixture(scope="module")
def bounds(
    small_mapped: Mapped,
    small_mac: Mac,
    held: HeldWeight,
    conditions: TimingConditions,
    sta: OpenSta,
    delays: tuple[Path, dict[str, float]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Sweep:
    return sweep(
        small_mapped.netlist,
        small_mac.interface,
        held,
        conditions,
        sta,
        sdf_path=delays[0],
        arrivals_ps=delays[1],
        log_folder=tmp_path_factory.mktemp("logs"),
    )


def test_stages_are_the_registers_that_the_weight_does_not_hold(
    small_mapped: Mapped, small_mac: Mac, held: HeldWeight
) -> None:
    stages = stages_of(small_mapped.netlist, small_mac.interface, held)
    assert {name: len(pins) for name, pins in stages.items()} == {
        "activation_q": 4,
        "product_q": 8,
        "psum_q": 12,
    }


def test_nothing_switches_in_the_multiplier_at_weight_zero(bounds: Sweep) -> None:
    zero, stage = int(np.flatnonzero(bounds.values == 0)[0]), bounds.stages.index("product_q")
    assert bounds.paths[zero][stage] is None
    assert bounds.stage_bound_ps[zero, stage] == 0
    assert bounds.bound_ps[zero] > 0, "the accumulator moves whatever the weight is"


def test_only_the_multiplier_depends_on_the_weight(bounds: Sweep) -> None:
    spread = np.ptp(bounds.stage_bound_ps, axis=0)
    by_stage = dict(zip(bounds.stages, spread, strict=True))
    assert by_stage["psum_q"] == by_stage["activation_q"] == 0
    assert by_stage["product_q"] > 50


def test_a_value_does_not_depend_on_the_ones_before_it(
    bounds: Sweep,
    small_mapped: Mapped,
    small_mac: Mac,
    held: HeldWeight,
    conditions: TimingConditions,
    sta: OpenSta,
    delays: tuple[Path, dict[str, float]],
    tmp_path: Path,
) -> None:
    """Oracle: each of three values alone in an OpenSTA of its own."""
    for index in (3, 9, 15):
        alone = replace(held, values=held.values[[index]], contents=held.contents[:, [index]])
        single = sweep(
            small_mapped.netlist,
            small_mac.interface,
            alone,
            conditions,
            sta,
            sdf_path=delays[0],
            arrivals_ps=delays[1],
            log_folder=tmp_path,
        )
        assert single.paths[0] == bounds.paths[index]


def test_no_weight_is_slower_than_the_sign_off(
    bounds: Sweep,
    small_mapped: Mapped,
    small_mac: Mac,
    held: HeldWeight,
    conditions: TimingConditions,
    sta: OpenSta,
    tmp_path: Path,
) -> None:
    worst = worst_period_ps(small_mapped.netlist, small_mac.interface, held, conditions, sta, tmp_path)
    assert bounds.bound_ps.max() <= worst + 1e-6


def test_paths_add_up_and_run_along_the_wires(bounds: Sweep, small_mapped: Mapped) -> None:
    netlist = small_mapped.netlist
    instances = {instance.name: instance for instance in netlist.instances}
    for index in range(len(bounds.values)):
        path = bounds.worst_path(index)
        assert path is not None
        assert path.period_ps == pytest.approx(bounds.bound_ps[index])
        times = [time for _, _, time in path.points]
        assert times == sorted(times)
        assert times[-1] == pytest.approx(path.arrival_ps, abs=1e-3)
        for (before, _, _), (after, cell, _) in zip(path.points, path.points[1:], strict=False):
            if "/" in before and "/" in after:
                name, pin = before.split("/")
                follower = instances[after.split("/")[0]]
                assert follower.cell == cell
                assert instances[name].pins[pin] in follower.pins.values()


def test_inputs_arrive_when_the_neighbour_gives_them(
    delays: tuple[Path, dict[str, float]], small_mapped: Mapped
) -> None:
    """Oracle: the clock-to-output delays of the registers in the SDF itself."""
    sdf, arrivals = delays
    text = sdf.read_text()
    for group, target in (("psum_q", "psum_in"), ("activation_q", "activation_in")):
        slowest = 0.0
        for register in small_mapped.netlist.registers:
            if register.group == group:
                name = small_mapped.netlist.instances[register.instance].name
                cell = re.search(rf"\(INSTANCE {name}\)(.*?)\n \)", text, re.DOTALL)
                assert cell
                values = re.findall(r"\(IOPATH \(?(?:posedge )?CK\)? Q (.*?)\)\n", cell[1])
                slowest = max(slowest, *(float(v) for v in re.findall(r"::([\d.]+)", values[0])))
        assert arrivals[target] == pytest.approx(1e3 * slowest, abs=0.01)


def test_the_sdf_is_the_same_every_time(
    delays: tuple[Path, dict[str, float]],
    small_mapped: Mapped,
    small_mac: Mac,
    conditions: TimingConditions,
    sta: OpenSta,
    tmp_path: Path,
) -> None:
    again = tmp_path / "again.sdf"
    write_delays(
        small_mapped.netlist, small_mac.interface, conditions, sta, again, tmp_path / "sta_delays.log"
    )
    assert again.read_bytes() == delays[0].read_bytes()


CHAIN = Interface(weight="w", activation="a", result="y")


def _chain(library: Library, cells: int) -> Netlist:
    """``y = a AND w`` behind inverters: a path whose delay is the sum of what the SDF says."""
    nets = ("1'b0", "1'b1", "a", "w", "y", *(f"n{index}" for index in range(cells)))
    pins = [2, *range(5, 5 + cells)]
    instances = [
        Instance(f"u{index}", "INV_X1", {"A": pins[index], "ZN": pins[index + 1]}) for index in range(cells)
    ]
    instances.append(Instance("last", "AND2_X1", {"A1": pins[-1], "A2": 3, "ZN": 4}))
    ports = (Port("a", "input", (2,)), Port("w", "input", (3,)), Port("y", "output", (4,)))
    return Netlist("chain", library, ports, tuple(instances), nets, {})


def test_a_chain_is_as_slow_as_its_sdf_says(
    nangate45_library: Library, conditions: TimingConditions, sta: OpenSta, tmp_path: Path
) -> None:
    netlist = _chain(nangate45_library, 4)
    held = find_held_weight(netlist, replace(CHAIN, signed=False))
    sdf = tmp_path / "delays.sdf"
    arrivals = write_delays(netlist, CHAIN, conditions, sta, sdf, tmp_path / "sta_delays.log")
    result = sweep(
        netlist, CHAIN, held, conditions, sta, sdf_path=sdf, arrivals_ps=arrivals, log_folder=tmp_path
    )
    assert result.stages == ("output",)
    assert result.paths[0] == (None,), "with w = 0 the AND gate holds still"

    rise, fall = 0.0, 0.0
    for name, pin in [*((f"u{index}", "A") for index in range(4)), ("last", "A1")]:
        cell = re.search(rf"\(INSTANCE {name}\)(.*?)\n \)", sdf.read_text(), re.DOTALL)
        assert cell
        arc = re.search(rf"\(IOPATH {pin} ZN \([\d.]*::([\d.]+)\) \([\d.]*::([\d.]+)\)\)", cell[1])
        assert arc
        to_rise, to_fall = 1e3 * float(arc[1]), 1e3 * float(arc[2])
        rise, fall = (rise + to_rise, fall + to_fall) if name == "last" else (fall + to_rise, rise + to_fall)
    assert result.bound_ps[1] == pytest.approx(max(rise, fall), abs=0.01)


def test_an_output_that_nothing_reaches_is_named(
    nangate45_library: Library, conditions: TimingConditions, sta: OpenSta, tmp_path: Path
) -> None:
    netlist = replace(
        _chain(nangate45_library, 1), ports=(*_chain(nangate45_library, 1).ports, Port("z", "output", (0,)))
    )
    interface = replace(CHAIN, chains={"z": "a"})
    with pytest.raises(FlowError, match="no path reaches output 'z'"):
        write_delays(netlist, interface, conditions, sta, tmp_path / "d.sdf", tmp_path / "sta_delays.log")


def test_an_unknown_wire_load_is_an_error(
    small_mapped: Mapped, small_mac: Mac, conditions: TimingConditions, sta: OpenSta, tmp_path: Path
) -> None:
    odd = replace(conditions, wire_load="no such model")
    with pytest.raises(ToolError, match="wire"):
        write_delays(
            small_mapped.netlist,
            small_mac.interface,
            odd,
            sta,
            tmp_path / "d.sdf",
            tmp_path / "sta_delays.log",
        )
    assert not (tmp_path / "d.sdf").exists()


def test_wires_slow_the_design_down_when_asked_for(
    small_mapped: Mapped,
    small_mac: Mac,
    held: HeldWeight,
    conditions: TimingConditions,
    sta: OpenSta,
    tmp_path: Path,
) -> None:
    def worst(wire_load: str) -> float:
        loaded = replace(conditions, wire_load=wire_load)
        return worst_period_ps(small_mapped.netlist, small_mac.interface, held, loaded, sta, tmp_path)

    assert worst("5K_hvratio_1_1") > 1.02 * worst("ideal")
