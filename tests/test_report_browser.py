"""The page in a real browser: no complaints, controls that change the charts, the metrics' numbers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from halo_timing.quantize.native import NativeFile
from halo_timing.quantize.result_folder import NATIVE_NAME
from halo_timing.tables import Tables
from tests.browser import chromium
from tests.report_folders import Folder, make_whole

# Pixels and medium; paper is A4 without its margins.
SIZES = ((1280, ""), (400, ""), (703, "print"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_whole(tmp_path_factory.mktemp("runs") / "result")


@pytest.fixture(scope="module")
def page_url(folder: Folder) -> str:
    path = folder.path / "report.html"
    path.write_text(folder.page(), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture()
def page(browser: Chrome, page_url: str) -> Iterator[Chrome]:
    """The page freshly loaded; what it did in the test must not have made it complain."""
    show(browser, 1280)
    browser.get(page_url)
    yield browser
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def show(browser: Chrome, width: int, *, theme: str = "light", media: str = "") -> None:
    """Look at pages at a width, in a theme, on a medium."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [
        {"name": "prefers-color-scheme", "value": theme},
        {"name": "prefers-reduced-motion", "value": "reduce"},  # what is pointed at must not glide away
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def one(page: Chrome, selector: str) -> WebElement:
    return page.find_element(By.CSS_SELECTOR, selector)


def every(page: Chrome, selector: str) -> list[WebElement]:
    return page.find_elements(By.CSS_SELECTOR, selector)


def evaluate(page: Chrome, expression: str, *arguments: object) -> Any:
    return page.execute_script(f"return {expression}", *arguments)


def point_at(page: Chrome, element: WebElement, across: float, down: float) -> None:
    """Move the pointer over an element, to a share of its width and height."""
    evaluate(page, "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    box = evaluate(page, "arguments[0].getBoundingClientRect().toJSON()", element)
    x, y = box["left"] + across * box["width"], box["top"] + down * box["height"]
    page.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})


def number(text: str) -> float:
    return float(re.sub(r"[^\d.−]", "", text).replace("−", "-"))


def test_numbers_seen_are_those_of_the_metrics(page: Chrome, folder: Folder) -> None:
    metrics = folder.metrics
    shown = evaluate(
        page,
        "[...document.querySelectorAll('data')].map((d) => [d.dataset.metric, d.textContent, "
        "Number(d.dataset.scale ?? 1)])",
    )
    assert len({key for key, _, _ in shown}) > 20
    for key, text, scale in shown:
        name, _, index = key.partition("[")
        value = metrics[name][int(index[:-1])] if index else metrics[name]
        if value is None:
            assert text == "–"
            continue
        digits = len(text.partition(".")[2].rstrip("\u202f%"))
        assert number(text) == pytest.approx(scale * value, abs=0.5001 * 10**-digits), key


def test_nothing_reaches_over_the_side(page: Chrome) -> None:
    for item in every(page, "details:not([open])"):
        evaluate(page, "arguments[0].open = true", item)
    for width, media in SIZES:
        show(page, width, media=media)
        assert evaluate(page, "document.scrollingElement.scrollWidth") <= width, (width, media)


def test_the_theme_is_the_systems_until_one_is_chosen(page: Chrome) -> None:
    def luminance() -> float:
        colour = evaluate(page, "getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765

    assert luminance() > 0.9
    show(page, 1280, theme="dark")
    assert luminance() < 0.2
    button = one(page, "#theme")
    button.send_keys(Keys.ENTER)
    assert (button.text, luminance() > 0.9) == ("Theme: light", True)
    show(page, 1280, theme="light")
    button.send_keys(Keys.ENTER)
    assert (button.text, luminance() < 0.2) == ("Theme: dark", True)
    button.send_keys(Keys.ENTER)
    assert button.text == "Theme: system"


def test_keys_and_pointer_read_the_frequency_chart(page: Chrome, folder: Folder) -> None:
    tables = Tables.load(folder.path)
    plot, readout = one(page, "#weights-plot"), one(page, "#weights-readout")
    plot.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.PAGE_UP)
    assert plot.get_attribute("aria-valuenow") == "-111"
    period_ps = float(tables.period_ps[tables.values == -111][0])
    assert f"{1e3 / period_ps:.3f} GHz, {period_ps:.1f} ps" in readout.text
    # The histogram below follows the weight that is read.
    assert "Weight −111" in one(page, "#hist-readout").text


