"""The floating-point MAC: numpy is its oracle, in RTL and on gates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from halo_timing.characterization import mapping_target
from halo_timing.float_mac import CANONICAL_NAN, DEFAULT_STAGES, STAGES, float_mac, latency, multiply_add
from halo_timing.gate_level import write_sources
from halo_timing.held_weight import find_held_weight
from halo_timing.mac_model import BenchOptions, MacConfig
from halo_timing.pdk.registry import load_pdk
from halo_timing.reference import check_reference
from halo_timing.resources import rtl_dir
from halo_timing.synthesis import synthesize
from halo_timing.testbench import run_testbench
from halo_timing.tools.yosys import Yosys
from tests.test_rtl_family import lint

_PERIOD_PS = 100_000
TESTS = 4


def bench(
    sources: list[Path], folder: Path, steps: int, exhaustive: bool = False, **settings: object
) -> None:
    options = BenchOptions(
        MacConfig(), period_ps=_PERIOD_PS, random_steps=steps, exhaustive_bits=16 if exhaustive else 8
    )
    result = run_testbench(
        sources,
        options,
        build_dir=folder,
        bench="bench_fp_mac",
        top="fp_mac",
        **settings,  # type: ignore[arg-type]
    )
    assert result.passed, [test.message for test in result.tests if test.message]
    assert len(result.tests) == TESTS


@pytest.mark.parametrize("stages", STAGES)
def test_bench_passes_in_rtl(stages: int, tmp_path: Path) -> None:
    bench(sorted(rtl_dir().glob("*.v")), tmp_path, 400, parameters={"ADD_STAGES": stages})


@pytest.fixture(scope="module")
def gates(yosys: Yosys, tmp_path_factory: pytest.TempPathFactory) -> object:
    pdk = load_pdk("nangate45", install=True)
    folder = tmp_path_factory.mktemp("float")
    return synthesize(float_mac(), mapping_target(pdk, pdk.default_corner), "delay", yosys, folder)


def test_gates_compute_what_numpy_does(gates, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mac = float_mac()
    held = find_held_weight(gates, mac.interface)
    assert len(held.registers) == 16 + 20
    check = check_reference(gates, mac.interface, held, multiply_add)
    assert (check.kind, check.latency) == ("settles", latency(DEFAULT_STAGES))
    bench(write_sources(gates, tmp_path / "gates"), tmp_path / "build", 400)


@pytest.mark.fuzz
@pytest.mark.parametrize("level", ["rtl", "gate"])
def test_long_campaign(level: str, gates, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    sources = sorted(rtl_dir().glob("*.v")) if level == "rtl" else write_sources(gates, tmp_path / "gates")
    bench(sources, tmp_path / "build", 100_000, exhaustive=True)


@pytest.mark.parametrize("stages", STAGES)
@pytest.mark.parametrize("multiplier", ["dadda", "booth"])
def test_lint_is_clean(stages: int, multiplier: str) -> None:
    finished = lint("fp_mac", {"ADD_STAGES": stages, "MULTIPLIER": multiplier})
    assert finished.returncode == 0, finished.stderr


def test_a_wrong_number_of_stages_is_refused() -> None:
    assert lint("fp_mac", {"ADD_STAGES": 6}).returncode != 0


def test_oracle_rounds_once() -> None:
    # Against exact arithmetic: the float64 sum of an exact product and a near sum is itself exact.
    rng = np.random.default_rng(5)
    weight, activation = rng.integers(0x3800, 0x4400, (2, 20_000))
    partial_sum = rng.integers(0x3F000000, 0x41000000, 20_000)
    exact = weight.astype(np.uint16).view(np.float16).astype(np.float64) * activation.astype(np.uint16).view(
        np.float16
    ).astype(np.float64) + partial_sum.astype(np.uint32).view(np.float32).astype(np.float64)
    bits = multiply_add(weight, activation, partial_sum)
    np.testing.assert_array_equal(bits, exact.astype(np.float32).view(np.uint32))


def test_oracle_of_what_is_no_number() -> None:
    infinite, nan, one = 0x7C00, 0x7E00, 0x3C00
    cases = [(infinite, 0, 0), (nan, one, 0), (one, one, 0x7F800001), (infinite, one, 0xFF800000)]
    assert all(multiply_add(*np.array(case)[:, None])[0] == CANONICAL_NAN for case in cases)
