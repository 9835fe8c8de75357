"""Running benches: what goes wrong is said, and nothing that cocotb does ends the caller."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from halo_timing import testbench
from halo_timing.errors import ToolError, ToolNotFoundError, UsageError
from halo_timing.mac_model import BenchOptions, MacConfig, MacModel, Step
from halo_timing.resources import rtl_dir

SMALL = MacConfig(weight_width=4, activation_width=4, accumulator_width=12)
PARAMETERS: dict[str, int | str] = {"WEIGHT_WIDTH": 4, "ACTIVATION_WIDTH": 4, "ACCUMULATOR_WIDTH": 12}
OPTIONS = BenchOptions(SMALL, random_steps=20)


def sources() -> list[Path]:
    return sorted(rtl_dir().glob("*.v"))


def test_passing_bench_in_a_folder_with_a_difficult_name(work_dir: Path) -> None:
    folder = work_dir / "b 'u' [i]"
    result = testbench.run_testbench(sources(), OPTIONS, build_dir=folder, parameters=PARAMETERS, waves=True)
    assert result.passed
    assert [test.name for test in result.tests] == [
        "every_product",
        "weight_reload_while_running",
        "accumulation_wraps",
        "reset_in_the_middle",
    ]
    assert result.waves_path is not None
    assert result.waves_path.stat().st_size > 0
    assert result.log_path.is_file()


def test_a_second_run_does_not_see_the_results_of_the_first(tmp_path: Path) -> None:
    assert testbench.run_testbench(sources(), OPTIONS, build_dir=tmp_path, parameters=PARAMETERS).passed
    ending = tmp_path / "ending.v"
    ending.write_text("module mac; initial $finish; endmodule\n")
    with pytest.raises(ToolError) as caught:
        testbench.run_testbench([ending], OPTIONS, build_dir=tmp_path)
    assert caught.value.log_path == tmp_path / "testbench.log"


def test_wrong_expectation_shows_operands(tmp_path: Path) -> None:
    unsigned = BenchOptions(
        MacConfig(weight_width=4, activation_width=4, accumulator_width=12, signed=False), random_steps=20
    )
    result = testbench.run_testbench(sources(), unsigned, build_dir=tmp_path, parameters=PARAMETERS)
    assert not result.passed
    message = next(test.message for test in result.tests if not test.passed)
    assert "expected" in message
    assert "weight=" in message


def test_verilog_that_does_not_compile(tmp_path: Path) -> None:
    source = tmp_path / "mac.v"
    source.write_text("module mac (input clk);\n  assign nothing\nendmodule\n")
    with pytest.raises(ToolError, match=r"mac\.v:3"):
        testbench.run_testbench([source], OPTIONS, build_dir=tmp_path / "build")


def test_sdf_of_another_design(tmp_path: Path) -> None:
    sdf = tmp_path / "other.sdf"
    sdf.write_text(
        '(DELAYFILE (SDFVERSION "3.0") (DESIGN "mac") (TIMESCALE 1ns)\n'
        ' (CELL (CELLTYPE "INV") (INSTANCE nobody) (DELAY (ABSOLUTE (IOPATH A Y (1:1:1) (1:1:1)))))\n)\n'
    )
    with pytest.raises(ToolError, match="nobody"):
        testbench.run_testbench(
            sources(), OPTIONS, build_dir=tmp_path / "build", parameters=PARAMETERS, sdf=sdf
        )


def test_unknown_bench(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="bench_mac, bench_mac_family, bench_quantized_layer, bench_systolic_array"
    ):
        testbench.run_testbench(sources(), OPTIONS, build_dir=tmp_path, bench="bench_nothing")


def test_cocotb_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def without_cocotb(name: str, *rest: Any) -> Any:
        return None if name == "cocotb_tools" else find_spec(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without_cocotb)
    with pytest.raises(ToolNotFoundError, match="testbench"):
        testbench.run_testbench(sources(), OPTIONS, build_dir=tmp_path)


def test_options_survive_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    options = BenchOptions(SMALL, period_ps=7, seed=5, rows=2)
    for name, value in options.to_environment().items():
        monkeypatch.setenv(name, value)
    assert BenchOptions.from_environment() == options


@pytest.mark.parametrize("pipeline", ["two_stage", "fused"])
def test_model_has_the_documented_latency(pipeline: str) -> None:
    config = MacConfig(pipeline=pipeline)
    model = MacModel(config)
    model.edge(Step(weight=3, weight_load=True, activation=5))
    for edges in range(2, config.latency + 1):
        assert model.psum == 0, edges
        model.edge(Step())
    assert model.psum == 15
