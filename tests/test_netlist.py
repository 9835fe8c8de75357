"""The mapped netlist: naming, round trips, evaluation, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_timing.characterization import Mapped
from halo_timing.errors import NetlistError
from halo_timing.held_weight import bit_words, find_held_weight, operand_values, unpack_words
from halo_timing.netlist import Netlist
from halo_timing.pdk.library import Library
from halo_timing.rtl import Mac


def _words(netlist: Netlist, values: dict[str, np.ndarray]) -> dict[int, np.ndarray]:
    """Words of every input bit and register; what is not named is 0."""
    count = max(len(array) for array in values.values())
    zero = np.zeros(count, np.int32)
    sources = {
        net: bit_words(values.get(port.name, zero), bit)
        for port in netlist.ports
        if port.direction == "input"
        for bit, net in enumerate(port.nets)
    }
    for register in netlist.registers:
        sources |= netlist.state_values(register, bit_words(values.get(register.group, zero), register.bit))
    return sources


def _next(netlist: Netlist, group: str, values: dict[str, np.ndarray]) -> np.ndarray:
    """Next content of a register, as unsigned numbers."""
    settled = netlist.evaluate(_words(netlist, values))
    count = max(len(array) for array in values.values())
    registers = [register for register in netlist.registers if register.group == group]
    return sum(
        unpack_words(netlist.next_state(register, settled), count).astype(np.int64) << register.bit
        for register in registers
    )


def test_registers_keep_the_names_of_the_rtl(small_mapped: Mapped) -> None:
    widths: dict[str, int] = {}
    for register in small_mapped.netlist.registers:
        widths[register.group] = widths.get(register.group, 0) + 1
    assert widths == {"activation_q": 4, "product_q": 8, "psum_q": 12, "weight_q": 4}


def test_the_netlist_multiplies_and_accumulates(small_mapped: Mapped) -> None:
    values = operand_values(4, signed=True)
    weight, activation = (grid.ravel() for grid in np.meshgrid(values, values, indexing="ij"))
    run = {"rst_n": np.ones(256, np.int32), "weight_q": weight, "activation_q": activation}
    product = _next(small_mapped.netlist, "product_q", run)
    assert np.array_equal(product, (weight * activation) & 0xFF)

    rng = np.random.default_rng(1)
    psum, product = rng.integers(0, 1 << 12, 256), rng.integers(-128, 128, 256)
    run = {"rst_n": np.ones(256, np.int32), "psum_in": psum, "product_q": product}
    assert np.array_equal(_next(small_mapped.netlist, "psum_q", run), (psum + product) & 0xFFF)


def test_reset_clears_the_registers(small_mapped: Mapped) -> None:
    ones = np.full(64, -1, np.int32)
    held = {"rst_n": np.zeros(64, np.int32), "activation_in": ones, "psum_in": ones, "product_q": ones}
    for group in ("activation_q", "product_q", "psum_q", "weight_q"):
        assert not _next(small_mapped.netlist, group, held).any()


def test_json_round_trip_gives_the_same_netlist(small_mapped: Mapped) -> None:
    netlist = small_mapped.netlist
    again = Netlist.from_json(json.loads(json.dumps(netlist.to_json())), netlist.library)
    assert again.to_json() == netlist.to_json()
    assert again.to_verilog().splitlines()[-40:] == netlist.to_verilog().splitlines()[-40:]


def test_order_follows_the_wires(small_mapped: Mapped) -> None:
    netlist = small_mapped.netlist
    position = {index: place for place, index in enumerate(netlist.order)}
    for net, (driver, _) in netlist.drivers.items():
        for load, _ in netlist.loads.get(net, ()):
            if driver in position and load in position:
                assert position[driver] < position[load]


def test_area_is_the_sum_of_the_cells(small_mapped: Mapped) -> None:
    library = small_mapped.netlist.library
    counted = small_mapped.summary()["cells"]
    total = sum(library.cells[name].area_um2 * count for name, count in counted.items())
    assert small_mapped.netlist.area_um2 == pytest.approx(total)


def test_held_weight_is_the_weight_register(small_mapped: Mapped, small_mac: Mac) -> None:
    held = find_held_weight(small_mapped.netlist, small_mac.interface)
    assert [(register.group, register.bit) for register in held.registers] == [
        ("weight_q", b) for b in range(4)
    ]
    stored = sum(row.astype(int) << bit for bit, row in enumerate(held.contents))
    assert np.array_equal(stored, held.values & 0xF)


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=200), st.integers(0, 7))
def test_bits_survive_packing(values: list[int], bit: int) -> None:
    array = np.array(values, np.int32)
    assert np.array_equal(unpack_words(bit_words(array, bit), len(array)), (array >> bit) & 1)


def _write(path: Path, cells: dict[str, object], ports: dict[str, object]) -> Path:
    body = {"attributes": {}, "ports": ports, "cells": cells, "netnames": {}}
    path.write_text(json.dumps({"modules": {"top": body}}))
    return path


def _cell(kind: str, **pins: int) -> dict[str, object]:
    return {"type": kind, "connections": {pin: [net] for pin, net in pins.items()}}


PORTS = {"a": {"direction": "input", "bits": [2]}, "y": {"direction": "output", "bits": [3]}}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"u": _cell("NO_SUCH_CELL", A=2, Z=3)}, "NO_SUCH_CELL"),
        ({"u": _cell("DLH_X1", D=2, G=2, Q=3)}, "latches"),
    ],
)
def test_unusable_cells_are_named(
    cells: dict[str, object], message: str, tmp_path: Path, nangate45_library: Library
) -> None:
    with pytest.raises(NetlistError, match=message):
        Netlist.from_yosys_json(_write(tmp_path / "n.json", cells, PORTS), nangate45_library)


def test_loops_and_double_drivers_are_named(tmp_path: Path, nangate45_library: Library) -> None:
    loop = {"u": _cell("NAND2_X1", A1=2, A2=3, ZN=4), "v": _cell("INV_X1", A=4, ZN=3)}
    netlist = Netlist.from_yosys_json(_write(tmp_path / "n.json", loop, PORTS), nangate45_library)
    with pytest.raises(NetlistError, match="loop through u"):
        _ = netlist.order
    fight = {"u": _cell("INV_X1", A=2, ZN=3), "v": _cell("INV_X1", A=2, ZN=3)}
    netlist = Netlist.from_yosys_json(_write(tmp_path / "n.json", fight, PORTS), nangate45_library)
    with pytest.raises(NetlistError, match="several drivers"):
        _ = netlist.drivers


def test_damaged_files_are_refused(tmp_path: Path, nangate45_library: Library) -> None:
    path = tmp_path / "n.json"
    path.write_text("{}")
    with pytest.raises(NetlistError, match="not a flat netlist"):
        Netlist.from_yosys_json(path, nangate45_library)
    with pytest.raises(NetlistError, match="another library"):
        Netlist.from_json({"ports": []}, nangate45_library)
    with pytest.raises(NetlistError, match="no port 'nope'"):
        Netlist.from_yosys_json(_write(path, {}, PORTS), nangate45_library).port("nope")
