"""Read a cost map with numpy alone: a safetensors file is a JSON header and the bytes of its arrays.

Run it as ``python examples/read_with_numpy.py results/demo/costmap.safetensors``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

DTYPES = {"I8": "<i1", "U8": "<u1", "I16": "<i2", "F32": "<f4", "F64": "<f8"}


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Arrays by name, and what the file says about itself."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    about = json.loads(header.pop("__metadata__")["halo_timing"])
    arrays = {}
    for name, entry in header.items():
        first, last = (end + offset for offset in entry["data_offsets"])
        arrays[name] = np.frombuffer(data[first:last], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays, about


if __name__ == "__main__":
    arrays, about = read(Path(sys.argv[1]))
    for level in range(int(str(about["levels"]))):
        codebook, period = arrays[f"codebook.{level}.values"], arrays[f"codebook.{level}.period_ps"][0]
        print(f"level {level}: {period:.1f} ps, {len(codebook)} values from {codebook[0]} to {codebook[-1]}")
