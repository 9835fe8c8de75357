"""The throughput machine: by hand, and at the limits of memory."""

from __future__ import annotations

import pytest

from halo_timing.accelerator.shapes import LinearLayer, ModelShape
from halo_timing.accelerator.tensor_core import TensorCores, Tiles, gpu_times_ms, pass_ms
from halo_timing.accelerator.workload import Workload
from halo_timing.errors import UsageError
from halo_timing.reproduction.halo import published, time_ratio

SHAPE = ModelShape("one", (LinearLayer("x", 4096, 4096, count=2),))


def test_what_is_not_limited_by_memory_is_the_clocks() -> None:
    times = gpu_times_ms(Workload(SHAPE, "prefill", batch=8), (0.25, 0.75), published()["levels"])
    assert times["HALO"] / times["W8A8"] == pytest.approx(time_ratio(0.25, 3.7, 2.4, 1.9))
    # Twice the products of 16 bits take twice the cycles.
    assert times["FP16"] / times["W8A8"] == pytest.approx(2)
    assert times["W4A8"] == times["W8A8"]
    assert times["W8A8"] == pytest.approx(2 * 4096**2 * 8 * 2048 / (108 * 2048 * 1.9) * 1e-6)


def test_what_is_limited_by_memory_is_the_bits() -> None:
    times = gpu_times_ms(Workload(SHAPE, "decode"), (1.0,), published()["levels"])
    weights, vectors = 4096**2, 2 * 4096
    assert times["W8A8"] / times["HALO"] == pytest.approx((weights + vectors) / (weights * 3 / 8 + vectors))


def test_changes_of_clock_are_paid_for() -> None:
    workload = Workload(SHAPE, "prefill")
    tiles = [Tiles(0.5, 2.0, 4.0), Tiles(0.5, 1.0, 4.0)]
    free, paid = (pass_ms(TensorCores(transition_us=us), workload, tiles) for us in (0, 10))
    assert paid - free == pytest.approx(2 * 10e-3)


def test_shares_must_add_up() -> None:
    with pytest.raises(UsageError, match="add to 1"):
        pass_ms(TensorCores(), Workload(SHAPE, "decode"), [Tiles(0.5, 1.0, 4.0)])
