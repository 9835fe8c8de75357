"""Time and energy of a pass through a model, layer by layer, for each of the schemes compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from halo_timing.accelerator.components import DRAM_PJ_PER_BYTE, Memory, sram_pj_per_byte
from halo_timing.accelerator.schemes import BEST, FP16, HALO, SELF, Scheme
from halo_timing.accelerator.shapes import LinearLayer
from halo_timing.accelerator.systolic import Array, level_order, run_cycles
from halo_timing.accelerator.workload import Workload

#: Partial sums lie in the buffer as 32-bit words.
_SUM_BYTES = 4
#: What HALO's levels are held against in every table.
BASE = "w8a8"
REFERENCES = (SELF, BEST, BASE, f"{BASE}_best", FP16)


@dataclass(frozen=True)
class LayerEstimate:
    """One matrix product.

    Parameters
    ----------
    name, count
        Layer, and how many equal ones there are; times are of all of them.
    cycles
        Cycles at each level.
    array_ns, sparse_ns, memory_ns
        Time of array (changes of level included), sparse engine and memory; they work side by side.
    transitions
        Changes of level.
    """

    name: str
    count: int
    cycles: tuple[int, ...]
    array_ns: float
    sparse_ns: float
    memory_ns: float
    transitions: int

    @property
    def time_ns(self) -> float:
        """Time of the slowest of the three."""
        return max(self.array_ns, self.sparse_ns, self.memory_ns)

    @property
    def limit(self) -> str:
        """Which of them that is."""
        times = {"array": self.array_ns, "sparse": self.sparse_ns, "memory": self.memory_ns}
        return max(times, key=lambda name: times[name])


@dataclass(frozen=True)
class Energy:
    """Energy of a pass in mJ; None where a part was not characterised."""

    mac: float | None
    buffers: float
    memory: float
    transitions: float

    @property
    def total(self) -> float | None:
        """All of it, None if a part is unknown."""
        return None if self.mac is None else self.mac + self.buffers + self.memory + self.transitions


@dataclass(frozen=True)
class Estimate:
    """A pass through a model with one scheme; the area is that of all its MACs."""

    scheme: Scheme
    layers: tuple[LayerEstimate, ...]
    energy_mj: Energy
    array_area_mm2: float

    @property
    def time_ms(self) -> float:
        """Time of the pass."""
        return sum(layer.time_ns for layer in self.layers) * 1e-6

    @property
    def array_ms(self) -> float:
        """Time that the array alone would take: what it is without a limit of memory."""
        return sum(layer.array_ns for layer in self.layers) * 1e-6

    @property
    def memory_share(self) -> float:
        """Share of the time in which memory is what limits."""
        limited = sum(layer.time_ns for layer in self.layers if layer.limit == "memory")
        return limited * 1e-6 / self.time_ms

    def to_json(self) -> dict[str, Any]:
        """Plain data, rounded to what is worth reading; unknown energies are null."""
        energy = {**vars(self.energy_mj), "total": self.energy_mj.total}
        return {
            "label": self.scheme.label,
            "mac": self.scheme.mac,
            "weight_bits": round(self.scheme.weight_bits, 4),
            "activation_bits": self.scheme.activation_bits,
            "points": [
                {
                    "period_ps": round(point.period_ps, 3),
                    "vdd_v": round(point.vdd_v, 4),
                    "energy_fj": None if point.energy_fj is None else round(point.energy_fj, 4),
                    "values": point.values,
                }
                for point in self.scheme.points
            ],
            "array_area_mm2": round(self.array_area_mm2, 4),
            "time_ms": round(self.time_ms, 6),
            "array_ms": round(self.array_ms, 6),
            "memory_limited_share": round(self.memory_share, 4),
            "transitions": sum(layer.transitions for layer in self.layers),
            "energy_mj": {name: None if value is None else round(value, 6) for name, value in energy.items()},
            "layers": [
                {
                    "name": layer.name,
                    "count": layer.count,
                    "cycles": list(layer.cycles),
                    "time_ms": round(layer.time_ns * 1e-6, 6),
                    "limit": layer.limit,
                }
                for layer in self.layers
            ],
        }


def estimate(scheme: Scheme, workload: Workload, array: Array, memory: Memory) -> Estimate:
    """Estimate one scheme.

    Tiles of one level run together, so a matrix costs a change of level for each level that it has, but for
    the one at which the matrix before has ended. The sparse part runs at the clock of any weight on an engine
    of its own. Weights, activations and results cross the memory once for each matrix.
    """
    current: int | None = None
    layers = []
    for layer in workload.layers:
        tiles = scheme.tile_levels.counts(layer, array)
        cycles = tuple(
            layer.count * run_cycles(array, count, workload.vectors, scheme.pipeline) for count in tiles
        )
        transitions = 0
        for _ in range(layer.count):
            order = level_order(tiles, current)
            transitions += len(order) - (current is None or order[0] == current)
            current = order[-1]
        clocked_ps = sum(count * point.period_ps for count, point in zip(cycles, scheme.points, strict=False))
        sparse_cycles = layer.count * -(
            -scheme.tile_levels.sparse_weights(layer) * workload.vectors // array.lanes
        )
        layers.append(
            LayerEstimate(
                name=layer.name,
                count=layer.count,
                cycles=cycles,
                array_ns=clocked_ps * 1e-3 + transitions * memory.transition_ns,
                sparse_ns=sparse_cycles * scheme.base.period_ps * 1e-3,
                memory_ns=_memory_bytes(layer, scheme, workload.vectors) / memory.bandwidth_gb_s,
                transitions=transitions,
            )
        )
    has_sparse = any(scheme.tile_levels.sparse_weights(layer) for layer in workload.layers)
    return Estimate(
        scheme=scheme,
        layers=tuple(layers),
        energy_mj=_energy(scheme, workload, array, memory, sum(layer.transitions for layer in layers)),
        array_area_mm2=scheme.area_um2 * (array.elements + (array.lanes if has_sparse else 0)) * 1e-6,
    )


def speedups(estimates: Sequence[Estimate]) -> dict[str, float | None]:
    """How much faster HALO's levels are than each reference; None where it was not characterised."""
    time = {item.scheme.key: item.time_ms for item in estimates}
    return {key: time[key] / time[HALO] if key in time else None for key in REFERENCES}


