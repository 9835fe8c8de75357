"""Names, paths and file contents that try to become code: handled or refused, and nothing of them runs.

Every payload would leave a canary file if Tcl, a shell, Yosys or Verilog took it for code. What HTML makes of
such names is in ``test_report.py``, archives and shard indexes are in ``test_checkpoint_folder.py``, and
addresses of schedulers in ``test_execution_cluster.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks import stream
from halo_timing.errors import HaloTimingError
from halo_timing.files import sha256_file
from halo_timing.pdk.registry import Pdk
from halo_timing.rtl import Mac
from halo_timing.synthesis import stage_sources
from tests.test_cli import halo

PAYLOADS = {
    "Tcl command": "[exec touch $::env(CANARY)]",
    "Tcl statement": "x; exec touch $::env(CANARY)",
    "Tcl quote": '"; exec touch $::env(CANARY); puts "',
    "Tcl brace": "} ; exec touch $::env(CANARY) ; {",
    "shell": "$(touch $CANARY)",
    "backticks": "`touch $CANARY`",
    "shell statement": "x; touch $CANARY #",
    "shell pipe": "x | touch $CANARY",
    "Yosys shell": "x\n!touch $CANARY\n",
    "Yosys exec": "x; exec -q -- touch $CANARY;",
    "Verilog": 'x); initial $system("touch $CANARY"); //',
    "HTML": "<script>alert(1)</script>",
    "parent": "../../../../x",
    "option": "-e touch",
    "format": "{__class__.__init__.__globals__}%s%n",
    "not UTF-8": "x\udcff",
}

MULTIPLIER = """\
module m (input clk, input signed [3:0] w, input signed [3:0] a, output reg signed [7:0] p);
  reg signed [3:0] w_q, a_q;
  always @(posedge clk) begin w_q <= w; a_q <= a; p <= w_q * a_q; end
