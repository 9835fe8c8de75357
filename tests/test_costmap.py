"""Tables, levels and cost maps: definitions, round trips, and what damaged files say."""

from __future__ import annotations

import csv
import json
import struct
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from halo_timing.costmap import CostMap, Level, build_cost_map, gap_cuts
from halo_timing.errors import CostMapError, UsageError
from halo_timing.tables import Tables


def made_up_tables(period_ps: dict[int, float] | None = None) -> Tables:
    """Tables of a four-bit operand whose delay falls with its trailing zeros."""
    values = np.arange(-8, 8, dtype=np.int16)
    zeros = {value: (value & -value).bit_length() - 1 for value in range(-8, 8)}
    own = period_ps or {value: 200.0 - 20.0 * zeros[value] if value else 100.0 for value in range(-8, 8)}
    bounds = np.array([[own[int(v)], 90.0] for v in values], np.float32)
    path = {"startpoint": "a_0_", "endpoint": "p_0_/D", "points": [["a_0_/Q", "DFF", 1.0]]}
    return Tables(
        values,
        bounds,
        bounds - 80,
        ("product_q", "psum_q"),
        (path,) * 16,
        {"weight_width": 4, "corner": "typ", "vdd_v": 1.1},
    )


def test_bound_is_the_slowest_stage() -> None:
    tables = made_up_tables({v: 80.0 if v == 0 else 120.0 for v in range(-8, 8)})
    assert tables.bound_ps[8] == 90.0
    assert set(np.delete(tables.bound_ps, 8)) == {120.0}


def test_tables_round_trip(tmp_path: Path) -> None:
    tables = made_up_tables()
    tables.save(tmp_path)
    again = Tables.load(tmp_path)
    assert again.stages == tables.stages
    assert np.array_equal(again.stage_bound_ps, tables.stage_bound_ps)
    assert again.worst_paths == tables.worst_paths
    rows = list(csv.DictReader((tmp_path / "weights.csv").read_text().splitlines()))
    assert [int(row["value"]) for row in rows] == list(range(-8, 8))
    assert rows[7]["bits"] == "1111"
    assert float(rows[0]["bound_ps"]) == float(tables.bound_ps[0])
    assert float(rows[0]["freq_ghz"]) == pytest.approx(1e3 / float(tables.bound_ps[0]), abs=1e-6)


def test_tables_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        made_up_tables().save(tmp_path / name)
    for file in ("tables.safetensors", "weights.csv", "paths.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("damage", ["missing", "cut", "version", "paths", "shape"])
def test_damaged_tables_are_refused(damage: str, tmp_path: Path) -> None:
    made_up_tables().save(tmp_path)
    path = tmp_path / "tables.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-7])
    elif damage == "version":
        path.write_bytes(path.read_bytes().replace(b'schema_version\\":1', b'schema_version\\":9'))
    elif damage == "paths":
        (tmp_path / "paths.json").write_text("[")
    else:
        (tmp_path / "paths.json").write_text("[]")
    with pytest.raises(CostMapError, match=r"table|schema|fit"):
        Tables.load(tmp_path)


periods = st.lists(st.integers(1, 60).map(lambda n: float(n * 10)), min_size=8, max_size=24)


@given(periods, st.integers(1, 4), st.integers(1, 8))
def test_cuts_take_the_widest_gaps(period_ps: list[float], levels: int, min_size: int) -> None:
    """Oracle: no other choice of as many cuts has a larger sum of relative gaps."""
    cuts = gap_cuts(np.array(period_ps), levels, min_size)
    assert cuts == sorted(set(cuts))
    assert cuts[-1] == max(period_ps)
    ordered = np.sort(period_ps)
    allowed = [k for k in range(min_size, len(ordered)) if ordered[k] > ordered[k - 1]]
    assert len(cuts) == 1 + min(levels - 1, len(allowed))

    def gain(positions: tuple[int, ...]) -> float:
        return sum(float(np.log(ordered[k] / ordered[k - 1])) for k in positions)

    chosen = tuple(int(np.searchsorted(ordered, cut, side="right")) for cut in cuts[:-1])
    assert all(k >= min_size for k in chosen)
    best = max(gain(positions) for positions in combinations(allowed, len(chosen)))
    assert gain(chosen) == pytest.approx(best)


@given(periods.filter(lambda p: len(p) >= 16), st.integers(1, 5), st.floats(0, 0.5))
def test_levels_nest_and_keep_their_promise(period_ps: list[float], levels: int, margin: float) -> None:
    tables = made_up_tables(dict(zip(range(-8, 8), period_ps[:16], strict=True)))
    cost_map = build_cost_map(tables, levels=levels, margin=margin, min_size=4)
    faster: set[int] = set()
    for level in cost_map.levels:
        codebook = set(level.codebook.tolist())
        assert 0 in codebook
        assert faster <= codebook
        slowest = max(float(cost_map.period_ps[value + 8]) for value in codebook)
        assert level.period_ps == pytest.approx(slowest * (1 + margin))
        faster = codebook
    assert faster == set(range(-8, 8))
    for index, level in enumerate(cost_map.levels):
        assert (cost_map.level_of_value[level.codebook + 8] <= index).all()


def test_levels_of_an_array() -> None:
    cost_map = build_cost_map(made_up_tables(), levels=3, min_size=3)
    assert [level.codebook.tolist() for level in cost_map.levels] == [
        [-8, -4, 0, 4],
        [-8, -6, -4, -2, 0, 2, 4, 6],
        list(range(-8, 8)),
    ]
    assert cost_map.levels[0].freq_ghz == pytest.approx(1e3 / 160)


def test_a_value_that_needs_no_time_makes_no_level_of_its_own() -> None:
    assert gap_cuts(np.array([0.0, 0.0, 100.0, 300.0]), levels=3, min_size=1) == [100.0, 300.0]


@pytest.mark.parametrize(
    "options", [{"levels": 0}, {"levels": 17}, {"margin": -0.1}, {"margin": 2.0}, {"min_size": 99}]
)
def test_options_out_of_range_are_named(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(options)).replace('_', '-')}"):
        build_cost_map(made_up_tables(), **options)  # type: ignore[arg-type]


