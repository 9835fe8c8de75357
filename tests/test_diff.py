"""Two results beside each other: numbers against the tables, and the page against its numbers."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from halo_timing.cli import main
from halo_timing.costmap.difference import Side, compare_results
from halo_timing.costmap.levels import build_cost_map
from halo_timing.costmap.model import CostMap
from halo_timing.errors import CostMapError
from halo_timing.report.difference import render_difference
from tests.report_folders import make, write_mac


@pytest.fixture()
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Two MACs of which the second is a fifth faster, except under a weight of 1, and has other levels."""
    make(tmp_path / "a", model=False, best_scale=None, name="one")
    tables = write_mac(tmp_path / "b", "<two>", scale=0.8, periods={1: 1500.0, 0: 0.0})
    build_cost_map(tables, levels="step:64/all").save(tmp_path / "b")
    return tmp_path / "a", tmp_path / "b"


def test_numbers_are_those_of_the_tables(sides: tuple[Path, Path]) -> None:
    difference = compare_results(*map(Side.load, sides))
    ratio = dict(zip(difference.values.tolist(), difference.period_ratio.tolist(), strict=True))
    assert ratio[5] == pytest.approx(0.8)
    assert ratio[1] == pytest.approx(1500 / float(difference.before.tables.period_ps[129]))
    assert np.isnan(ratio[0])
    assert not difference.energies_known
    assert difference.facts == {"mac": ("one", "<two>")}
    rows = list(csv.DictReader(difference.to_csv().splitlines()))
    assert float(rows[5]["period_ps_before"]) == float(difference.before.tables.period_ps[5])
    assert float(rows[5]["period_ps_after"]) == float(difference.after.tables.period_ps[5])
    assert {row["energy_fj_after"] for row in rows} == {""}


def test_levels_gained_lost_and_kept(sides: tuple[Path, Path]) -> None:
    before, after = (CostMap.load(side / "costmap.safetensors") for side in sides)
    difference = compare_results(*map(Side.load, sides))
    books = [{tuple(level.codebook.tolist()) for level in each.levels} for each in (before, after)]
    found = {tuple(change.codebook.tolist()): change for change in difference.levels}
    assert set(found) == books[0] | books[1]
    for book, change in found.items():
        assert (change.before is not None) == (book in books[0])
        assert (change.after is not None) == (book in books[1])
    every = found[tuple(range(-128, 128))]
    assert every.before is not None
    assert every.after is not None
    assert every.after.period_ps == 1500


def test_the_page_draws_every_value_and_loads_nothing(sides: tuple[Path, Path]) -> None:
    difference = compare_results(*map(Side.load, sides))
    page = render_difference(difference)
    assert page == render_difference(compare_results(*map(Side.load, sides)))
    assert "<two>" not in page
    assert "&lt;two&gt;" in page
    assert not re.search(r"(src|href)=\"(?!data:)[^#]", page)
    top = max(float(text.replace("\N{NARROW NO-BREAK SPACE}", "")) for text in ticks(page))
    for name, periods in zip(("before", "after"), difference.period_ps, strict=True):
        (path,) = re.findall(rf'class="{name}" d="([^"]+)"', page)
        heights = [float(text) for text in re.findall(r"(?:M\d+ |V)([\d.]+)h1", path)]
        np.testing.assert_allclose((1 - np.array(heights) / 100) * top, periods, atol=top * 1e-4)


def ticks(page: str) -> list[str]:
    (axis,) = re.findall(r'class="y-axis"[^>]*>(.*?)</div>', page, re.DOTALL)
    return re.findall(r">([\d\N{NARROW NO-BREAK SPACE}]+)</span>", axis)


def test_results_without_a_cost_map_or_anything_in_common(sides: tuple[Path, Path], tmp_path: Path) -> None:
    (sides[1] / "costmap.safetensors").unlink()
    difference = compare_results(*map(Side.load, sides))
    assert difference.levels == ()
    assert "One of the two has no cost map" in render_difference(difference)
    write_mac(tmp_path / "c", "unsigned", width=9, signed=False)
    small = compare_results(Side.load(sides[0]), Side.load(tmp_path / "c"))
    assert small.values.tolist() == list(range(128))
    left, right = Side.load(sides[0]), Side.load(tmp_path / "c")
    object.__setattr__(right.tables, "values", right.tables.values + np.int16(600))
    with pytest.raises(CostMapError, match="no operand value is in both"):
        compare_results(left, right)


def test_the_command(sides: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["diff", *map(str, sides), "--out", str(tmp_path / "out")])
    assert not end.value.code
    printed = capsys.readouterr().out
    assert "gained" in printed
    assert "lost" in printed
    assert re.search(r"Rose most, or fell least: 1 \(\+", printed)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"difference.html", "difference.csv"}
    with pytest.raises(SystemExit) as end:
        main(["diff", str(sides[0]), str(sides[0])])
    assert not end.value.code
    assert "The same MAC, cells, corner, netlist and tools" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["diff", str(sides[0]), str(tmp_path / "none")])
    assert end.value.code == 1
