"""Quantizes a synthetic sharded checkpoint: peak memory, and the same bytes after any number of kills.

::

    python benchmarks/stream.py FOLDER [--gigabytes 8] [--kills 6] [--seed 0] [--limit-gb 1.5]

writes a checkpoint of random weights below FOLDER (a Llama of BF16 shards, the last one in F32), quantizes
it to all formats with `halo-timing quantize` in a process of its own, and again with the process killed at
random moments and started anew. It prints the time and the peak resident memory of every run, and fails where
the peak passes the limit or a byte differs. About four times the checkpoint's size is needed on disk; all is
removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halo_timing.costmap.model import CostMap, Level
from halo_timing.files import sha256_file
from halo_timing.quantize.outputs import FORMATS
from halo_timing.quantize.tensor_file import encode_float32, make_header, write_tensor_file

# Layer shapes of an 8 billion parameter Llama; the number of layers follows from the size asked for.
HIDDEN, INTERMEDIATE, KEYS, VOCABULARY = 4096, 14336, 1024, 128256
OPTIONS = ["--no-baselines", *(word for name in FORMATS for word in ("--format", name))]
SHARD_BYTES = 2 << 30
_ROWS = 1 << 22  # weights that are drawn at a time


@dataclass(frozen=True)
class Run:
    """One process: what it took and how it ended."""

    seconds: float
    peak_bytes: int
    returncode: int


def layer_shapes(layer: int, scale: int) -> dict[str, tuple[int, ...]]:
    hidden, intermediate, keys = HIDDEN // scale, INTERMEDIATE // scale, KEYS // scale
    names = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (intermediate, hidden),
        "mlp.up_proj": (intermediate, hidden),
        "mlp.down_proj": (hidden, intermediate),
        "input_layernorm": (hidden,),
    }
    return {f"model.layers.{layer}.{name}.weight": shape for name, shape in names.items()}


def make_checkpoint(folder: Path, total_bytes: int, seed: int, scale: int = 1) -> int:
    """Write shards and their index; returns the bytes of all tensors.

    Parameters
    ----------
    scale
        Divides the sides of all layers, for small trials.
    """
    folder.mkdir(parents=True)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY // scale, HIDDEN // scale)}
    layer = 0
    while 2 * sum(map(np.prod, shapes.values())) < total_bytes:
        shapes |= layer_shapes(layer, scale)
        layer += 1
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    limit = min(SHARD_BYTES, total_bytes // 3)
    for name, shape in shapes.items():
        if shards[-1] and 2 * sum(map(np.prod, [*shards[-1].values(), shape])) > limit:
            shards.append({})
        shards[-1][name] = shape
    weight_map, written = {}, 0
    rng = np.random.default_rng(seed)
    for index, shard in enumerate(shards):
        name = f"model-{index + 1:05d}-of-{len(shards):05d}.safetensors"
        dtype = "F32" if index == len(shards) - 1 else "BF16"
        header = make_header([(tensor, dtype, shape) for tensor, shape in shard.items()], {"format": "pt"})
        write_tensor_file(folder / name, header, random_bytes(rng, shard, dtype))
        weight_map |= dict.fromkeys(shard, name)
        written += (folder / name).stat().st_size
    index_text = json.dumps({"metadata": {"total_size": written}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(index_text)
    (folder / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    return written


def random_bytes(rng: np.random.Generator, shard: dict[str, tuple[int, ...]], dtype: str) -> Iterator[bytes]:
    for shape in shard.values():
        left = int(np.prod(shape))
        while left:
            count = min(left, _ROWS)
            yield encode_float32(0.02 * rng.standard_normal(count, np.float32), dtype)
            left -= count


def cost_map() -> CostMap:
    """Levels of multiples of 32, of 16, and of everything, as an array MAC has them."""
    values = np.arange(-128, 128, dtype=np.int16)
    periods = {32: 850.0, 16: 975.0, 1: 1138.0}
    own = np.select([values % 32 == 0, values % 16 == 0], [850, 975], 1138).astype(np.float32)
    return CostMap(
        values=values,
        period_ps=own,
        bound_ps=own,
        energy_fj=np.full(256, np.nan, np.float32),
        levels=tuple(Level(values[values % step == 0], period, 1.1) for step, period in periods.items()),
        metadata={"weight_width": 8, "weight_signed": True},
    )


def quantize(arguments: list[str], is_time_to_kill: Callable[[float], bool] = lambda _: False) -> Run:
    """Run the command in a process of its own; SIGKILL it when told to, asked with the seconds it has run."""
    start = time.monotonic()
    command = [sys.executable, "-m", "halo_timing", "quantize", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if is_time_to_kill(time.monotonic() - start):
            process.kill()
        time.sleep(0.002)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    if process.returncode > 0:
        sys.exit(errors.decode())
    return Run(time.monotonic() - start, usage.ru_maxrss * 1024, process.returncode)


def digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = sha256_file(path)
    return found


def campaign(
    folder: Path, total_bytes: int, kills: int, seed: int, options: list[str], scale: int = 1
) -> tuple[list[Run], bool]:
    """Make the checkpoint, quantize it once, then again under fire.

    Returns
    -------
    runs
        The undisturbed run first.
    same
        Whether all bytes are the same.
    """
    written = make_checkpoint(folder / "source", total_bytes, seed, scale)
    cost_map().save(folder / "costmap")
    print(f"checkpoint: {written / 1e9:.2f} GB in {len(list((folder / 'source').iterdir())) - 2} shards")
    arguments = [str(folder / "source"), "--costmap", str(folder / "costmap"), *options]
    runs = [quantize([*arguments, "--out", str(folder / "whole")])]
    print(f"whole: {runs[0].seconds:.1f} s, peak {runs[0].peak_bytes / 1e9:.3f} GB", flush=True)
    expected = digests(folder / "whole")
    shutil.rmtree(folder / "whole")
    rng = random.Random(seed)
    target = [*arguments, "--out", str(folder / "killed")]
    for _ in range(kills):
        limit_s = rng.uniform(0.02, 0.6) * runs[0].seconds
        runs.append(quantize(target, lambda seconds, limit_s=limit_s: seconds > limit_s))
        ended = "killed" if runs[-1].returncode else "ended"
        print(f"{ended} after {runs[-1].seconds:.1f} s, peak {runs[-1].peak_bytes / 1e9:.3f} GB", flush=True)
    runs.append(quantize(target))
    print(f"last: {runs[-1].seconds:.1f} s, peak {runs[-1].peak_bytes / 1e9:.3f} GB", flush=True)
    return runs, digests(folder / "killed") == expected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=8)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-gb", type=float, default=1.5)
    asked = parser.parse_args()
    folder = asked.folder / "stream"
    try:
        runs, same = campaign(folder, int(asked.gigabytes * 1e9), asked.kills, asked.seed, OPTIONS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    peak = max(run.peak_bytes for run in runs) / 1e9
    print(f"peak {peak:.3f} GB of {asked.limit_gb} GB allowed; bytes {'are the same' if same else 'DIFFER'}")
    sys.exit(0 if same and peak <= asked.limit_gb else 1)


if __name__ == "__main__":
    main()
