"""The page's accelerator section: its numbers are those of the metrics, and what is unknown is called so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from halo_timing.accelerator.comparison import ESTIMATE_NAME, Macs, compare
from halo_timing.accelerator.shapes import published_shapes
from halo_timing.accelerator.tile_levels import SharedLevels
from halo_timing.accelerator.workload import PHASES, Workload
from halo_timing.cli.report import report
from halo_timing.cli.run import show_summary
from halo_timing.costmap.model import CostMap
from halo_timing.files import write_json
from halo_timing.metrics import collect_metrics
from halo_timing.report.page import render_report
from tests.accelerator_macs import macs, trailing_zeros, unit
from tests.report_folders import Folder, make
from tests.test_report import Page


@pytest.fixture()
def folder(tmp_path: Path) -> Folder:
    return make(tmp_path)


def write_estimate(folder: Folder, energy: float, with_float: bool) -> dict[str, object]:
    known = macs(unit("array", trailing_zeros(200, 300, 400), np.full(256, energy)))
    chosen = Macs(known.unit, known.cost_map, known.best, known.float_unit if with_float else None)
    shape = published_shapes()["smollm2-135m"]
    workloads = [Workload(shape, phase) for phase in PHASES]
    comparison = compare(chosen, SharedLevels((0.5, 0.5)), workloads)
    write_json(folder.path / ESTIMATE_NAME, comparison.to_json())
    model = "model" if folder.model else None
    return collect_metrics(folder.path, folder.references, model, estimate=True)


@pytest.mark.parametrize("with_float", [True, False])
def test_numbers_are_those_of_the_metrics(folder: Folder, with_float: bool) -> None:
    metrics = write_estimate(folder, 2.0, with_float)
    page = Page(render_report(folder.path, folder.references, metrics))
    shown = {
        attributes["data-metric"]: attributes["value"]
        for attributes, _ in page.all("data")
        if attributes.get("data-metric", "").startswith("estimate__")
    }
    times = {key for key in metrics if key.startswith("estimate__") and key.endswith("__time_ms")}
    assert times <= set(shown)
    assert all(json.loads(value) == metrics[key] for key, value in shown.items())
    assert {"self", "best", "w8a8", "w8a8_best"} <= {key.split("__")[2] for key in times}
    text = " ".join(content for _, content in page.all("section", id="accelerator"))
    assert ("not characterised here" in text) != with_float


def test_ratios_are_those_of_times_and_energies(folder: Folder) -> None:
    metrics = write_estimate(folder, 2.0, with_float=True)
    for phase in PHASES:
        for key in ("self", "best", "w8a8", "w8a8_best", "fp16"):
            for figure, what in (("time_ms", "speedup"), ("energy_mj", "energy_ratio")):
                other, own = (metrics[f"estimate__{phase}__{name}__{figure}"] for name in (key, "halo"))
                ratio = metrics[f"estimate__{phase}__{what}__{key}"]
                if None in (other, own):
                    assert ratio is None
                else:
                    assert ratio == pytest.approx(other / own, rel=1e-3)


def test_bars_are_as_long_as_their_numbers(folder: Folder) -> None:
    metrics = write_estimate(folder, 2.0, with_float=False)
    text = render_report(folder.path, folder.references, metrics)
    table = text[text.index('class="schemes"') : text.index("</table>", text.index('class="schemes"'))]
    widths = [float(width) for width in re.findall(r'amount"><i style="width: ([\d.]+)%"', table)]
    times = [float(value) for value in re.findall(r'value="([\d.]+)" data-metric="[^"]*time_ms"', table)]
    assert len(times) == len(widths) > 5
    assert widths == pytest.approx([100 * each / max(times) for each in times], abs=0.02)


def test_unknown_energy_is_called_unknown(folder: Folder) -> None:
    metrics = write_estimate(folder, float("nan"), with_float=True)
    page = Page(render_report(folder.path, folder.references, metrics))
    ((_, text),) = page.all("section", id="accelerator")
    assert "unknown" in text
    assert "nan" not in text.lower()


def test_a_folder_without_an_estimate_has_no_section(folder: Folder) -> None:
    metrics = collect_metrics(folder.path, folder.references, "model" if folder.model else None)
    assert not Page(render_report(folder.path, folder.references, metrics)).all("section", id="accelerator")


@pytest.mark.parametrize("with_float", [True, False])
def test_a_runs_summary_names_every_baseline(
    folder: Folder, with_float: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = write_estimate(folder, 2.0, with_float)
    show_summary(metrics, folder.path)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Prefill")]
    keys = {"self": "one clock", "best": "the best MAC", "w8a8_best": "W8A8 on that", "fp16": "FP16"}
    for key, name in keys.items():
        ratio = metrics[f"estimate__prefill__speedup__{key}"]
        assert (ratio is not None) == (key != "fp16" or with_float)
        assert (name in line) == (ratio is not None)
        if isinstance(ratio, float):
            assert f"{ratio:.2f}x {name}" in line


def test_drawing_again_keeps_an_estimate_of_these_levels_alone(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    write_estimate(folder, 2.0, with_float=True)
    path = folder.path / ESTIMATE_NAME
    content = json.loads(path.read_text())
    digest = CostMap.load(folder.path / "costmap.safetensors").digest
    for known, drawn in ((digest, True), ("of others", False)):
        write_json(path, {**content, "cost_map_sha256": known})
        report.callback(folder.path, None)  # type: ignore[misc]
        page = Page((folder.path / "report.html").read_text())
        assert bool(page.all("section", id="accelerator")) == drawn
        metrics = json.loads((folder.path / "metrics.json").read_text())
        assert any(key.startswith("estimate__") for key in metrics) == drawn
        assert ("is of other levels" in capsys.readouterr().err) != drawn
