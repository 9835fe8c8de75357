"""What is compared: how weights are stored, on which MAC, and at which clocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.accelerator.mac_cost import MacUnit, OperatingPoint, normal_codes, read_synthesis
from halo_timing.accelerator.shapes import LinearLayer
from halo_timing.accelerator.systolic import Array, Pipeline
from halo_timing.accelerator.tile_levels import QuantizedLevels, SharedLevels, TileLevels
from halo_timing.costmap.model import CostMap
from halo_timing.errors import CostMapError

HALO = "halo"
SELF = "self"
BEST = "best"
FP16 = "fp16"
#: Widths of the uniform grids that everything is held against; the first is what the MAC is made for.
BASE_BITS = 8
GRID_BITS = (BASE_BITS, 4, 3)
# One scale in 16 bits for 128 weights, as group-wise rounding stores it.
_SCALE_BITS = 16 / 128
# Code and position (in a tile of 128 x 128) of a weight that is kept apart.
_SPARSE_BITS = 8 + 14


@dataclass(frozen=True)
class Scheme:
    """One column of a comparison.

    Parameters
    ----------
    key, label
        Short name, and what to print.
    mac
        MAC that it runs on.
    points
        Operating point of each level.
    base
        Operating point of the sparse engine: right for every value.
    tile_levels
        Which tiles run at which of `points`.
    weight_bits, activation_bits
        Bits that memory holds for a weight, all included, and for an activation.
    area_um2
        Area of a MAC.
    pipeline
        Cycles of a MAC.
    """

    key: str
    label: str
    mac: str
    points: tuple[OperatingPoint, ...]
    base: OperatingPoint
    tile_levels: TileLevels
    weight_bits: float
    activation_bits: int
    area_um2: float
    pipeline: Pipeline


@dataclass(frozen=True)
class _AtOneClock:
    """The tiles of another scheme, all at one clock."""

    tile_levels: TileLevels

    def counts(self, layer: LinearLayer, array: Array) -> tuple[int, ...]:
        return (sum(self.tile_levels.counts(layer, array)),)

    def sparse_weights(self, layer: LinearLayer) -> int:
        return self.tile_levels.sparse_weights(layer)


@dataclass(frozen=True)
class FloatUnit:
    """A characterised floating-point MAC: one clock, whatever it holds."""

    name: str
    pdk: str
    corner: str
    area_um2: float
    pipeline: Pipeline
    point: OperatingPoint
    weight_bits: int

    @classmethod
    def load(cls, folder: Path) -> FloatUnit:
        """Read a folder of ``halo-timing mac float``.

        Raises
        ------
        CostMapError
            If it is not one.
        """
        synthesis = read_synthesis(folder)
        try:
            unit = synthesis["float"]
            period_ps = float(synthesis["worst_period_ps"])
            leakage_fj = float(unit["energy_parts"]["leakage_nw"]) * period_ps * 1e-6
            return cls(
                name=str(unit["mac"]),
                pdk=str(unit["pdk"]),
                corner=str(unit["corner"]),
                area_um2=float(synthesis["area_um2"]),
                pipeline=Pipeline(int(unit["hop"]), int(unit["latency"])),
                point=OperatingPoint(
                    period_ps,
                    float(unit["vdd_v"]),
                    float(unit["energy_fj"]) + leakage_fj,
                    1 << int(unit["weight_width"]),
                ),
                weight_bits=int(unit["weight_width"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CostMapError(
                f"{folder}: no floating-point MAC; make it with `halo-timing mac float`"
            ) from error


def level_bits(cost_map: CostMap, tile_levels: SharedLevels) -> float:
    """Bits a weight where only shares are known: index, a scale for 128 weights, sparse part."""
    index = sum(
        share * math.log2(len(level.codebook))
        for share, level in zip(tile_levels.shares, cost_map.levels, strict=False)
    )
    return index + _SCALE_BITS + tile_levels.sparse_share * _SPARSE_BITS


def build_schemes(
    unit: MacUnit,
    cost_map: CostMap,
    best: MacUnit,
    tile_levels: SharedLevels | QuantizedLevels,
    float_unit: FloatUnit | None = None,
) -> tuple[Scheme, ...]:
    """HALO's scheme and all that it has to be held against.

    Parameters
    ----------
    unit, cost_map
        The MAC whose levels are used, and these levels.
    best
        The fastest conventional MAC on the same cells.
    tile_levels
        Which tiles run at which level.
    float_unit
        The floating-point MAC, if it was characterised.

    Returns
    -------
    tuple of Scheme
        ``halo`` first; ``self`` and ``best`` run the same codes at one clock on the same MAC and on the best
        one; ``wNa8…`` are uniform grids on either, at the period of its slowest weight, and (``_shifted``)
        at that of the values that the grid really uses, shifted to where the MAC is fastest.
    """
    halo_points = tuple(
        unit.at_period(level.codebook, level.period_ps, level.vdd_v, _level_codes(unit, tile_levels, index))
        for index, level in enumerate(cost_map.levels)
    )
    if isinstance(tile_levels, QuantizedLevels):
        bits = tile_levels.effective_bits
    else:
        bits = level_bits(cost_map, tile_levels)
    schemes = [_integer(HALO, "HALO", unit, halo_points, tile_levels, bits)]
    codes = _all_codes(unit, cost_map, tile_levels)
    for key, mac in ((SELF, unit), (BEST, best)):
        point = (mac.worst(codes),)
        schemes.append(_integer(key, "one clock", mac, point, _AtOneClock(tile_levels), bits))
    schemes += [scheme for suffix, mac in (("", unit), ("_best", best)) for scheme in _grids(mac, suffix)]
    if float_unit:
        schemes.append(
            Scheme(
                key=FP16,
                label="FP16",
                mac=float_unit.name,
                points=(float_unit.point,),
                base=float_unit.point,
                tile_levels=SharedLevels((1.0,)),
                weight_bits=float_unit.weight_bits,
                activation_bits=16,
                area_um2=float_unit.area_um2,
                pipeline=float_unit.pipeline,
            )
        )
    return tuple(schemes)


def _grids(mac: MacUnit, suffix: str) -> Iterator[Scheme]:
    """Uniform grids on a MAC: signed off for any weight, and shifted to its fastest values."""
    everywhere = SharedLevels((1.0,))
    for bits in GRID_BITS:
        grid = mac.grid(bits)
        # Eight bits are scaled by output, fewer by group: what the methods behind these names do.
        stored_bits = bits + (0.0 if bits == BASE_BITS else _SCALE_BITS)
        point = mac.at_period(grid, mac.worst().period_ps, mac.vdd_v)
        key = f"w{bits}a8{suffix}"
        yield _integer(key, f"W{bits}A8", mac, (point,), everywhere, stored_bits)
        shift, period_ps = mac.fastest_shift(bits)
        if bits < BASE_BITS:
            point = mac.at_period(grid << shift, period_ps, mac.vdd_v)
            label = f"W{bits}A8 << {shift}"
            yield _integer(f"{key}_shifted", label, mac, (point,), everywhere, stored_bits)


def _integer(
    key: str,
    label: str,
    mac: MacUnit,
    points: tuple[OperatingPoint, ...],
    tile_levels: TileLevels,
    weight_bits: float,
) -> Scheme:
    return Scheme(
        key=key,
        label=label,
        mac=mac.name,
        points=points,
        base=mac.worst(),
        tile_levels=tile_levels,
        weight_bits=weight_bits,
        activation_bits=8,
        area_um2=mac.area_um2,
        pipeline=mac.pipeline,
    )


def _level_codes(
    unit: MacUnit, tile_levels: SharedLevels | QuantizedLevels, level: int
) -> NDArray[np.float64] | None:
    """How often a level's tiles hold each value of the MAC; None where no model says."""
    if not isinstance(tile_levels, QuantizedLevels) or not tile_levels.code_counts[level].any():
        return None
    counts: NDArray[np.int64] = tile_levels.code_counts[level]
    return counts[unit.values.astype(np.int64) + 128].astype(np.float64)


def _all_codes(
    unit: MacUnit, cost_map: CostMap, tile_levels: SharedLevels | QuantizedLevels
) -> NDArray[np.float64]:
    """How often all tiles together hold each value of the MAC."""
    if isinstance(tile_levels, QuantizedLevels):
        counts: NDArray[np.int64] = tile_levels.code_counts.sum(axis=0)
        return counts[unit.values.astype(np.int64) + 128].astype(np.float64)
    pairs = zip(tile_levels.shares, cost_map.levels, strict=False)
    return np.asarray(sum(share * normal_codes(unit.values, level.codebook) for share, level in pairs))
