"""The methods that an evaluation compares: baselines, HALO as it was published, and ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap import choose_codebook
from halo_timing.costmap.model import CostMap, Level
from halo_timing.errors import UsageError
from halo_timing.quantize.estimator import Quantizer
from halo_timing.quantize.gptq import GptqQuantizer
from halo_timing.quantize.halo import SPARSE_SHARE, HaloQuantizer, level_codebooks, usable_levels
from halo_timing.quantize.rtn import RtnQuantizer

#: Share of the weights at the fastest level, of the points that HALO calls perf and bal.
PERF_SHARE, BAL_SHARE = 0.95, 0.5
# Larger codebooks are no rivals of 3 and 4 bits.
_MIXED = 64


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Parameters
    ----------
    name
        Such as ``gptq-w4-g128``.
    summary
        What it is, in a few words.
    quantizer
        None where the weights stay as they are.
    weighted
        Whether a calibration is used; else the weights are all it sees.
    loss_weighted
        Whether tokens count in a calibration by how much the loss depends on them, or all alike.
    sequential
        Calibrate each block on what the quantized blocks before it give.
    cost_map
        Name of the cost map whose levels it uses; empty for uniform grids.
    float_inputs
        Whether activations stay in float.
    """

    name: str
    summary: str
    quantizer: Quantizer | None
    weighted: bool = True
    loss_weighted: bool = False
    sequential: bool = False
    cost_map: str = ""
    float_inputs: bool = False

    @property
    def levels(self) -> CostMap | None:
        """Cost map that the quantizer uses: the one named, or one with levels chosen from it."""
        return self.quantizer.cost_map if isinstance(self.quantizer, HaloQuantizer) else None

    @property
    def needs_fisher(self) -> bool:
        """Whether it goes by Fisher diagonals, as HALO does."""
        quantizer = self.quantizer
        return isinstance(quantizer, HaloQuantizer) and (
            quantizer.salient_share > 0 or quantizer.allocation == "fisher"
        )

    @property
    def planned(self) -> bool:
        """Whether levels are chosen over the whole model at once."""
        return isinstance(self.quantizer, HaloQuantizer) and self.weighted


def standard_methods(cost_maps: Mapping[str, CostMap], tile: int | tuple[int, int] = 128) -> list[Method]:
    """All methods that make sense with these cost maps, by name.

    Parameters
    ----------
    cost_maps
        Name, such as that of the MAC, → cost map.
    tile
        Outputs and inputs of a tile.
    """
    methods = [
        Method("float", "the model as it came", None, weighted=False, float_inputs=True),
        Method("a8", "activations rounded, weights as they came", None, weighted=False),
        *_uniform(tile if isinstance(tile, int) else tile[1]),
    ]
    for name, cost_map in cost_maps.items():
        methods += _of_cost_map(name, cost_map, tile)
    return methods


