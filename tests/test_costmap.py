"""Tables, levels and cost maps: definitions, round trips, and what damaged files say."""

from __future__ import annotations

import csv
import json
import struct
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from halo_timing.costmap import CostMap, Level, build_cost_map
from halo_timing.costmap.cuts import best_cuts, frontier
from halo_timing.costmap.distributions import GAUSSIAN, STUDENT_T5
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
    tables.save_csv(tmp_path)
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
        made_up_tables().save_csv(tmp_path / name)
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


periods = st.lists(st.integers(1, 60).map(lambda n: float(n * 10)), min_size=16, max_size=16)


def staircase(cost: list[tuple[float, float]], floor_db: float, enough_db: float) -> float:
    """Mean period of tiles whose needs are spread evenly, by a fine sum over needs; nothing is shared."""
    needs = np.linspace(floor_db, enough_db, 20_001)[:-1] + (enough_db - floor_db) / 40_000
    periods = [min(period for period, reach in cost if reach >= need - 1e-12) for need in needs.tolist()]
    return float(np.mean(periods))


@given(periods, st.integers(1, 4), st.integers(1, 8), st.sampled_from([15.0, 18.0, 30.0]))
@settings(max_examples=25, deadline=None)
def test_found_levels_have_the_least_mean_period(
    period_ps: list[float], levels: int, min_size: int, enough_db: float
) -> None:
    """Oracle: every choice of as many limits or fewer."""
    values = np.arange(-8, 8, dtype=np.int16)
    candidates = frontier(values, np.array(period_ps), GAUSSIAN, min_size=min_size)
    cuts = best_cuts(candidates, levels, 6.0, enough_db)
    assert len(cuts.codebooks) <= levels
    points = list(zip(candidates.period_ps.tolist(), candidates.sqnr_db.tolist(), strict=True))
    top = min(enough_db, points[-1][1])

    def mean(chosen: list[tuple[float, float]]) -> float:
        low, area = 6.0, 0.0
        for period, reach in chosen:
            reach = min(reach, top)
            area, low = area + period * max(reach - low, 0), max(low, reach)
        return area / (top - 6.0)

    able = [point for point in points if point[1] >= 6.0]
    every = [
        [*chosen, points[-1]]
        for count in range(min(levels, len(able)))
        for chosen in combinations(able[:-1], count)
    ]
    assert cuts.mean_period_ps == pytest.approx(min(map(mean, every)), rel=1e-9)
    sizes = [len(book) for book in candidates.codebooks]
    own = [points[sizes.index(len(book))] for book in cuts.codebooks]
    assert staircase(own, 6.0, top) == pytest.approx(cuts.mean_period_ps, rel=2e-3)
    assert all(len(book) >= min_size for book in cuts.codebooks)


def test_wide_operands_are_cut_in_seconds() -> None:
    values = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
    zeros = np.log2((values.astype(int) & -values.astype(int)).clip(1))
    period_ps = (2000 - 50 * zeros + values % 97).astype(np.float32)
    began = time.monotonic()
    cuts = best_cuts(frontier(values, period_ps, STUDENT_T5, min_size=8), 3, 10.0, 20.0)
    assert time.monotonic() - began < 60
    assert len(cuts.codebooks) == 3
    assert len(cuts.codebooks[-1]) == 1 << 16


def test_an_automatic_number_of_levels_ends_where_one_more_is_not_worth_it() -> None:
    candidates = frontier(np.arange(-8, 8, dtype=np.int16), made_up_tables().period_ps, GAUSSIAN, min_size=3)
    automatic = best_cuts(candidates, None, 6.0, 20.0)
    means = [best_cuts(candidates, count, 6.0, 20.0).mean_period_ps for count in range(1, 6)]
    assert means == sorted(means, reverse=True)
    expected = 1
    while expected < 5 and means[expected] <= means[expected - 1] * 0.99:
        expected += 1
    assert len(automatic.codebooks) == expected


@given(periods, st.integers(1, 5), st.floats(0, 0.5), st.booleans())
@settings(max_examples=30, deadline=None)
def test_levels_nest_and_keep_their_promise(
    period_ps: list[float], levels: int, margin: float, symmetric: bool
) -> None:
    tables = made_up_tables(dict(zip(range(-8, 8), period_ps, strict=True)))
    options = {"min_size": 4, "min_sqnr_db": 5.0, "symmetric": symmetric}
    cost_map = build_cost_map(tables, levels=levels, margin=margin, **options)  # type: ignore[arg-type]
    faster: set[int] = set()
    for level in cost_map.levels:
        codebook = set(level.codebook.tolist())
        assert 0 in codebook
        assert faster <= codebook
        slowest = max(float(cost_map.period_ps[value + 8]) for value in codebook)
        assert level.period_ps == pytest.approx(slowest * (1 + margin))
        assert not symmetric or codebook == {-value for value in codebook}
        faster = codebook
    assert faster == set(range(-7 if symmetric else -8, 8))
    for index, level in enumerate(cost_map.levels):
        assert (cost_map.level_of_value[level.codebook + 8] <= index).all()


def test_levels_of_an_array() -> None:
    cost_map = build_cost_map(made_up_tables(), levels=3, min_size=3, min_sqnr_db=5)
    assert [level.codebook.tolist() for level in cost_map.levels] == [
        [-8, -4, 0, 4],
        [-8, -6, -4, -2, 0, 2, 4, 6],
        list(range(-8, 8)),
    ]
    assert cost_map.levels[0].freq_ghz == pytest.approx(1e3 / 160)


