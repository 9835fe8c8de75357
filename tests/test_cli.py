"""The command line as a user meets it: results, bytes, interruptions, and one sentence for every mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from halo_timing.cli import main
from halo_timing.files import sha256_file
from halo_timing.pdk.registry import Corner
from halo_timing.rtl import family
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.opensta_probe import probe_opensta
from tests.conftest import SMALL

MAC = f"array:{SMALL}"
REFERENCE = f"booth:{SMALL}"


def halo(*arguments: str | Path) -> int:
    """Exit code of the command."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed on standard error after the progress: one line, no traceback."""
    text = capsys.readouterr().err
    lines = [line for line in text.splitlines() if line.startswith("halo-timing: ")]
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    tensors = {
        f"layer.{index}.weight": rng.standard_t(5, (96, 160)).astype(np.float32) / 20 for index in range(2)
    }
    save_file({**tensors, "norm.weight": np.ones(160, np.float32)}, path)
    return path


def arguments(checkpoint: Path, out: Path) -> list[str]:
    named = ["--mac", MAC, "--reference", REFERENCE, "--model", str(checkpoint), "--tile", "64"]
    return ["run", *named, "--out", str(out)]


def results(folder: Path) -> dict[str, str]:
    """Hash of every file that must not depend on when and how it was made."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {"logs", ".steps"} & set(path.parts) and path.name != "manifest.json"
    }


@pytest.fixture(scope="module")
def finished(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Result folder of one uninterrupted run with one job, in a folder with an awkward name."""
    out = tmp_path_factory.mktemp("runs") / "a [b] $c d"
    assert halo(*arguments(checkpoint, out), "-j", "1") == 0
    return out


def test_a_run_leaves_the_whole_result_folder(finished: Path) -> None:
    names = set(results(finished))
    expected = {
        "netlist.v", "netlist.json", "synthesis.json", "delays.sdf", "tables.safetensors", "weights.csv",
        "paths.json", "costmap.safetensors", "costmap.json", "metrics.json", "report.html",
        "model/tiny.safetensors", "model/quantization.json",
    }  # fmt: skip
    assert expected <= names
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["options"]["mac"] == MAC
    assert manifest["provenance"]["tools"]["opensta"]
    recorded = {name: digest for step in manifest["steps"] for name, digest in step["outputs"].items()}
    for name in ("tables.safetensors", "report.html", "model/tiny.safetensors"):
        assert recorded[name] == sha256_file(finished / name)