def choose_methods(methods: Sequence[Method], patterns: Sequence[str]) -> list[Method]:
    """Methods whose names match one of some shell patterns, in their own order; no pattern means all.

    Raises
    ------
    UsageError
        If a pattern matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(method.name, pattern) for method in methods):
            names = ", ".join(method.name for method in methods)
            raise UsageError(f"--method {pattern}: there is none of that name; there are {names}")
    return [
        method
        for method in methods
        if not patterns or any(fnmatchcase(method.name, pattern) for pattern in patterns)
    ]


def _uniform(group: int) -> Iterator[Method]:
    for bits in (8, 4, 3):
        for width, suffix in ((None, "channel"), (group, f"g{group}")):
            for search in (False, True):
                yield Method(
                    f"rtn-w{bits}-{suffix}-{'search' if search else 'absmax'}",
                    f"rounding to {bits} bits, one scale per "
                    f"{'output' if width is None else f'{width} inputs of an output'}, "
                    + ("searched under E[x²]" if search else "absmax"),
                    RtnQuantizer(bits, width, search),
                    weighted=search,
                )
    for bits in (4, 3):
        for sequential in (False, True):
            yield Method(
                f"gptq-w{bits}-g{group}{'-sequential' if sequential else ''}",
                f"GPTQ to {bits} bits, searched scales, "
                + ("block after block" if sequential else "all layers at once"),
                GptqQuantizer(bits, group),
                sequential=sequential,
            )
        yield Method(
            f"gptq-w{bits}-g{group}-loss",
            f"GPTQ to {bits} bits, tokens weighted by what the loss depends on",
            GptqQuantizer(bits, group),
            loss_weighted=True,
        )
        yield Method(
            f"gptq-w{bits}-g{group}-descent",
            f"GPTQ to {bits} bits, tokens weighted, then two rounds of new scales and coordinate descent",
            GptqQuantizer(bits, group, sweeps=2),
            loss_weighted=True,
        )


def _of_cost_map(name: str, cost_map: CostMap, tile: int | tuple[int, int]) -> Iterator[Method]:
    books = level_codebooks(cost_map)
    first = usable_levels(books, None)[0]
    size = len(books[first])
    # A level with hardly more values is nothing to choose between.
    finer = [level for level in range(first + 1, len(books)) if 1.5 * size <= len(books[level]) <= _MIXED]

    def ours(point: str, summary: str, own: CostMap = cost_map, **options: object) -> Method:
        parameters = {"sparse_share": SPARSE_SHARE, "fast_share": 1.0, **options}
        quantizer = HaloQuantizer(own, tile, **parameters)  # type: ignore[arg-type]
        return Method(f"{name}-{point}", summary, quantizer, cost_map=name)

    def published(point: str, share: float, levels: tuple[int, ...]) -> Method:
        quantizer = HaloQuantizer(
            cost_map, tile, levels, share, salient_share=0.0005, allocation="fisher", plain=True
        )
        summary = "HALO's recipe: outliers and Fisher kept apart, tiles by cumulated Fisher, plain rounding"
        return Method(f"{name}-halo-{point}", f"{summary}; {point}", quantizer, cost_map=name)

    if finer:
        both = (first, finer[0])
        sizes = f"{size} and {len(books[finer[0]])} values"
        yield published("perf", PERF_SHARE, both)
        yield published("bal", BAL_SHARE, both)
        yield published("acc", 1.0, both[1:])
        yield ours("perf", f"{PERF_SHARE:.0%} of tiles fast, {sizes}", levels=both, fast_share=PERF_SHARE)
        yield ours("bal", f"{BAL_SHARE:.0%} of tiles fast, {sizes}", levels=both, fast_share=BAL_SHARE)
        yield ours("acc", f"all tiles of {len(books[finer[0]])} values", levels=both[1:])
        for other, summary, options in (
            ("plain", "with plain rounding", {"plain": True}),
            ("fisher", "with tiles by cumulated Fisher", {"allocation": "fisher"}),
        ):
            yield ours(
                f"bal-{other}", f"bal {summary}", cost_map, levels=both, fast_share=BAL_SHARE, **options
            )
    yield ours("fast", f"all tiles of {size} values", levels=(first,))
    if finer:
        yield from _within_limits(cost_map, both, ours)


def _within_limits(
    cost_map: CostMap, levels: tuple[int, int], ours: Callable[..., Method]
) -> Iterator[Method]:
    """Codebooks that are not the classes of the MAC, chosen under a limit of delay."""
    limit_ps = cost_map.levels[levels[1]].period_ps
    for count in (8, 9):
        chosen = choose_codebook(cost_map.values, cost_map.period_ps, limit_ps, count)
        yield ours(
            f"chosen-{count}", f"{count} values chosen within {limit_ps:.0f} ps", _only(cost_map, chosen)
        )
    # The third level is the next one with twice as many values.
    slow_ps = float(
        np.sort(cost_map.period_ps)[
            min(2 * len(cost_map.levels[levels[1]].codebook), len(cost_map.values)) - 1
        ]
    )
    every = cost_map.values[(cost_map.period_ps <= slow_ps) | (cost_map.values == 0)]
    if len(every) > _MIXED:
        return
    chosen = choose_codebook(cost_map.values, cost_map.period_ps, slow_ps, 16)
    yield ours("chosen-16", f"16 values chosen within {slow_ps:.0f} ps", _only(cost_map, chosen))
    yield ours("third", f"all {len(every)} values within {slow_ps:.0f} ps", _only(cost_map, every))
    three = replace(
        cost_map,
        levels=(*(cost_map.levels[level] for level in levels), _level(cost_map, every), cost_map.levels[-1]),
    )
    for point, share in (("perf-3", PERF_SHARE), ("bal-3", BAL_SHARE)):
        yield ours(
            point,
            f"{point[:-2]} with a level of {len(every)} values",
            three,
            levels=(0, 1, 2),
            fast_share=share,
        )


def _level(cost_map: CostMap, values: NDArray[np.int16]) -> Level:
    slowest = float(cost_map.period_ps[np.isin(cost_map.values, values)].max())
    return Level(values.astype(np.int16), slowest, cost_map.levels[-1].vdd_v)


def _only(cost_map: CostMap, values: NDArray[np.int16]) -> CostMap:
    """Cost map with a level of these values, and the slowest one for the weights that are kept apart."""
    return replace(cost_map, levels=(_level(cost_map, values), cost_map.levels[-1]))