def test_a_value_that_needs_no_time_makes_no_level_of_its_own() -> None:
    own = {value: 100.0 if value % 2 else 300.0 for value in range(-8, 8)} | {0: 0.0, 4: 0.0}
    values = np.arange(-8, 8, dtype=np.int16)
    periods_ps = np.array([own[value] for value in range(-8, 8)])
    assert frontier(values, periods_ps, GAUSSIAN).period_ps.tolist() == [100.0, 300.0]


@pytest.mark.parametrize(
    ("given_levels", "expected"),
    [
        ("step:4/step:2/all", [[-8, -4, 0, 4], list(range(-8, 8, 2)), list(range(-8, 8))]),
        ("all/step:4", [[-8, -4, 0, 4], list(range(-8, 8))]),
        ("period:160 / period:180", [[-8, -4, 0, 4], list(range(-8, 8, 2))]),
        ("freq:5.5", [list(range(-8, 8, 2))]),
        ("size:5/all", [list(range(-8, 8, 2)), list(range(-8, 8))]),
        ("pot", [[-8, -4, -2, -1, 0, 1, 2, 4]]),
        # A slower level allows what is right at a faster one.
        ("values:4,-8/values:6,-6", [[-8, 0, 4], [-8, -6, 0, 4, 6]]),
        ("best:3:160", [[-8, 0, 4]]),
    ],
)
def test_given_levels(given_levels: str, expected: list[list[int]]) -> None:
    cost_map = build_cost_map(made_up_tables(), levels=given_levels)
    if given_levels.startswith("best"):
        assert len(cost_map.levels[0].codebook) == 3
        assert set(cost_map.levels[0].codebook.tolist()) <= {-8, -4, 0, 4}
    else:
        assert [level.codebook.tolist() for level in cost_map.levels] == expected
    assert cost_map.metadata["level_rule"]["given"] == given_levels


@pytest.mark.parametrize(
    ("given_levels", "message"),
    [
        ("", "is no level"),
        ("step", "is no level"),
        ("step:0", "is no level"),
        ("size:-3", "is no level"),
        ("values:1,x", "is no level"),
        ("period:inf", "is no level"),
        ("best:8", "is no level"),
        ("quick:8", "'quick:8' is no level; write all, period:PS"),
        ("values:1,99", "names 99"),
        ("all/all", "adds no value"),
        ("/".join(["all"] * 17), "16 are possible"),
        ("-3", "--levels -3"),
    ],
)
def test_levels_that_cannot_be_read(given_levels: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_cost_map(made_up_tables(), levels=given_levels)


def test_dynamic_periods_are_refused_where_there_are_none() -> None:
    with pytest.raises(UsageError, match="static bounds alone"):
        build_cost_map(made_up_tables(), source="dynamic", margin=0.1)
    with pytest.raises(UsageError, match="--from quick"):
        build_cost_map(made_up_tables(), source="quick")


def test_dynamic_periods_are_used_with_a_stated_margin() -> None:
    class Timed(Tables):
        @property
        def dynamic_ps(self) -> np.ndarray:
            return self.bound_ps * np.float32(0.5)

    tables = Timed(**vars(made_up_tables()))
    with pytest.raises(UsageError, match="--margin"):
        build_cost_map(tables, source="dynamic", levels="all")
    cost_map = build_cost_map(tables, source="dynamic", levels="all", margin=0.1)
    assert cost_map.metadata["period_from"] == "dynamic"
    assert cost_map.levels[0].period_ps == pytest.approx(110.0)


@pytest.mark.parametrize(
    "options",
    [
        {"levels": 0},
        {"levels": 17},
        {"margin": -0.1},
        {"margin": 2.0},
        {"min_size": 99},
        {"min_sqnr_db": 99.0},
        {"enough_sqnr_db": 5.0},
        {"distribution": "cauchy"},
    ],
)
def test_options_out_of_range_are_named(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(options)).removesuffix("_db").replace("_", "-")):
        build_cost_map(made_up_tables(), **options)  # type: ignore[arg-type]


def test_cost_map_is_readable_with_numpy_and_safetensors_alone(tmp_path: Path) -> None:
    cost_map = build_cost_map(made_up_tables(), levels=3, min_size=3, min_sqnr_db=5)
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
    cost_map = build_cost_map(made_up_tables(), levels=2, min_size=3, min_sqnr_db=5, margin=0.03)
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
    good = build_cost_map(made_up_tables(), levels=2, min_size=3, min_sqnr_db=5)
    with pytest.raises(CostMapError, match=message):
        CostMap(**{**vars(good), **change})  # type: ignore[arg-type]


def test_damaged_cost_maps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CostMapError, match="no such cost map"):
        CostMap.load(tmp_path / "costmap.safetensors")
    binary, _ = build_cost_map(made_up_tables(), levels=2, min_size=3, min_sqnr_db=5).save(tmp_path)
    whole = binary.read_bytes()
    binary.write_bytes(whole[:-5])
    with pytest.raises(CostMapError, match="not a cost map"):
        CostMap.load(binary)
    binary.write_bytes(whole.replace(b'schema_version\\":1', b'schema_version\\":7'))
    with pytest.raises(CostMapError, match="schema version 7"):
        CostMap.load(binary)