def test_cost_map_is_readable_with_numpy_and_safetensors_alone(tmp_path: Path) -> None:
    cost_map = build_cost_map(made_up_tables(), levels=3, min_size=3)
    binary, text = cost_map.save(tmp_path)
    arrays = load_file(binary)
    assert arrays["value"].dtype == np.int16
    assert arrays["level"].dtype == np.uint8
    assert arrays["codebook.0.values"].dtype == np.int8
    assert arrays["codebook.0.values"].tolist() == [-8, -4, 0, 4]
    assert len(arrays["codebook.1.padded"]) == 8
    assert float(arrays["codebook.2.freq_ghz"][0]) == pytest.approx(5.0)
    raw = binary.read_bytes()
    header = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    metadata = json.loads(header["__metadata__"]["halo_timing"])
    assert metadata["schema_version"] == 1
    assert metadata["units"]["period_ps"] == "ps"
    assert json.loads(text.read_text())["levels"][0]["codebook"] == [-8, -4, 0, 4]


def test_cost_map_round_trip_and_bytes(tmp_path: Path) -> None:
    cost_map = build_cost_map(made_up_tables(), levels=2, min_size=3, margin=0.03)
    first, _ = cost_map.save(tmp_path / "one")
    again = CostMap.load(first)
    assert again.width == 4
    second, _ = again.save(tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": ()}, "at least one level"),
        ({"values": np.arange(16, dtype=np.int16)[::-1]}, "sorted"),
        ({"values": np.arange(15, dtype=np.int16)}, "shape"),
        ({"levels": (Level(np.array([0, 4], np.int16), 100.0, 1.0),)}, "needs"),
        ({"levels": (Level(np.array([4, 7], np.int16), 300.0, 1.0),)}, "must hold 0"),
        ({"levels": (Level(np.array([4, 0], np.int16), 300.0, 1.0),)}, "sorted"),
        ({"levels": (Level(np.array([0, 99], np.int16), 300.0, 1.0),)}, "operand values"),
        (
            {
                "levels": (
                    Level(np.array([0, 4], np.int16), 300.0, 1.0),
                    Level(np.array([0, 4], np.int16), 250.0, 1.0),
                )
            },
            "ordered",
        ),
    ],
)
def test_impossible_cost_maps_are_refused(change: dict[str, object], message: str) -> None:
    good = build_cost_map(made_up_tables(), levels=2, min_size=3)
    with pytest.raises(CostMapError, match=message):
        CostMap(**{**vars(good), **change})  # type: ignore[arg-type]


def test_damaged_cost_maps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CostMapError, match="no such cost map"):
        CostMap.load(tmp_path / "costmap.safetensors")
    binary, _ = build_cost_map(made_up_tables(), levels=2, min_size=3).save(tmp_path)
    whole = binary.read_bytes()
    binary.write_bytes(whole[:-5])
    with pytest.raises(CostMapError, match="not a cost map"):
        CostMap.load(binary)
    binary.write_bytes(whole.replace(b'schema_version\\":1', b'schema_version\\":7'))
    with pytest.raises(CostMapError, match="schema version 7"):
        CostMap.load(binary)