endmodule
"""


@pytest.fixture(autouse=True)
def canary(work_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Name a file that must never be, and look that it is not."""
    path = tmp_path / "canary"
    monkeypatch.setenv("CANARY", str(path))
    monkeypatch.setenv("HALO_TIMING_CONFIG", str(tmp_path / "config"))
    yield path
    assert not path.exists()
    assert not list(tmp_path.rglob("canary"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Return the one sentence with which a command is refused."""
    code = halo(*arguments)
    text = capsys.readouterr().err
    assert code in (1, 2), (code, arguments, text)
    assert "Traceback" not in text
    assert text.strip()
    return text


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_names_on_the_command_line_are_refused(
    payload: str, nangate45: Pdk, work_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rtl = work_dir / "m.v"
    rtl.write_text(MULTIPLIER)
    own = ("characterize", "--rtl", rtl, "--no-dynamic")
    roles = {"--top": "m", "--weight": "w", "--activation": "a"}
    for option in roles:
        given = {**roles, option: payload}
        refused(capsys, *own, *(f"{name}={value}" for name, value in given.items()))
    rest = [f"{name}={value}" for name, value in roles.items()]
    for option in ("--accumulator", "--result", "--clock", "--parameter", "--load", "--hold", "--chain"):
        refused(capsys, *own, *rest, f"{option}={payload}")
        refused(capsys, *own, *rest, f"{option}={payload}=1")
    refused(capsys, *own, *rest, f"--parameter=N={payload}")
    for spec in (payload, f"array:{payload}=1", f"array:ADDER={payload}", f"{payload}.toml"):
        refused(capsys, "characterize", f"--mac={spec}", "--no-dynamic")
        refused(capsys, "testbench", f"--mac={spec}")
        refused(capsys, "mac", "show", "--", spec)
    for option in ("--mac", "--pdk", "--corner", "--model", "--reference", "--from", "--scheduler"):
        refused(capsys, "run", f"{option}={payload}")
    for command in ("show", "check", "install"):
        refused(capsys, "pdk", command, "--", payload)
    liberty = nangate45.default_corner.liberty[0]
    refused(capsys, "pdk", "add", "--", payload, str(liberty))
    refused(capsys, "pdk", "add", f"--corner={payload}", "x", str(liberty))
    refused(capsys, "characterize", "--mac=array", "--no-dynamic", f"--corners={payload}")
    (work_dir / "run.toml").write_text(
        "".join(
            f"{name} = {json.dumps(payload.replace(chr(0xDCFF), '?'))}\n" for name in ("mac", "pdk", "model")
        )
    )
    refused(capsys, "run", "run.toml")


def test_files_and_folders_of_any_name_do(
    nangate45: Pdk, work_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every payload that a file can be called, as the name of Verilog, Liberty and results: equal results."""
    plain = work_dir / "m.v"
    plain.write_text(MULTIPLIER)
    roles = ("--top", "m", "--weight", "w", "--activation", "a", "--no-dynamic")
    assert halo("characterize", "--rtl", plain, *roles, "--out", "plain") == 0
    expected = sha256_file(Path("plain/netlist.v"))
    everything = " ".join(
        payload
        for payload in PAYLOADS.values()
        if "/" not in payload and "\n" not in payload and payload.isascii()
    ).replace("\x00", "")
    name = everything[:200]
    assert all(mark in name for mark in ("[exec", "$(", "`", ";", '"', "|"))
    rtl = Path(name).with_name(f"{name}.v")
    rtl.write_text(MULTIPLIER)
    assert halo("characterize", f"--rtl={rtl}", *roles, f"--out={name}") == 0
    assert sha256_file(Path(name) / "netlist.v") == expected
    library = Path(name) / f"{name}.lib"
    library.write_bytes(nangate45.default_corner.liberty[0].read_bytes())
    assert halo("pdk", "add", "odd", str(library)) == 0
    assert halo("characterize", f"--rtl={rtl}", *roles, "--pdk=odd", "--out=odd") == 0
    assert sha256_file(Path("odd/netlist.v")) == expected
    capsys.readouterr()


@pytest.mark.parametrize(
    "payload", ["[exec touch $::env(CANARY)]", "X; exec touch $::env(CANARY)", "X $(touch $CANARY)"]
)
@pytest.mark.parametrize("cell", ["BUF_X1", "DFF_X1", "LOGIC0_X1"])
def test_cells_with_such_names_are_not_used(
    cell: str, payload: str, nangate45: Pdk, work_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cell names go to Yosys, ABC, Verilog and Tcl; one that is no name in them never gets there."""
    text = nangate45.default_corner.liberty[0].read_text()
    hostile = re.sub(rf"cell \({cell}\)", lambda _: f'cell ("{payload}")', text)
    assert hostile != text
    (work_dir / "x.lib").write_text(hostile)
    (work_dir / "m.v").write_text(MULTIPLIER)
    if halo("pdk", "add", "hostile", "x.lib") == 0:
        code = halo(
            "characterize",
            "--rtl=m.v",
            "--top=m",
            "--weight=w",
            "--activation=a",
            "--no-dynamic",
            "--pdk=hostile",
        )
        assert code in (0, 1, 2)
        if code == 0:
            assert payload not in Path("results/netlist.v").read_text()
    text = capsys.readouterr().err
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "name", ["[exec", "$x", ";", '"', "a[3]", "x;touch", "$system(1)", "`include", "<script>", "../x"]
)
def test_escaped_names_in_verilog(name: str, work_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verilog lets names hold anything but blanks, after a backslash: as module, port and register."""
    text = re.sub(r"\bw\b", lambda _: f"\\{name} ", MULTIPLIER)
    (work_dir / "port.v").write_text(text)
    roles = ("--activation=a", "--no-dynamic", "--out=port")
    for weight in (name, f"\\{name}", f"\\{name} "):
        assert halo("characterize", "--rtl=port.v", "--top=m", f"--weight={weight}", *roles) in (0, 1, 2)
    (work_dir / "module.v").write_text(MULTIPLIER.replace("module m", f"module \\{name} "))
    for top in (name, f"\\{name}"):
        refused(capsys, "characterize", "--rtl=module.v", f"--top={top}", "--weight=w", *roles)
    (work_dir / "register.v").write_text(re.sub(r"\bw_q\b", lambda _: f"\\{name} ", MULTIPLIER))
    code = halo("characterize", "--rtl=register.v", "--top=m", "--weight=w", *roles)
    assert code in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_what_is_not_a_plain_name_does_not_reach_yosys(payload: str, small_mac: Mac, tmp_path: Path) -> None:

    for changed in (
        replace(small_mac, top=payload),
        replace(small_mac, parameters={payload: 1}),
        replace(small_mac, parameters={"ADDER": payload}),
    ):
        with pytest.raises(HaloTimingError):
            stage_sources(tmp_path / "job", changed)


def test_tensors_of_any_name_are_quantized(work_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    names = [payload for payload in PAYLOADS.values() if payload.isascii()]
    save_file(
        {f"{name}.weight": rng.standard_normal((32, 32)).astype(np.float32) for name in names},
        work_dir / "t.safetensors",
    )

    stream.cost_map().save(work_dir / "costmap")
    arguments = ("quantize", "t.safetensors", "--costmap", "costmap", "--out", "out", "--no-baselines")
    assert halo(*arguments) == 0
    written = [path for path in work_dir.parent.rglob("*") if path.is_file()]
    assert all(work_dir in path.parents for path in written)
    assert "Traceback" not in capsys.readouterr().err
