"""Read a cost map with numpy and safetensors alone, and round Gaussian weights to each of its codebooks.

Run it as ``python examples/read_costmap.py results/demo/costmap.safetensors``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open


def main(path: Path) -> None:
    """Print the fastest and the slowest value, and for each level its clock and its signal to noise."""
    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()["halo_timing"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    if about["schema_version"] != 1:
        raise SystemExit(f"{path}: schema version {about['schema_version']}, this example reads 1")
    print(f"{about['mac']} on {about['pdk']} {about['corner']}, {about['vdd_v']:g} V, wires {about['wires']}")

    periods = arrays["period_ps"]
    for value in (arrays["value"][periods.argmin()], arrays["value"][periods.argmax()]):
        print(f"weight {value:4d} needs {periods[arrays['value'] == value][0]:.0f} ps")

    weights = np.random.default_rng(0).standard_normal(10_000)
    for level in range(about["levels"]):
        codebook = arrays[f"codebook.{level}.values"].astype(float)
        ghz = arrays[f"codebook.{level}.freq_ghz"][0]
        # One scale for all weights, the best of a few: a quantizer would search one for each group.
        scales = np.abs(weights).max() / np.abs(codebook).max() * np.linspace(0.3, 1, 15)
        noise = min(np.mean((weights - round_to(weights, codebook * scale)) ** 2) for scale in scales)
        print(f"level {level}: {ghz:.2f} GHz, {len(codebook):3d} values, {-10 * np.log10(noise):.1f} dB")


def round_to(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Nearest of the sorted `values` for each weight."""
    middles = (values[1:] + values[:-1]) / 2
    return values[np.searchsorted(middles, weights)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
