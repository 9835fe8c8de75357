"""The comparison of MACs, on delays made up so that every figure is known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from halo_timing.cli import main
from halo_timing.errors import UsageError
from halo_timing.study import StudyInput, compare, fast_class_ps, to_csv
from halo_timing.tables import Tables
from tests.conftest import SMALL


def made_up(name: str, conventional: bool, worst_ps: float, fast_ps: float, fast: int) -> StudyInput:
    """Make up a MAC whose first `fast` values, 0 among them, take `fast_ps`."""
    values = np.arange(-16, 16, dtype=np.int16)
    period = np.full(32, worst_ps, np.float32)
    period[16 : 16 + fast] = fast_ps
    stages = np.stack([period, np.full(32, 50, np.float32)], 1)
    tables = Tables(values, stages, np.maximum(stages - 100, 0), ("product_q", "psum_q"), (None,) * 32, {})
    return StudyInput(name, conventional, 10.0, 5, "speed", tables)


def test_ratios_are_those_of_the_definitions() -> None:
    slow, quick = made_up("slow", False, 1000, 400, 8), made_up("quick", True, 600, 500, 16)
    rows = {row.name: row for row in compare([slow, quick])}
    mac, core = rows["slow"].mac, rows["slow"].core
    assert (mac.worst_ps, mac.fast_ps[8], mac.fast_ps[16]) == (1000, 400, 1000)
    assert (mac.self_ratio[8], mac.best_ratio[8], mac.best_ratio[16]) == (2.5, 1.5, 0.6)
    assert (core.worst_ps, core.fast_ps[8]) == (900, 300)
    assert core.best_ratio[8] == pytest.approx(500 / 300)
    assert rows["quick"].mac.best_ratio[16] == pytest.approx(600 / 500)


def test_zero_is_in_every_class() -> None:
    values, delay = np.array([-1, 0, 1], np.int16), np.array([5, 9, 6], np.float32)
    assert fast_class_ps(values, delay, 2) == 9


def test_a_study_without_a_conventional_mac_is_refused() -> None:
    with pytest.raises(UsageError, match="conventional"):
        compare([made_up("slow", False, 1000, 400, 8)])


def test_rows_can_be_read_back() -> None:
    rows = compare([made_up("quick", True, 600, 500, 16)])
    (record,) = csv.DictReader(to_csv(rows).splitlines())
    assert (record["name"], record["conventional"], record["recipe"]) == ("quick", "1", "speed")
    assert float(record["mac_best[16]"]) == pytest.approx(1.2)


def test_macs_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{name}:{SMALL}" for name in ("array", "booth")]
    with pytest.raises(SystemExit) as end:
        main(["mac", "study", *names, "--out", str(tmp_path)])
    assert end.value.code == 0
    assert "multiplier alone" in capsys.readouterr().out
    records = list(csv.DictReader((tmp_path / "study.csv").read_text().splitlines()))
    assert [record["conventional"] for record in records] == ["0", "1"]
    assert float(records[1]["mac_best[8]"]) >= 1
