"""A throughput machine with a clock for each class of tiles: HALO's second platform, as a model.

No GPU has such clocks. What is modelled is the arithmetic of the claim: so many MACs a cycle, at the
published clock of each tile's class, under the roofline of the memory. Pipelines are taken to be full, so
that nothing but clocks, bits and bandwidth counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from halo_timing.accelerator.workload import Workload
from halo_timing.errors import UsageError


@dataclass(frozen=True)
class TensorCores:
    """The machine.

    Parameters
    ----------
    macs_per_cycle
        8-bit products in a cycle; half as many of 16 bits.
    bandwidth_gb_s
        Of the memory, 10^9 bytes a second.
    transition_us
        Time of a change of clock, once for each class of each matrix.

    The defaults are an A100's (NVIDIA, "A100 Tensor Core GPU architecture", 2020): 108 processors with 2048
    dense INT8 products a cycle each, 1555 GB/s; a change of clock is taken to cost nothing.
    """

    macs_per_cycle: int = 108 * 2048
    bandwidth_gb_s: float = 1555.0
    transition_us: float = 0.0


@dataclass(frozen=True)
class Tiles:
    """Tiles of one class: their share, clock and bits a weight."""

    share: float
    freq_ghz: float
    weight_bits: float


def pass_ms(
    machine: TensorCores, workload: Workload, tiles: Sequence[Tiles], *, activation_bits: int = 8
) -> float:
    """Time of a pass through the model.

    Raises
    ------
    UsageError
        If the shares do not add to 1.
    """
    if abs(sum(part.share for part in tiles) - 1) > 1e-6:
        raise UsageError("the shares of the tiles must add to 1")
    used = [part for part in tiles if part.share > 0]
    rate = machine.macs_per_cycle * (8 / activation_bits)
    total_ns = 0.0
    for layer in workload.layers:
        size = layer.inputs * layer.outputs
        compute = sum(size * workload.vectors * part.share / (rate * part.freq_ghz) for part in used)
        compute += (len(used) - 1) * machine.transition_us * 1e3
        weight_bytes = sum(size * part.share * part.weight_bits / 8 for part in used)
        moved = weight_bytes + workload.vectors * (layer.inputs + layer.outputs) * activation_bits / 8
        total_ns += layer.count * max(compute, moved / machine.bandwidth_gb_s)
    return total_ns * 1e-6


def gpu_times_ms(
    workload: Workload, shares: Sequence[float], levels: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Return times of HALO's tiles and of uniform weights at the clock of any weight.

    Parameters
    ----------
    shares
        Of tiles in the fast and in the middle class; what is left runs at the slowest clock.
    levels
        Published supply and clock (GHz) of the classes ``"32"``, ``"16"`` and ``"1"``.
    """
    fast, mid, base = (levels[name][1] for name in ("32", "16", "1"))
    parts = [*shares, 0.0, 0.0, 0.0][:3]
    machine = TensorCores()
    tiles = [Tiles(parts[0], fast, 3.0), Tiles(parts[1], mid, 4.0), Tiles(parts[2], base, 8.0)]
    return {
        "HALO": pass_ms(machine, workload, tiles),
        "W8A8": pass_ms(machine, workload, [Tiles(1.0, base, 8.0)]),
        "W4A8": pass_ms(machine, workload, [Tiles(1.0, base, 4.0)]),
        "FP16": pass_ms(machine, workload, [Tiles(1.0, base, 16.0)], activation_bits=16),
    }