def test_metrics_say_what_the_tables_say(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    tables = load_file(finished / "tables.safetensors")
    costs = load_file(finished / "costmap.safetensors")
    fast_ps = float(costs["codebook.0.period_ps"][0])
    assert metrics["ratio__self"] == pytest.approx(float(tables["bound_ps"].max()) / fast_ps, abs=1e-3)
    (other,) = finished.glob("reference/*/tables.safetensors")
    worst_ps = float(load_file(other)["bound_ps"].max())
    assert metrics["ratio__best"] == pytest.approx(worst_ps / fast_ps, abs=1e-3)
    assert metrics["level:0__values"] == len(costs["codebook.0.values"])


def test_the_model_loads_again_with_allowed_values_only(finished: Path, checkpoint: Path) -> None:
    before, after = load_file(checkpoint), load_file(finished / "model" / "tiny.safetensors")
    assert before.keys() == after.keys()
    assert np.array_equal(before["norm.weight"], after["norm.weight"])
    weight = before["layer.0.weight"]
    noise = float(((after["layer.0.weight"] - weight) ** 2).sum() / (weight**2).sum())
    assert 0 < noise < 0.1


def test_a_second_run_does_nothing(
    finished: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")}
    assert halo(*arguments(checkpoint, finished)) == 0
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")} == before
    assert "there already" in capsys.readouterr().err


def test_jobs_and_kills_do_not_change_a_byte(finished: Path, checkpoint: Path, tmp_path: Path) -> None:
    """A run with two jobs, killed again and again at different moments, ends like the undisturbed one."""
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "halo_timing", *arguments(checkpoint, out), "-j", "2"]
    for delay_s in (2.5, 3.5, 4.5, 6.0):
        process = subprocess.Popen(
            command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(delay_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert results(out) == results(finished)
    assert not list(out.rglob(".making-*"))


def test_steps_by_hand(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert halo("characterize", "--mac", MAC, "--out", tmp_path) == 0
    assert "4 x odd" in capsys.readouterr().out
    assert sha256_file(tmp_path / "tables.safetensors") == sha256_file(finished / "tables.safetensors")
    assert halo("costmap", tmp_path, "--levels", "2", "--margin", "0.1") == 0
    assert len(json.loads((tmp_path / "costmap.json").read_text())["levels"]) == 2


def test_a_report_is_drawn_again(finished: Path) -> None:
    before = sha256_file(finished / "report.html")
    assert halo("report", finished) == 0
    assert sha256_file(finished / "report.html") == before


def test_options_come_from_a_file_and_flags_win(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "run.toml"
    config.write_text('mac = "nope"\n')
    assert halo("run", config, "--out", tmp_path / "out") == 1
    assert "unknown MAC 'nope'" in one_sentence(capsys)
    config.write_text("levels = 99\n")
    assert halo("run", config) == 1
    assert "levels" in one_sentence(capsys)
    assert halo("run", tmp_path / "none.toml") == 1
    assert "none.toml" in one_sentence(capsys)


def test_own_verilog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my $mul [1].v"
    path.write_text("module mul(input [2:0] w, a, output [5:0] y);\n  assign y = w * a;\nendmodule\n")
    ports = ["--rtl", path, "--top", "mul", "--weight", "w", "--activation", "a", "--unsigned"]
    assert halo("mac", "show", *ports) == 0
    assert "activation" in capsys.readouterr().out
    assert halo("characterize", *ports, "--out", tmp_path / "out") == 0
    bounds = load_file(tmp_path / "out" / "tables.safetensors")
    assert bounds["value"].tolist() == list(range(8))
    assert bounds["bound_ps"][0] == 0, "nothing moves behind weight 0"
    assert (bounds["bound_ps"][1:] > 0).all()


def test_the_family_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert halo("mac", "list") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in family())
    assert halo("mac", "show", "array") == 0
    assert "feeds the next" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["run", "--pdk", "nope"], "nope"),
        (["characterize", "--pdk", "nope"], "nope"),
        (["characterize", "--corner", "nope"], "corner 'nope'"),
        (["characterize", "--mac", "nope"], "unknown MAC 'nope'"),
        (["mac", "show", "array:WIDE=1"], "WIDE"),
        (["run", "--mac", MAC, "--model", "no/such/model"], "no/such/model"),
        (["costmap", "nowhere"], "characterize"),
        (["report", "nowhere"], "costmap.safetensors is missing"),
        (["characterize", "--top", "x"], "--rtl"),
        (["characterize", "--rtl", "x.v", "--mac", "array"], "give one"),
        (["characterize", "--rtl", "x.v"], "--top"),
        (["characterize", "--rtl", "gone.v", "--top", "x", "--weight", "w", "--activation", "a"], "gone.v"),
        (["characterize", "--rtl", "x.v", "--hold", "en"], "--hold"),
    ],
)
def test_mistakes_are_one_sentence(
    command: list[str], message: str, work_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert halo(*command) == 1
    assert message in one_sentence(capsys)
    assert not list(work_dir.rglob("*.safetensors"))


def test_usage_mistakes_exit_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert halo("nope") == 1
    assert halo("run", "--levels", "many") == 1
    assert halo("--help") == 0
    assert halo("--version") == 0
    assert "No such command 'nope'" in capsys.readouterr().err


def test_ports_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.v"
    path.write_text("module m(input [2:0] w, a, output [2:0] x, y); assign x = w; assign y = a; endmodule\n")
    base = ["characterize", "--rtl", path, "--top", "m", "--activation", "a"]
    for extra, message in (
        (["--weight", "q", "--result", "x"], "no input 'q'"),
        (["--weight", "w"], "--result"),
        (["--weight", "w", "--result", "z"], "no output 'z'"),
        (["--weight", "w", "--result", "x", "--parameter", "N=1"], "no parameter 'N'"),
    ):
        assert halo(*base, *extra, "--out", tmp_path / "out") == 1
        assert message in one_sentence(capsys)


def test_an_output_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert halo("characterize", "--mac", MAC, "--out", tmp_path / "file" / "out") == 1
    assert "cannot be written" in one_sentence(capsys)


def test_a_missing_tool_is_named_with_its_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STA", str(tmp_path / "no-sta"))
    assert halo("characterize", "--mac", MAC, "--out", tmp_path / "out") == 1
    assert "STA" in one_sentence(capsys)
    monkeypatch.delenv("STA")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert halo("characterize", "--mac", MAC, "--out", tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()


def test_a_failing_tool_exits_with_two_and_names_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "sta"
    broken.write_text("#!/bin/sh\n[ \"$1\" = -version ] && echo 2.0.17 && exit\necho 'Error: no luck.'\n")
    broken.chmod(0o755)
    monkeypatch.setenv("STA", str(broken))
    assert halo("characterize", "--mac", MAC, "--out", tmp_path / "out") == 2
    sentence = one_sentence(capsys)
    assert "no luck" in sentence
    assert "log: " in sentence
    assert not (tmp_path / "out" / "tables.safetensors").exists()


@pytest.mark.parametrize("damage", ["cut", "nan", "header"])
def test_damaged_checkpoints_leave_nothing(
    damage: str, finished: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "bad.safetensors"
    data = bytearray(checkpoint.read_bytes())
    if damage == "cut":
        data = data[:-100]
    elif damage == "nan":
        start = 8 + int.from_bytes(data[:8], "little")
        data[start : start + 4] = b"\x00\x00\xc0\x7f"
    else:
        data[:8] = b"\xff" * 8
    source.write_bytes(data)
    out = tmp_path / "out"
    assert halo("quantize", source, "--costmap", finished / "costmap.safetensors", "--out", out) == 1
    assert "bad.safetensors" in one_sentence(capsys)
    assert not out.exists() or not list(out.rglob("*.safetensors"))


def test_damaged_libraries_are_one_sentence(
    nangate45_corner: Corner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(tmp_path / "config"))
    cut = tmp_path / "cut.lib"
    cut.write_bytes(nangate45_corner.liberty[0].read_bytes()[:400_000])
    assert halo("pdk", "add", "cut", cut) == 1
    assert "cut.lib" in one_sentence(capsys)
    bare = tmp_path / "bare.lib"
    bare.write_text(
        'library (bare) { delay_model : table_lookup; time_unit : "1ns"; capacitive_load_unit (1, pf);\n'
        'voltage_unit : "1V"; nom_voltage : 1.0; nom_temperature : 25.0; nom_process : 1.0;\n'
        + "".join(
            f"{kind}_threshold_pct_{edge} : {value};\n"
            for kind, value in (("input", 50), ("output", 50), ("slew_lower", 20), ("slew_upper", 80))
            for edge in ("rise", "fall")
        )
        + "cell (INV) { area : 1; pin (A) { direction : input; capacitance : 0.001; }\n"
        'pin (Y) { direction : output; function : "!A"; } } }\n'
    )
    assert halo("pdk", "add", "bare", bare) == 1
    assert "flip-flop" in one_sentence(capsys)


def test_an_opensta_whose_bounds_are_wrong_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault that no version at hand has, so its diagnosis is put in by hand."""
    found = probe_opensta(find_opensta())
    assert found.bounds_are_sound
    wrong = replace(found, leaks_dead_slews=True)
    monkeypatch.setattr("halo_timing.run.session.probe_opensta", lambda _sta: wrong)
    assert halo("characterize", "--mac", MAC, "--out", tmp_path / "out") == 1
    assert "wrong delays under case analysis" in one_sentence(capsys)