def energy_ratios(estimates: Sequence[Estimate], part: str = "total") -> dict[str, float | None]:
    """How many times the energy of HALO's levels each reference takes; None where one is unknown."""
    energy: dict[str, float | None] = {item.scheme.key: getattr(item.energy_mj, part) for item in estimates}
    halo = energy[HALO]

    def ratio(other: float | None) -> float | None:
        return None if other is None or not halo else other / halo

    return {key: ratio(energy.get(key)) for key in REFERENCES}


def _memory_bytes(layer: LinearLayer, scheme: Scheme, vectors: int) -> float:
    weights = layer.inputs * layer.outputs * scheme.weight_bits / 8
    return layer.count * (weights + vectors * (layer.inputs + layer.outputs) * scheme.activation_bits / 8)


def _energy(scheme: Scheme, workload: Workload, array: Array, memory: Memory, transitions: int) -> Energy:
    mac_fj: float | None = 0.0
    input_bytes = output_bytes = weight_bytes = sum_bytes = dram_bytes = 0.0
    for layer in workload.layers:
        tiles = scheme.tile_levels.counts(layer, array)
        macs = layer.weights * workload.vectors
        sparse_macs = layer.count * scheme.tile_levels.sparse_weights(layer) * workload.vectors
        # Elements of a tile that hold no weight are taken to stand still.
        used = [
            (macs * count / sum(tiles), point.energy_fj)
            for count, point in zip(tiles, scheme.points, strict=False)
            if count
        ]
        for number, energy_fj in (*used, *([(sparse_macs, scheme.base.energy_fj)] if sparse_macs else [])):
            mac_fj = None if mac_fj is None or energy_fj is None else mac_fj + number * energy_fj
        along_outputs, along_inputs = array.tiles(layer.inputs, layer.outputs)
        activation_bytes = scheme.activation_bits / 8
        streamed = layer.count * workload.vectors
        input_bytes += streamed * layer.inputs * along_outputs * activation_bytes
        output_bytes += streamed * layer.outputs * activation_bytes
        weight_bytes += 2 * layer.weights * scheme.weight_bits / 8
        # Each tile along the inputs adds to what the one before has left.
        sum_bytes += streamed * layer.outputs * (2 * along_inputs - 1) * _SUM_BYTES
        dram_bytes += _memory_bytes(layer, scheme, workload.vectors)
    vdd_v = scheme.base.vdd_v
    by_row = sram_pj_per_byte(memory.buffer_kib / array.rows, vdd_v)
    by_column = sram_pj_per_byte(memory.buffer_kib / array.columns, vdd_v)
    buffers_pj = (input_bytes + output_bytes) * by_row + (weight_bytes + sum_bytes) * by_column
    return Energy(
        mac=None if mac_fj is None else mac_fj * 1e-12,
        buffers=buffers_pj * 1e-9,
        memory=dram_bytes * DRAM_PJ_PER_BYTE * 1e-9,
        transitions=transitions * memory.transition_nj * 1e-6,
    )
