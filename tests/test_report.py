"""The page of a result folder, read back with an HTML parser and held against what it was drawn from."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_timing.cli.characterize import characterize
from halo_timing.cli.costmap import costmap
from halo_timing.cli.evaluate import evaluate
from halo_timing.cli.quantize import quantize
from halo_timing.cli.report import report as report_command
from halo_timing.errors import CostMapError, UsageError
from halo_timing.quantize.quality import Quality
from halo_timing.quantize.report import HALO, QuantizationReport, TensorReport
from halo_timing.report.axis import linear_axis
from halo_timing.report.layer_tiles import LayerTiles, ModelTiles
from halo_timing.report.page import render_report
from halo_timing.report.text import bits, value_list
from halo_timing.report.tiles import tile_view
from halo_timing.tables import Tables
from tests.report_folders import (
    Folder,
    make,
    make_whole,
    trailing_zeros,
    write_corners,
    write_evaluation,
    write_model,
)

NASTY = "</script><script>alert(1)</script>\" onmouseover='x' <img src=http://e.example/x> {{ 7*7 }} & ü"
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Page(HTMLParser):
    """Elements of a page as (tag, attributes, own text), with a check that tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert not self._open, [self.elements[index][0] for index in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for index in self._open:
            self.elements[index][2].append(data)

    def all(self, tag: str, **wanted: str) -> list[tuple[dict[str, str], str]]:
        """Attributes and text of the elements of a tag whose attributes hold the wanted words."""
        return [
            (attributes, re.sub(r"[ \n]+", " ", "".join(text)).strip())
            for name, attributes, text in self.elements
            if name == tag
            and all(
                set(value.split()) <= set(attributes.get(key.strip("_"), "").split())
                for key, value in wanted.items()
            )
        ]

    def text(self) -> str:
        return self.all("body")[0][1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make(tmp_path_factory.mktemp("result"))


@pytest.fixture(scope="module")
def text(folder: Folder) -> str:
    return folder.page()


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_every_number_is_the_metric_it_names(folder: Folder, page: Page) -> None:
    metrics, shown = folder.metrics, page.all("data")
    for attributes, written in shown:
        key, _, index = attributes["data-metric"].partition("[")
        value = metrics[key] if not index else metrics[key][int(index.rstrip("]"))]
        assert json.loads(attributes["value"]) == value
        if value is None:
            assert written == "–"
            continue
        number = re.sub(r"[^\d.−-]", "", written).replace("−", "-")
        digits = len(number.partition(".")[2])
        as_read = float(number)
        scaled = value * float(attributes.get("data-scale", "1"))
        assert as_read == pytest.approx(scaled, abs=0.5001 * 10**-digits)
    keys = {attributes["data-metric"] for attributes, _ in shown}
    assert {"ratio__self", "ratio__best", "level:2__freq_ghz", "quantize__halo__sqnr_db"} <= keys
    assert {"quantize__halo__level_shares[0]", "quantize__int4_absmax__effective_bits"} <= keys


def test_a_fast_class_that_is_slow_is_called_so(folder: Folder, page: Page, tmp_path: Path) -> None:
    assert folder.metrics["ratio__best"] < 1
    assert "This fast class is still slower than the best conventional MAC, booth" in page.text()
    ahead = make(tmp_path, best_scale=2.0)
    assert ahead.metrics["ratio__best"] > 1
    told = Page(ahead.page()).text()
    assert "This fast class is faster than the best conventional MAC, booth" in told
    assert "still slower" not in told


def test_a_model_that_plain_rounding_beats_is_said_to_be(page: Page) -> None:
    assert "Plain rounding keeps more in no more bits: INT4 searched" in page.text()


def test_nothing_is_loaded_from_elsewhere(text: str, page: Page) -> None:
    for tag, attributes, _ in page.elements:
        for name in ("src", "href", "xlink:href", "action", "poster", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
        assert "url(" not in attributes.get("style", "")
    styles = " ".join(style for _, style in page.all("style"))
    assert "@import" not in styles
    assert "url(" not in styles
    assert not re.search(r"https?://", text)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(a["content"] for a, _ in page.all("meta") if "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_links_and_script_find_their_targets(tmp_path: Path) -> None:
    text = make_whole(tmp_path / "result").page()
    page = Page(text)
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script
    wanted = set(re.findall(r'find\("#([\w-]+)"\)', script[1]))
    wanted |= {attributes["href"][1:] for attributes, _ in page.all("a")}
    assert wanted <= set(ids)


def test_equal_results_give_equal_bytes(folder: Folder, text: str, tmp_path: Path) -> None:
    shutil.copytree(folder.path, tmp_path / "elsewhere")
    moved = Folder(tmp_path / "elsewhere", folder.references, folder.model)
    (moved.path / "manifest.json").write_text('{"seconds": 3}')
    assert moved.page() == text
    assert str(folder.path) not in text


def test_names_stay_text(tmp_path: Path) -> None:
    nasty = make(tmp_path, name=NASTY, pdk=NASTY, corner=NASTY, pin=NASTY)
    synthesis = json.loads((tmp_path / "synthesis.json").read_text())
    synthesis["cells"] = {NASTY: 3}
    synthesis["recipe"] = synthesis["trials"][0]["recipe"] = NASTY
    (tmp_path / "synthesis.json").write_text(json.dumps(synthesis))
    page = Page(nasty.page())
    assert len(page.all("script")) == 3
    assert {attributes["class"] for attributes, _ in page.all("img")} == {"map", "spread"}
    assert not [name for _, attributes, _ in page.elements for name in attributes if name.startswith("on")]
    readable = " ".join(NASTY.split())
    assert page.all("h1")[0][1] == readable
    assert [label for _, label in page.all("td", _class="pin") if readable in label]
    data = json.loads(page.all("script", id="weights-data")[0][1])
    assert any(name.startswith(readable) for name in data["names"])


def test_each_bar_has_the_height_and_colour_of_its_weight(folder: Folder, page: Page) -> None:
    tables = Tables.load(folder.path)
    # The ticks are drawn from the bottom to the top of the box.
    ticks = [label for attributes, label in page.all("span") if attributes.get("style") == "bottom: 100.0%"]
    top = float(ticks[0])
    drawn: dict[int, tuple[int, float]] = {}
    for attributes, _ in page.all("path", _class="bars"):
        for left, y in re.findall(r"M([\d.]+) 100V([\d.]+)h", attributes["d"]):
            drawn[int(float(left))] = (int(attributes["data-level"]), (1 - float(y) / 100) * top)
        assert attributes["fill"] == f"var(--level-{attributes['data-level']})"
    assert sorted(drawn) == list(range(256))
    levels = [set(map(int, _codebook(folder, index))) for index in range(3)]
    for position, value in enumerate(tables.values.tolist()):
        level, freq_ghz = drawn[position]
        assert level == min(index for index in range(3) if value in levels[index])
        assert freq_ghz == pytest.approx(1e3 / float(tables.period_ps[position]), abs=1e-4 * top)


def _codebook(folder: Folder, index: int) -> list[int]:
    levels = json.loads((folder.path / "costmap.json").read_text())["levels"]
    return list(levels[index]["codebook"])


def test_shape_groups_weights_by_trailing_zeros(folder: Folder, page: Page) -> None:
    tables = Tables.load(folder.path)
    zeros, period = trailing_zeros(tables.values, 8), tables.period_ps
    rows = page.all("div", role="row", _class="shape-row")[1:]
    assert len(rows) == 6
    for (_, row), exponent in zip(rows, (5, 4, 3, 2, 1, 0), strict=True):
        chosen = (zeros >= 5) if exponent == 5 else zeros == exponent
        slowest = float(period[chosen].max())
        numbers = [float(n.replace("\u202f", "")) for n in re.findall(r"\d[\d\u202f]*\.\d+", row)]
        assert numbers == [
            round(float(period[chosen].min()), 1),
            round(slowest, 1),
            round(1e3 / slowest, 3),
            round(float(period.max()) / slowest, 2),
        ]
        assert row.startswith(
            "multiples of 32 8" if exponent == 5 else ("odd multiples" if exponent else "odd")
        )


def test_paths_add_up_to_the_period(folder: Folder, page: Page) -> None:
    tables = Tables.load(folder.path)
    summaries = [row for _, row in page.all("summary") if "ps, 2 cells" in row]
    assert [row.split(":")[0].strip() for row in summaries] == [
        "fastest weight",
        "weight that sets the fast level’s clock",
        "slowest weight",
        "slowest weight of booth",
    ]
    slowest = next(row for row in summaries if row.startswith("slowest weight:"))
    assert f"{float(tables.period_ps.max()):.1f} ps" in slowest.replace("\u202f", "")
    tables_of_cells = page.all("table", _class="fall")
    assert len(tables_of_cells) == 4
    for (_, body), row in zip(tables_of_cells, summaries, strict=True):
        found = re.search(r"([\d\u202f.]+) ps", row)
        assert found
        period = float(found[1].replace("\u202f", ""))
        last_arrival = float(body.split(" ")[-1].replace("\u202f", ""))
        assert last_arrival == pytest.approx(period)


def test_commands_are_ones_the_command_line_takes(folder: Folder, tmp_path: Path) -> None:
    shutil.copytree(folder.path, tmp_path, dirs_exist_ok=True)
    copied = Folder(tmp_path, folder.references, folder.model)
    write_evaluation(copied)
    page = Page(copied.page())
    lines = page.all("pre")[0][1]
    commands = [shlex.split(line) for line in re.split(r"(?=halo-timing )", lines) if line]
    known = {
        "characterize": characterize,
        "costmap": costmap,
        "evaluate": evaluate,
        "quantize": quantize,
        "report": report_command,
    }
    assert [words[1] for words in commands] == [
        *["characterize"] * 3,
        "costmap",
        "quantize",
        "evaluate",
        "report",
    ]
    for _, name, *arguments in commands:
        context = known[name].make_context(name, list(arguments))
        if name == "characterize":
            assert context.params["pdk"] == "nangate45"
        if name == "quantize":
            assert context.params["include"] == ("*.head", "a b")


@pytest.mark.parametrize(
    "case",
    [
        {"width": 4},
        {"width": 2, "levels": 1, "model": False},
        {"width": 5, "signed": False, "best_scale": None},
        {"width": 10, "levels": 16},
        {"levels": 1},
        {"levels": 2, "model": False, "best_scale": None},
    ],
    ids=str,
)
def test_other_widths_and_runs_without_parts(case: dict[str, Any], tmp_path: Path) -> None:
    folder = make(tmp_path, **case)
    page = Page(folder.page())
    width = case.get("width", 8)
    bars = sum(len(re.findall("M", a["d"])) for a, _ in page.all("path", _class="bars"))
    assert bars == 1 << width
    assert ("No model was quantized" in page.text()) == (case.get("model") is False)
    assert ("No conventional MAC was characterised" in page.text()) == ("best_scale" in case)
    assert len(page.all("article", _class="card")) == 3
    assert len(page.all("section", id="model")) == (case.get("model") is not False)
    values = json.loads(page.all("script", id="weights-data")[0][1])["value"]
    assert values == Tables.load(tmp_path).values.tolist()


def test_a_weight_at_which_nothing_switches(tmp_path: Path) -> None:
    folder = make(tmp_path, periods={0: 0.0}, width=4)
    page = Page(folder.page())
    assert json.loads(page.all("script", id="weights-data")[0][1])["from"][8] is None
    assert "nan" not in page.text().lower().split()
    fastest = next(row for _, row in page.all("summary") if row.startswith("fastest weight"))
    assert ": 0 " not in fastest


def test_an_evaluation_is_drawn_where_its_numbers_are(tmp_path: Path) -> None:
    folder = make(tmp_path / "result", dynamic=False)
    write_evaluation(folder)
    page = Page(folder.page())
    axis = {
        label: float(a["style"][6:-1])
        for a, label in page.all("span")
        if a.get("style", "").startswith("left:")
    }
    places = {
        attributes["aria-label"]: [float(part) for part in re.findall(r"[\d.]+(?=%)", attributes["style"])]
        for attributes, _ in page.all("button", _class="point")
        if "nats" in attributes["aria-label"]
    }
    assert len(places) == 6
    # Ticks of the axis say where 900 ps is; 918 ps is further right, 870 ps further left.
    left = {label.split(":")[0]: place[0] for label, place in places.items()}
    assert left["<other>"] < axis["900"] < left["own-bal"] < left["own-acc"]
    bottom = {label.split(":")[0]: place[1] for label, place in places.items()}
    order = sorted(bottom, key=lambda name: bottom[name])
    assert order == ["own-acc", "<other>", "own-bal", "rtn-w4", "own-perf", "own-bal-plain"]
    behind = [a["aria-label"].split(":")[0] for a, _ in page.all("button", _class="point behind")]
    assert behind == ["own-bal-plain"]
    assert "uniform grids on booth" in page.text()
    lone = make(tmp_path / "alone", dynamic=False, best_scale=None)
    write_evaluation(lone)
    assert "uniform grids" not in Page(lone.page()).text()


@pytest.mark.parametrize("supplies", [[0.9], [0.9, 1.0], [0.8, 0.9, 1.0]])
def test_clocks_against_voltage(supplies: list[float], tmp_path: Path) -> None:
    folder = make(tmp_path, dynamic=False)
    write_corners(tmp_path, supplies)
    page = Page(folder.page())
    ((_, told),) = page.all("section", id="voltage")
    assert ("As many points as parameters" in told) == (len(supplies) < 3)
    marks = [attributes["aria-label"] for attributes, _ in page.all("button", _class="point")]
    levels = json.loads((tmp_path / "costmap.json").read_text())["levels"]
    for vdd_v in supplies:
        # The law the corners were made by, from the clock at the voltage of the folder.
        slower = vdd_v / (vdd_v - 0.35) ** 1.4 / (1.1 / 0.75**1.4)
        corner = f"typ_{vdd_v:.2f}V".replace(".", "p")
        for index, level in enumerate(levels):
            ghz = f"{level['freq_ghz'] / slower:.3f} GHz"
            assert f"level {index}, measured at {corner}: {ghz} at {vdd_v:.3f} V, 25 °C" in marks
    sampled = json.loads(page.all("script", id="voltage-data")[0][1])
    for vdd_v, ghz in zip(sampled["vdd_v"], sampled["freq_ghz"][0], strict=True):
        slower = vdd_v / (vdd_v - 0.35) ** 1.4 / (1.1 / 0.75**1.4)
        # With two points the exponent is taken as 1.3, with more it is found.
        assert ghz == pytest.approx(levels[0]["freq_ghz"] / slower, rel=4e-3)
    assert (
        f"--corners {','.join(sorted([*(f'typ_{v:.2f}V'.replace('.', 'p') for v in supplies)]))},typ" in told
    )


def test_corners_of_another_temperature_are_not_on_the_curve(tmp_path: Path) -> None:
    folder = make(tmp_path, dynamic=False)
    write_corners(tmp_path, [0.9, 1.0])
    there = tmp_path / "corners" / "typ_1p00V"
    hot = Tables.load(there)
    replace(hot, metadata={**hot.metadata, "temperature_c": 125.0}).save(there)
    page = Page(folder.page())
    ((_, told),) = page.all("section", id="voltage")
    assert "Two voltages and two parameters" in told
    marks = {a["aria-label"]: a["class"].split() for a, _ in page.all("button", _class="point")}
    kinds = [kinds[-1] for label, kinds in marks.items() if label.startswith("level 1, measured")]
    assert kinds == ["point", "behind", "point"]
    assert re.search(r"typ_1p00V ?1\.00 ?125 ?", told)
    assert "typ_0p90V,typ_1p00V,typ" in told
    assert folder.metrics["level:1__freq_ghz__corner:typ_1p00V"] < folder.metrics["level:1__freq_ghz"]


def test_one_voltage_has_no_curve(page: Page) -> None:
    ((_, told),) = page.all("section", id="voltage")
    assert "Timed at one voltage, 1.10 V" in told
    assert not page.all("script", id="voltage-data")


def test_an_encoder_is_judged_by_its_embeddings(tmp_path: Path) -> None:
    folder = make(tmp_path, dynamic=False)
    write_evaluation(folder, encoder=True)
    page = Page(folder.page())
    ((_, told),) = page.all("section", id="evaluation")
    assert "embeddings" in told
    assert "perplexity" not in told
    shown = {a["data-metric"]: text for a, text in page.all("data") if "evaluate__" in a["data-metric"]}
    assert shown["evaluate__own-acc__neighbours_kept"] == "98.7"
    assert shown["evaluate__own-acc__cosine_distance"] == "0.09000"
    assert shown["evaluate__own-acc__energy_fj__own"] == "426"


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 1}', '{"schema_version": 9, "methods": []}'])
def test_a_file_that_is_no_evaluation_is_named(text: str, tmp_path: Path) -> None:
    folder = make(tmp_path, width=4)
    write_evaluation(folder)
    assert folder.evaluation
    folder.evaluation.write_text(text)
    with pytest.raises(UsageError, match=r"evaluation\.json: "):
        folder.page()


def test_large_results_stay_small_pages(tmp_path: Path) -> None:
    folder = make(tmp_path, width=12, best_scale=None)
    write_model(tmp_path / "model", 3, tensors=700)
    text = folder.page()
    assert len(text.encode()) < 5e6
    assert "188 more in" in text


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    folder = make(tmp_path, width=4)
    metrics = folder.metrics
    (tmp_path / "synthesis.json").write_text("{")
    with pytest.raises(CostMapError, match=r"synthesis\.json: cannot be read"):
        render_report(folder.path, folder.references, metrics)


def test_the_tiles_of_a_very_large_model_stop_where_the_page_would_burst() -> None:
    size = 300
    layers = tuple(
        LayerTiles(
            f"layer.{index}.weight",
            128 * size,
            128 * size,
            np.full((size, size), index % 3, np.uint8),
            np.full((size, size), 80),
        )
        for index in range(8)
    )
    quality = Quality(1, 1.0, 0.1, 4.0, 3.0, (1, 0, 0), 1)
    report = QuantizationReport(
        tuple(TensorReport(layer.name, "F32", (1, 1), {HALO: quality}) for layer in layers), (), {}, ()
    )
    view = tile_view(ModelTiles((128, 128), layers), report, 3)
    assert (len(view.names), view.more) == (5, 3)
    assert len(json.dumps(view.details)) < 3e6
    # A single layer is shown however large it is.
    assert tile_view(ModelTiles((1, 1), layers[:1]), report, 3).more == 0


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 10))
def test_axes_hold_what_they_were_made_for(low: float, span: float, intervals: int) -> None:
    axis = linear_axis(low, low + span, intervals)
    rounding = 1e-9 * (axis.high - axis.low)
    assert axis.low <= low + rounding
    assert axis.high >= low + span - rounding
    assert axis.ticks[0].at == 0
    assert axis.ticks[-1].at == 100
    assert 2 <= len(axis.ticks) <= 2 * intervals + 3
    assert all(a.at < b.at for a, b in zip(axis.ticks, axis.ticks[1:], strict=False))


@given(st.sets(st.integers(-300, 300)))
def test_value_lists_can_be_read_back(values: set[int]) -> None:
    read: list[int] = []
    for part in value_list(sorted(values)).split(", ") if values else []:
        first, _, last = part.partition("…")
        read += range(int(first), int(last or first) + 1)
    assert read == sorted(values)


@given(st.integers(1, 16), st.data())
def test_bits_are_those_of_the_value(width: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(-(1 << (width - 1)), (1 << (width - 1)) - 1))
    written = bits(value, width).replace(" ", "")
    assert len(written) == width
    unsigned = int(written, 2)
    assert unsigned - (1 << width if value < 0 else 0) == value