def test_a_weight_chosen_draws_its_histogram(page: Chrome, folder: Folder) -> None:
    table = Tables.load(folder.path).dynamic
    assert table is not None
    field, path = one(page, "#hist-weight"), one(page, "#hist-path")
    drawn = {}
    for value in (37, -64):
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(str(value))
        drawn[value] = path.get_attribute("d") or ""
        row = int((table.values == value).nonzero()[0][0])
        counts = table.histogram[row, 1].copy()
        counts[0] = 0
        heights = [100 - float(y) for y in re.findall(r"V(-?[\d.]+)", drawn[value])[:-1]]
        filled = counts.nonzero()[0]
        assert heights == pytest.approx(
            (100 * counts[filled[0] : filled[-1] + 1] / counts.max()).tolist(), abs=0.01
        )
    assert drawn[37] != drawn[-64]


def test_all_histograms_are_read_at_once(page: Chrome, folder: Folder) -> None:
    table = Tables.load(folder.path).dynamic
    assert table is not None
    plot = one(page, "#spread-plot")
    bins = int(plot.get_attribute("data-bins") or 0)
    row, bin_number = 137, 90
    point_at(page, plot, (row + 0.5) / 256, 1 - (bin_number + 0.5) / bins)
    counts = table.histogram[row, 1].astype(float)
    counts[0] = 0
    assert one(page, "#transitions figure:has(#spread-plot) output").text == (
        f"Weight 9, 450 to 455 ps: {100 * counts[90] / counts.sum():.2f} % of the transitions in which "
        f"something moves, {100 * counts[91:].sum() / counts.sum():.2f} % later"
    )
    # It is drawn above.
    assert one(page, "#hist-weight").get_attribute("value") == "9"


def test_the_dots_of_the_shape_are_read(page: Chrome, folder: Folder) -> None:
    tables = Tables.load(folder.path)
    point_at(page, every(page, ".strip[data-positions]")[0], 0.01, 0.5)
    fastest = int(tables.period_ps.argmin())
    assert tables.values[fastest] == 0
    assert one(page, "#shape-readout").text.startswith("weight 0 (0000")
    assert f"{float(tables.period_ps[fastest]):.1f} ps" in one(page, "#shape-readout").text
    assert one(page, "#weights-plot").get_attribute("aria-valuenow") == "0"


def test_a_level_can_be_hidden_everywhere(page: Chrome) -> None:
    button = one(page, "#frequency button[data-level='1']")
    marks = every(page, "[data-level='1']:not(.key)")
    others = every(page, "[data-level='0']:not(.key)")
    assert {mark.tag_name for mark in marks} == {"path", "polyline", "button"}
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-pressed") == "false"
    assert all("off" in (mark.get_attribute("class") or "").split() for mark in marks)
    assert not any("off" in (mark.get_attribute("class") or "").split() for mark in others)
    keys = every(page, "button.key[data-level='1']")
    assert len(keys) > 2
    assert {key.get_attribute("aria-pressed") for key in keys} == {"false"}
    button.send_keys(Keys.SPACE)
    assert not any("off" in (mark.get_attribute("class") or "").split() for mark in marks)


