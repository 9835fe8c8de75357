"""The methods that an evaluation compares: baselines, HALO as it was published, and ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from halo_timing.costmap.model import CostMap
from halo_timing.errors import UsageError
from halo_timing.quantize.estimator import Quantizer
from halo_timing.quantize.gptq import GptqQuantizer
from halo_timing.quantize.halo import HaloQuantizer, level_codebooks, usable_levels
from halo_timing.quantize.rtn import RtnQuantizer

#: Share of the weights that is kept apart by the methods that choose them by their error.
SPARSE_SHARE = 0.005
#: Share of the weights at the fastest level, of the points that HALO calls perf and bal.
PERF_SHARE, BAL_SHARE = 0.95, 0.5


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
    sequential: bool = False
    cost_map: str = ""
    float_inputs: bool = False

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
            f"gptq-w{bits}-g{group}-descent",
            f"GPTQ to {bits} bits, then two rounds of new scales and coordinate descent",
            GptqQuantizer(bits, group, sweeps=2),
        )


def _of_cost_map(name: str, cost_map: CostMap, tile: int | tuple[int, int]) -> Iterator[Method]:
    books = level_codebooks(cost_map)
    levels = usable_levels(books, None)
    sizes = [len(books[level]) for level in levels]

    def ours(point: str, summary: str, **options: object) -> Method:
        parameters = {"levels": levels, "sparse_share": SPARSE_SHARE, **options}
        return Method(
            f"{name}-{point}", summary, HaloQuantizer(cost_map, tile, **parameters), cost_map=name
        )

    def published(point: str, share: float, used: tuple[int, ...]) -> Method:
        quantizer = HaloQuantizer(
            cost_map, tile, used, share, salient_share=0.0005, allocation="fisher", plain=True
        )
        summary = "HALO's recipe: outliers and Fisher kept apart, tiles by cumulated Fisher, plain rounding"
        return Method(f"{name}-halo-{point}", f"{summary}; {point}", quantizer, cost_map=name)

    fast = f"{sizes[0]} values"
    if len(levels) < 2:
        yield ours("fast", f"all tiles of {fast}", fast_share=1.0)
        return
    mixed = f"{fast} and {sizes[1]}"
    yield published("perf", PERF_SHARE, levels)
    yield published("bal", BAL_SHARE, levels)
    yield published("acc", 1.0, levels[1:])
    yield ours("perf", f"{PERF_SHARE:.0%} of tiles fast, {mixed}", fast_share=PERF_SHARE)
    yield ours("bal", f"{BAL_SHARE:.0%} of tiles fast, {mixed}", fast_share=BAL_SHARE)
    yield ours("acc", f"all tiles of {sizes[1]} values", levels=levels[1:], fast_share=1.0)
    yield ours("fast", f"all tiles of {fast}", fast_share=1.0, levels=levels[:1])
    yield ours("bal-plain", "bal with plain rounding", fast_share=BAL_SHARE, plain=True)
    yield ours("bal-fisher", "bal with tiles by cumulated Fisher", fast_share=BAL_SHARE, allocation="fisher")
    following = [level for level in range(levels[1] + 1, len(books)) if len(books[level]) <= 64]
    if following:
        three = (*levels, following[0])
        size = len(books[following[0]])
        yield ours("perf-3", f"perf with a level of {size} values", fast_share=PERF_SHARE, levels=three)
        yield ours("bal-3", f"bal with a level of {size} values", fast_share=BAL_SHARE, levels=three)
        yield ours("third", f"all tiles of {size} values", fast_share=1.0, levels=following[:1])
