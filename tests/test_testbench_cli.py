"""``halo-timing testbench`` and ``mac show``, on a small MAC, in RTL and in gates."""

from __future__ import annotations

from pathlib import Path

import pytest

from halo_timing.cli import main
from halo_timing.gate_level import write_sources
from halo_timing.mac_model import BenchOptions, MacConfig
from halo_timing.netlist import Instance, Netlist
from halo_timing.rtl import Mac
from halo_timing.testbench import run_testbench
from tests.conftest import SMALL

MAC = f"array:{SMALL}"


def halo(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_rtl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert halo("testbench", "--mac", MAC, "--steps", "100", "--out", tmp_path) == 0
    assert capsys.readouterr().out.count("passed") >= 4


def test_gates_with_delays_and_waves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--level", "gate", "--sdf", "--waves", "--steps", "100", "--out", tmp_path]
    assert halo("testbench", "--mac", MAC, *options) == 0
    assert "waves" in capsys.readouterr().out
    assert (tmp_path / "gates" / "mac.fst").stat().st_size > 0


def test_a_fault_in_the_gates_is_found(small_mac: Mac, small_mapped: object, tmp_path: Path) -> None:
    netlist: Netlist = small_mapped.netlist  # type: ignore[attr-defined]
    position, instance = next(
        (index, instance)
        for index, instance in enumerate(netlist.instances)
        if instance.cell.startswith("XOR2") and index in netlist.order
    )
    instances = list(netlist.instances)
    instances[position] = Instance(instance.name, instance.cell.replace("XOR2", "OR2"), _or_pins(instance))
    broken = Netlist(
        netlist.name, netlist.library, netlist.ports, tuple(instances), netlist.net_names, netlist.groups
    )
    options = BenchOptions(MacConfig.from_parameters(small_mac.parameters), random_steps=100)
    result = run_testbench(write_sources(broken, tmp_path / "gates"), options, build_dir=tmp_path / "build")
    assert not result.passed
    assert any(test.message for test in result.tests)


def _or_pins(instance: Instance) -> dict[str, int]:
    return {"A1": instance.pins["A"], "A2": instance.pins["B"], "ZN": instance.pins["Z"]}


def test_options_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert halo("testbench", "--mac", MAC, "--sdf") == 1
    assert "--level gate" in capsys.readouterr().err


def test_a_mac_is_drawn_with_its_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert halo("characterize", "--mac", MAC, "--out", tmp_path / "some") == 0
    capsys.readouterr()
    assert halo("mac", "show", MAC, "--results", tmp_path) == 0
    text = capsys.readouterr().out
    assert "──►│" in text
    assert "Latency: 3 clock edges" in text
    assert "um2" in text
    assert "ps with 8 values" in text