def test_a_map_is_read_by_the_pointer(page: Chrome, folder: Folder) -> None:
    table = Tables.load(folder.path).dynamic
    assert table is not None
    image = every(page, "img.map")[0]
    size = table.maps.shape[1]
    before, after = 3, 12
    point_at(page, image, (before + 0.5) / size, 1 - (after + 0.5) / size)
    read = re.search(r"weight (−?\d+): (−?\d+) → (−?\d+) about (\d+) ps", one(page, "#map-readout").text)
    assert read
    value, first, second, period = (int(part.replace("−", "-")) for part in read.groups())
    assert (value, first, second) == (int(table.map_values[0]), before - size // 2, after - size // 2)
    exact = float(table.maps[0, before, after]) * table.settle_unit_ps
    assert period == pytest.approx(exact, abs=0.5 + float(table.maps.max()) * table.settle_unit_ps / 255)


def drawn_tiles(page: Chrome, selector: str) -> set[tuple[int, int]]:
    """Row and column of each tile that paths draw."""
    paths = " ".join(path.get_attribute("d") or "" for path in every(page, selector))
    return {(int(row), int(column)) for column, row in re.findall(r"M(\d+) (\d+)h1v1h-1z", paths)}


def test_the_tiles_of_any_layer_are_those_of_the_model(page: Chrome, folder: Folder) -> None:
    native = NativeFile.open(folder.path / "model" / NATIVE_NAME)
    choice = Select(one(page, "#tile-layer"))
    assert [option.text for option in choice.options] == [f"block.{index}.weight" for index in range(11)]
    levels_seen = set()
    for name in ("block.0.weight", "block.1.weight", "block.10.weight"):
        choice.select_by_visible_text(name)
        tensor = native.tensor(name)
        for level in range(3):
            drawn = drawn_tiles(page, f"#tile-plot path[data-level='{level}']")
            assert drawn == set(map(tuple, np.argwhere(tensor.tile_levels == level).tolist())), (name, level)
            levels_seen |= {level} if drawn else set()
        facts = one(page, "#tile-facts").text
        assert f"{len(tensor.sparse_values)} weights kept apart" in facts
        box = one(page, "#tile-plot").size
        rows, columns = tensor.tile_levels.shape
        assert box["width"] / box["height"] == pytest.approx(columns / rows, rel=0.02)
    assert len(levels_seen) > 1


def test_a_tile_is_read_by_pointer_and_keys(page: Chrome, folder: Folder) -> None:
    tensor = NativeFile.open(folder.path / "model" / NATIVE_NAME).tensor("block.10.weight")
    Select(one(page, "#tile-layer")).select_by_visible_text("block.10.weight")
    plot, readout = one(page, "#tile-plot"), one(page, "#tile-readout")
    point_at(page, plot, 1.5 / 6, 1.5 / 3)
    assert readout.text.startswith(f"Outputs 16 to 31, inputs 16 to 31: level {tensor.tile_levels[1, 1]}, ")
    plot.send_keys(Keys.END, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    rows, columns = np.divmod(tensor.sparse_indices.astype(int), 90)
    apart = int(np.count_nonzero((rows >= 32) & (columns >= 80)))
    assert readout.text == (
        f"Outputs 32 to 39, inputs 80 to 89: level {tensor.tile_levels[2, 5]}, "
        f"{apart} of 80 weights kept apart ({100 * apart / 80:.2f} %)"
    )


def test_tiles_can_be_coloured_by_what_is_kept_apart(page: Chrome, folder: Folder) -> None:
    Select(one(page, "#tile-colour")).select_by_value("apart")
    assert not drawn_tiles(page, "#tile-plot path[data-level]")
    tensor = NativeFile.open(folder.path / "model" / NATIVE_NAME).tensor("block.0.weight")
    assert drawn_tiles(page, "#tile-plot path.apart") == set(np.ndindex(tensor.tile_levels.shape))
    rows, columns = np.divmod(tensor.sparse_indices.astype(int), 40)
    counts = np.zeros(tensor.tile_levels.shape)
    np.add.at(counts, (rows // 16, columns // 16), 1)
    shares = counts / tensor.tile_sizes
    darkest = drawn_tiles(page, "#tile-plot path.apart:nth-last-of-type(1)")
    assert np.unravel_index(int(shares.argmax()), shares.shape) in darkest


def test_points_say_what_they_are(page: Chrome, folder: Folder) -> None:
    assert folder.evaluation
    rows = json.loads(folder.evaluation.read_text())["methods"]
    points = every(page, "#evaluation .point")
    note = one(page, "#evaluation output")
    said = set()
    for point in points:
        evaluate(page, "arguments[0].focus()", point)
        said.add(note.text)
    best_ps = float(Tables.load(folder.path / folder.references[0]).period_ps.max())
    assert said == {
        f"{row['name']}: {row['added_nll']:.4f} nats more at {row.get('mean_period_ps', best_ps):.1f} ps"
        for row in rows
        if "effective_bits" in row
    }
    point_at(page, points[0], 0.5, 0.5)
    assert note.text == points[0].get_attribute("aria-label")


def test_keys_read_the_clock_at_a_voltage(page: Chrome) -> None:
    plot = one(page, "#voltage-plot")
    data = json.loads(one(page, "#voltage-data").get_attribute("textContent") or "")
    plot.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 7)
    clocks = ", ".join(f"level {level} {ghz[7]:.3f} GHz" for level, ghz in enumerate(data["freq_ghz"]))
    assert one(page, "#voltage output").text == f"{data['vdd_v'][7]:.3f} V: {clocks}"


def test_paper_has_the_short_lists_open_and_the_screen_has_not(page: Chrome) -> None:
    closed = len(every(page, "details:not([open], .bulk)"))
    assert closed
    evaluate(page, "window.left = null")
    evaluate(
        page,
        "addEventListener('beforeprint', () => "
        "{ window.left = document.querySelectorAll('details:not([open], .bulk)').length; })",
    )
    paper = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert paper.startswith(b"%PDF")
    assert evaluate(page, "window.left") == 0
    assert len(every(page, "details:not([open], .bulk)")) == closed
