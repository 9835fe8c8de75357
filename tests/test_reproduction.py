"""HALO reproduced: its formula, its classes, and that no figure against FP16 stands alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from halo_timing.accelerator.comparison import Macs
from halo_timing.errors import UsageError
from halo_timing.reproduction.halo import (
    Contender,
    class_masks,
    fast_share,
    halo_levels,
    published,
    read_quality,
    reproduce,
    time_ratio,
)
from halo_timing.reproduction.page import render_page
from halo_timing.tables import Tables
from tests.accelerator_macs import VALUES, macs, trailing_zeros, unit

PERIODS = trailing_zeros(1e3 / 3.7, 1e3 / 2.4, 1e3 / 1.9)


@pytest.fixture()
def contender() -> Contender:
    """A MAC with exactly the published clocks."""
    mac = unit("array", PERIODS)
    tables = Tables(
        values=VALUES,
        stage_bound_ps=PERIODS[:, None],
        stage_logic_ps=PERIODS[:, None] - 100,
        stages=("product_q",),
        worst_paths=(None,) * 256,
        metadata={"mac": "array", "vdd_v": 1.0, "netlist_sha256": "array"},
    )
    return Contender(macs(mac), tables)


def test_time_of_its_models_is_the_formula_where_the_clocks_are_its_own(contender: Contender) -> None:
    content = reproduce(contender, [])
    for row in content["models"]:
        bits, _ = published()["variants"][row["variant"]]
        share = fast_share(bits)
        # Whole tiles, drains and changes of level make the difference: less than two per cent of a prefill.
        assert 1 / row["speedup"]["w8a8"] == pytest.approx(time_ratio(share, 3.7, 2.4, 1.9), rel=0.02)
        assert row["speedup"]["w8a8"] == pytest.approx(row["speedup"]["self"], rel=1e-3)


def test_classes_and_levels_are_those_of_the_paper(contender: Contender) -> None:
    masks = class_masks(VALUES.astype(int))
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"32": 8, "16": 8, "1": 240}
    assert np.sum(list(masks.values()), axis=0).tolist() == [1] * 256
    levels = halo_levels(contender.tables).levels
    assert [len(level.codebook) for level in levels] == [8, 16, 256]
    assert [level.freq_ghz for level in levels] == pytest.approx([3.7, 2.4, 1.9], rel=1e-6)
    mac = reproduce(contender, [])["mac"]
    assert mac["classes_are_apart"]
    assert mac["delay_ps"]["64"]["bound_ps"] == pytest.approx(1e3 / 3.7, abs=0.1)
    assert mac["power"]["8"]["ours"] is None


def test_overlapping_classes_are_said_to_overlap(contender: Contender) -> None:
    worse = PERIODS.copy()
    worse[VALUES == 64] = 500
    tables = Tables(VALUES, worse[:, None], worse[:, None], ("s",), (None,) * 256, contender.tables.metadata)
    content = reproduce(Contender(contender.macs, tables), [])
    assert not content["mac"]["classes_are_apart"]
    assert "Does not agree" in render_page(content, "x")


def test_page_states_what_the_headline_is_against(contender: Contender) -> None:
    content = reproduce(contender, [])
    json.dumps(content, allow_nan=False)
    page = render_page(content, "halo-timing reproduce halo")
    assert '"270 %" and "51 %" are against FP16' in page
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        header = table.splitlines()[0]
        if "FP16" in header and "W8A8" in header:
            assert "best" in header
            assert "self" in header
    assert "None" not in page
    # Energies were not characterised, and no figure stands for them.
    assert "unknown" in page


def test_page_without_a_floating_point_mac_says_unknown(contender: Contender) -> None:
    known = contender.macs
    content = reproduce(Contender(Macs(known.unit, known.cost_map, known.best, None), contender.tables), [])
    assert {row["speedup"]["fp16"] for row in content["models"]} == {None}
    assert "None" not in render_page(content, "x")


def test_quality_of_an_evaluation_is_read(contender: Contender, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"evaluation\.json"):
        read_quality(tmp_path)
    evaluation = {
        "model": "small",
        "windows": 3,
        "window": 128,
        "reference": {"perplexity": 13.125},
        "methods": [{"name": "RTN W4", "perplexity": 21.5, "added_nll": 0.49}],
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    page = render_page(reproduce(contender, [], read_quality(tmp_path)), "x")
    assert "| RTN W4 | 21.500 | 0.4900 |" in page
    assert "13.125" in page
