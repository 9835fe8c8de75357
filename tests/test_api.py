"""The Python interface that the package's front door names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import halo_timing as ht
from halo_timing.pdk.registry import Pdk
from tests.conftest import SMALL


def test_everything_announced_is_there() -> None:
    assert all(hasattr(ht, name) for name in ht.__all__)
    with pytest.raises(AttributeError, match="nope"):
        _ = ht.nope  # type: ignore[attr-defined]


def test_from_a_mac_to_a_quantized_layer(nangate45: Pdk, tmp_path: Path) -> None:
    tables = ht.characterize(mac=f"array:{SMALL}", out=tmp_path)
    assert (tmp_path / "netlist.v").is_file()
    assert tables.metadata["mac"].startswith("array")
    cost_map = ht.build_cost_map(tables, levels=2)
    quantizer = ht.HaloQuantizer(cost_map, tile=32).fit(
        np.random.default_rng(0).normal(size=(64, 64)).astype("f4")
    )
    codes = quantizer.quantize().codes
    assert set(np.unique(codes)) <= set(tables.values.tolist())
