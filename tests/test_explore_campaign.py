"""A small space from end to end with real tools: against itself without pruning, and through kills."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halo_timing.cli import main
from halo_timing.costmap.model import CostMap
from halo_timing.errors import FlowError
from halo_timing.execution.executor import Outcome, open_executor
from halo_timing.execution.store import Store
from halo_timing.explore import points as steps
from halo_timing.explore.campaign import Campaign
from halo_timing.explore.objectives import best_mix
from halo_timing.explore.outputs import write_results
from halo_timing.explore.pareto import front
from halo_timing.explore.places import find_places
from halo_timing.explore.space import expand, read_space
from halo_timing.run.config import RunConfig
from halo_timing.tables import Tables
from tests.test_docs import names_under

SPACE = """
[space]
pdk = "nangate45"
mac = ["array", "booth_stored", "one_digit", "wrong.toml"]
adder = "sklansky"
width = "4x4+8"
recipe = "speed_units"
[goal]
sizes = [4, 8]
min_sqnr_db = 12
finalists = 2
"""
# Adds where it should multiply.
WRONG = """
module wrong(input signed [3:0] weight, input signed [3:0] activation, output signed [7:0] result);
  assign result = weight + activation;
endmodule
"""
WRONG_TOML = 'files = ["wrong.v"]\ntop = "wrong"\nweight = "weight"\nactivation = "activation"\n'


class Quiet:
    """Counts what ends, and kills its own process after so many."""

    def __init__(self, lives: int | None = None) -> None:
        self.ended: list[Outcome] = []
        self.lives = lives

    def stage(self, title: str, total: int) -> Callable[[Outcome], None]:
        return self.take

    def take(self, outcome: Outcome) -> None:
        self.ended.append(outcome)
        if self.lives is not None and sum(not each.reused for each in self.ended) >= self.lives:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(self, text: str) -> None:
        pass


def explore(space: Path, store: Path, out: Path, lives: int | None = None) -> Campaign:
    settings, reporter, kept = read_space(space), Quiet(lives), Store(store)
    places = find_places(settings.space.pdk, (), reporter.note, install=True)
    points, skipped = expand(space, settings.space, list(places))
    with open_executor(jobs=1, store=kept) as executor:
        campaign = Campaign(points, places, settings.goal, None, executor, kept, reporter)
        campaign.run()
        write_results(campaign, settings, skipped, out, "halo-timing explore space.toml")
    return campaign


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "space.toml"
    path.write_text(SPACE)
    (path.parent / "wrong.v").write_text(WRONG)
    (path.parent / "wrong.toml").write_text(WRONG_TOML)
    return path


@pytest.fixture(scope="module")
def explored(space: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Campaign, Path]:
    folder = tmp_path_factory.mktemp("explored")
    return explore(space, folder / "store", folder / "out"), folder


def result_of(explored: tuple[Campaign, Path]) -> dict[str, object]:
    found: dict[str, object] = json.loads((explored[1] / "out" / "explore.json").read_text())
    return found


def test_pruning_loses_nothing(explored: tuple[Campaign, Path], tmp_path: Path) -> None:
    """Bound every point, whatever pruning said of it, and look for front and baseline by definition."""
    campaign, _ = explored
    costs, worst = {}, {}
    for state in campaign.states.values():
        if state.failed:
            continue
        assert state.mapped is not None
        tables = state.tables
        if tables is None:
            work = campaign._work("bounds", state)
            folder = tmp_path / state.point.structure
            steps.bound_point(folder, work.inputs, work.parameters)
            tables = Tables.load(folder)
        bounds = campaign.estimate(state)
        mix = best_mix(tables.values, tables.period_ps, campaign.quality(True), 12.0)
        assert mix is not None
        # What pruning took for sure is so.
        assert bounds.time.low <= mix.period_ps <= bounds.time.high
        assert bounds.worst.low <= tables.period_ps.max() <= bounds.worst.high
        costs[state.point.name] = (mix.period_ps, state.mapped.area_um2)
        if state.point.mac.conventional:
            worst[state.point.name] = float(tables.period_ps.max())
    (states,) = campaign.classes().values()
    assert {state.point.name for state in campaign.front(states)} == set(front(costs))
    baseline = campaign.baseline(states)
    assert baseline is not None
    assert baseline.point.name == min(worst, key=lambda name: (worst[name], name))


def test_the_answer_follows_from_the_tables(explored: tuple[Campaign, Path]) -> None:
    _, folder = explored
    (answer,) = result_of(explored)["classes"]  # type: ignore[misc]
    winner, baseline = answer["winner"], answer["baseline"]
    own, other = (Tables.load(folder / "out" / "finalists" / each["name"]) for each in (winner, baseline))
    fast = winner["mix"]["levels"][0]
    chosen = np.isin(own.values, fast["values"])
    assert own.period_ps[chosen].max() == pytest.approx(fast["period_ps"], abs=1e-3)
    assert winner["self"] == pytest.approx(own.period_ps.max() / fast["period_ps"], rel=1e-3)
    assert baseline["best_fast"] == pytest.approx(other.period_ps.max() / fast["period_ps"], rel=1e-3)
    assert own.dynamic_ps is not None
    assert other.dynamic_ps is not None
    ratio = other.dynamic_ps.max() / own.dynamic_ps[chosen].max()
    assert baseline["best_simulated"] == pytest.approx(ratio, rel=1e-3)
    assert (own.dynamic_ps <= own.period_ps + 1e-3).all()
    proof = json.loads((folder / "out" / "finalists" / winner["name"] / "synthesis.json").read_text())
    assert proof["equivalence"]["exhaustive"] + proof["equivalence"]["sat"] > 0
    assert f"{baseline['best_fast']:.2f}x" in answer["text"]
    for row in answer["sizes"]:
        others = other.period_ps.max()
        assert row["best"] == pytest.approx(others / row["period_ps"], rel=1e-3)


def test_gates_are_right_at_the_clock_of_the_level_and_wrong_well_above_it(
    explored: tuple[Campaign, Path], tmp_path: Path
) -> None:
    campaign, _ = explored
    (answer,) = result_of(explored)["classes"]  # type: ignore[misc]
    state = campaign.states[answer["winner"]["name"]]
    level = answer["winner"]["mix"]["levels"][0]
    assert state.clocked is not None
    assert state.clocked["codebook"] == level["values"]
    assert state.clocked["cycles"] >= 500 * len(level["values"])
    assert level["period_ps"] <= state.clocked["period_ps"] < level["period_ps"] + 2
    too_fast = {"period_ps": 0.6 * level["period_ps"], "codebook": level["values"], "cycles": 50}
    work = campaign._work("clock", state, level=too_fast)
    with pytest.raises(FlowError, match="differ from the RTL"):
        steps.clock_point(tmp_path, work.inputs, work.parameters)


def test_table_and_page_hold_every_point(explored: tuple[Campaign, Path]) -> None:
    campaign, folder = explored
    with (folder / "out" / "points.csv").open() as stream:
        rows = {row["name"]: row for row in csv.DictReader(stream)}
    assert rows.keys() == campaign.states.keys()
    for row in rows.values():
        if row["stage"] == "failed":
            continue
        assert float(row["time_low_ps"]) <= float(row["time_high_ps"])
    page = (folder / "out" / "explore.html").read_text()
    assert all(name in page for name in rows)
    assert not [part for part in ("http://", "https://", '<link rel="style', "src=") if part in page]


def test_what_is_no_mac_fails_alone_and_is_named(explored: tuple[Campaign, Path]) -> None:
    campaign, folder = explored
    (outcome,) = campaign.failed
    assert outcome.exit_code == 1
    assert "expected. Are signedness" in str(outcome.error)
    reproduced = Path(str(outcome.error).rpartition(" ")[2])
    assert json.loads((reproduced / "work.json").read_text())["name"] == outcome.work.name
    points: list[dict[str, Any]] = result_of(explored)["points"]  # type: ignore[assignment]
    (failed,) = (point for point in points if point["outcome"]["stage"] == "failed")
    assert failed["structure"] == "wrong"
    assert str(folder) not in json.dumps(failed["outcome"])


def test_killed_campaigns_end_with_the_same_bytes(
    space: Path, explored: tuple[Campaign, Path], tmp_path: Path
) -> None:
    """Kill after a few works, again and again, then go on to the end."""
    call = "import sys; from pathlib import Path; from tests.test_explore_campaign import explore\n"
    call += "explore(*map(Path, sys.argv[1:4]), int(sys.argv[4]))"
    for lives in (1, 4, 3):
        argv = [
            sys.executable,
            "-c",
            call,
            str(space),
            str(tmp_path / "store"),
            str(tmp_path / "out"),
            str(lives),
        ]
        killed = subprocess.run(argv, cwd=Path(__file__).parents[1], capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-500:]
        assert not (tmp_path / "out" / "explore.json").exists()
    campaign = explore(space, tmp_path / "store", tmp_path / "out")
    assert sum(each.reused for each in campaign.reporter.ended) >= 5  # type: ignore[attr-defined]
    whole = explored[1] / "out"
    names = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert names == sorted(
        path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    for name in names:
        assert (whole / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name


def test_run_takes_the_winner(explored: tuple[Campaign, Path], tmp_path: Path) -> None:
    _, folder = explored
    (file,) = (folder / "out").glob("winner-*.toml")
    (answer,) = result_of(explored)["classes"]  # type: ignore[misc]
    assert RunConfig.from_toml(file, {}).mac == answer["winner"]["spec"]
    with pytest.raises(SystemExit) as end:
        main(["run", str(file), "--no-model", "--no-dynamic", "--out", str(tmp_path), "-j", "1"])
    assert end.value.code == 0
    cost_map = CostMap.load(tmp_path / "costmap.safetensors")
    level = answer["winner"]["mix"]["levels"][0]
    assert cost_map.levels[0].codebook.tolist() == level["values"]
    # The same netlist, so the same figures.
    assert cost_map.levels[0].period_ps == pytest.approx(level["period_ps"], abs=1e-3)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["ratio__best"] == pytest.approx(answer["baseline"]["best_fast"], abs=1e-3)


def test_keys_are_documented(explored: tuple[Campaign, Path]) -> None:
    result = result_of(explored)
    (answer,) = result["classes"]  # type: ignore[misc]
    points: list[dict[str, object]] = result["points"]  # type: ignore[assignment]
    for heading, real in (
        ("`explore.json`", result.keys()),
        ("A class", answer.keys()),
        ("A point", {key for point in points for key in point}),
    ):
        (documented,) = names_under("docs/formats.md", heading)
        assert set(real) == documented
