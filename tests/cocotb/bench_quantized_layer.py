"""Bench of ``systolic_array.v`` as a calculator: tiles of a quantized layer in, integer sums out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from bench_systolic_array import CONFIG, OPTIONS, Driver
from safetensors.numpy import load_file, save_file


@cocotb.test()
async def tiles_of_a_layer(dut: Any) -> None:
    """Run the tiles of ``tiles.safetensors`` in the working folder, and leave ``sums.safetensors`` there.

    In: ``weights``, shape ``(tiles, ROWS, COLUMNS)``, and ``activations``, shape ``(tiles, tokens, ROWS)``.
    Out: ``sums``, int64, shape ``(tiles, tokens, COLUMNS)``.
    """
    tiles = {name: array.astype(np.int64) for name, array in load_file(Path("tiles.safetensors")).items()}
    assert tiles["weights"].shape[1:] == (OPTIONS.rows, OPTIONS.columns)
    driver = Driver(dut)
    await driver.start()
    results = await driver.multiply(list(zip(tiles["weights"], tiles["activations"], strict=True)))
    bits = np.stack(results)
    sign = 1 << (CONFIG.accumulator_width - 1)
    save_file({"sums": (bits ^ sign) - sign}, Path("sums.safetensors"))
