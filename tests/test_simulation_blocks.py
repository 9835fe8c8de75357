"""A simulation in blocks of weights is that of all at once."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from halo_timing.characterization import Mapped, TimingConditions
from halo_timing.dynamic.result import DynamicResult
from halo_timing.dynamic_characterization import DynamicOptions, simulation_of
from halo_timing.errors import UsageError
from halo_timing.rtl import Mac
from halo_timing.sta import write_delays
from halo_timing.tools.opensta import OpenSta


def test_blocks_of_weights_make_the_whole(
    small_mac: Mac, small_mapped: Mapped, conditions: TimingConditions, sta: OpenSta, tmp_path: Path
) -> None:
    sdf = tmp_path / "delays.sdf"
    arrivals = write_delays(
        small_mapped.netlist, small_mac.interface, conditions, sta, sdf, tmp_path / "sta.log"
    )
    simulation = simulation_of(small_mac, small_mapped.netlist, conditions, arrivals, sdf, DynamicOptions())
    whole = simulation.run()
    blocks = []
    for number, chosen in enumerate((range(5), range(5, 6), range(6, 16))):
        simulation.run(indices=list(chosen)).save(tmp_path / f"{number}.safetensors")
        blocks.append(DynamicResult.load(tmp_path / f"{number}.safetensors"))
    joined = DynamicResult.stacked(blocks)
    for field in fields(DynamicResult):
        one, other = getattr(whole, field.name), getattr(joined, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype, field.name
            np.testing.assert_array_equal(one, other, field.name)
        elif field.name != "worst_inputs":
            assert one == other, field.name
    data = (tmp_path / "0.safetensors").read_bytes()
    (tmp_path / "0.safetensors").write_bytes(data[:-1])
    with pytest.raises(UsageError, match=r"0\.safetensors: no result of a simulation"):
        DynamicResult.load(tmp_path / "0.safetensors")
