"""Speed of quantizing, on the layer shapes of SmolLM2-135M (106 M weights in 210 layers).

    python benchmarks/quantize.py [--layers 30] [--seed 0]

Weights are heavy-tailed random numbers, Hessians those of correlated random inputs: speed depends on sizes,
hardly on values. Timed are plain rounding with searched scales (no calibration), GPTQ, and the best recipe: a
plan over the whole model, sparse weights by error, error feedback, two rounds of new scales and coordinate
descent. Kernels are compiled before. The peak of resident memory includes the weights and Hessians.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from halo_timing.costmap.model import CostMap, Level
from halo_timing.quantize import GptqQuantizer, HaloQuantizer, LayerStatistics, plan_model

HIDDEN, INTERMEDIATE, KEYS = 576, 1536, 192
SHAPES = {
    "q": (HIDDEN, HIDDEN),
    "k": (KEYS, HIDDEN),
    "v": (KEYS, HIDDEN),
    "o": (HIDDEN, HIDDEN),
    "gate": (INTERMEDIATE, HIDDEN),
    "up": (INTERMEDIATE, HIDDEN),
    "down": (HIDDEN, INTERMEDIATE),
}


def array_levels() -> CostMap:
    """Levels of a weight-row array: multiples of 32, of 16, and all."""
    values = np.arange(-128, 128, dtype=np.int16)
    period = np.full(256, 1140, np.float32)
    period[values % 16 == 0], period[values % 32 == 0] = 975, 850
    levels = tuple(
        Level(values[values % step == 0], period_ps, 1.1)
        for step, period_ps in ((32, 850), (16, 975), (1, 1140))
    )
    return CostMap(
        values, period, period, period * np.nan, levels, {"weight_width": 8, "weight_signed": True}
    )


def hessian(inputs: int, rng: np.random.Generator) -> NDArray[np.float32]:
    mixing = (
        rng.standard_normal((inputs, inputs)) * np.exp(-np.arange(inputs) / inputs * 4)[:, None]
    ).astype(np.float32)
    samples = rng.standard_normal((2 * inputs, inputs)).astype(np.float32) @ mixing
    return samples.T @ samples / np.float32(len(samples))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    hessians = {inputs: hessian(inputs, rng) for inputs in (HIDDEN, INTERMEDIATE)}
    weights = {
        f"{layer}.{name}": (rng.standard_t(5, shape) * 0.02).astype(np.float32)
        for layer in range(arguments.layers)
        for name, shape in SHAPES.items()
    }
    known = {
        name: LayerStatistics(
            hessians[weight.shape[1]].diagonal().copy(),
            hessians[weight.shape[1]],
            rng.exponential(size=weight.shape[0]).astype(np.float32),
        )
        for name, weight in weights.items()
    }
    levels = array_levels()

    def rounding(names: list[str]) -> Iterator[None]:
        for name in names:
            yield HaloQuantizer(levels, levels=(0,)).fit_quantize(weights[name])

    def gptq(names: list[str]) -> Iterator[None]:
        for name in names:
            yield GptqQuantizer(4).fit_quantize(weights[name], known[name])

    def best(names: list[str]) -> Iterator[None]:
        base = HaloQuantizer(levels, sparse_share=0.005)
        plan = plan_model(names, weights.__getitem__, base, known.__getitem__)
        for name in names:
            yield plan.quantizer(name).fit_quantize(weights[name], known[name])

    total = sum(weight.size for weight in weights.values())
    methods: dict[str, Callable[[list[str]], Iterator[None]]] = {
        "rounding with scale search": rounding,
        "GPTQ, 4 bits": gptq,
        "best recipe": best,
    }
    for name, method in methods.items():
        for _ in method(list(weights)[:1]):
            pass
        started, used = time.perf_counter(), time.process_time()
        for _ in method(list(weights)):
            pass
        seconds, cpu = time.perf_counter() - started, time.process_time() - used
        print(
            f"{name:28} {seconds:6.1f} s  {cpu:6.1f} CPU s  {total / seconds / 1e6:6.2f} M weights/s",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{total:,} weights, peak {peak:.2f} GB")


if __name__ == "__main__":
    main()
