"""Finding, running and probing the external programs, with the real ones and with broken stand-ins."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from halo_timing.cli.doctor import doctor
from halo_timing.errors import ToolCrashError, ToolError, ToolNotFoundError, UsageError
from halo_timing.tools.doctor import diagnose_tools
from halo_timing.tools.icarus import find_icarus
from halo_timing.tools.locate import version_in
from halo_timing.tools.opensta import OpenSta, find_opensta
from halo_timing.tools.opensta_probe import probe_opensta
from halo_timing.tools.process import run_tool
from halo_timing.tools.quoting import plain_name, tcl_quote, yosys_quote
from halo_timing.tools.staging import stage_files
from halo_timing.tools.yosys import find_yosys

ODD_NAMES = [
    "sp ace",
    "br[1]",
    "do$lar",
    'q"uote',
    "op{en",
    "cl}ose",
    "se;mi",
    "ha#sh",
    "st*r",
    "back\\slash",
    "-dash",
]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def stand_in(folder: Path, name: str, body: str) -> Path:
    """Return an executable shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


# --- processes ------------------------------------------------------------------------------------------


def test_output_is_kept_whole_and_in_order(work_dir: Path) -> None:
    code = (
        "import sys; print('out', sys.stdin.read()); sys.stderr.write('err\\n'); print('more'); sys.exit(3)"
    )
    finished = run_tool(python(code), cwd=work_dir, log_path=work_dir / "logs" / "a.log", timeout_s=30)
    assert (finished.return_code, finished.stdout, finished.stderr) == (3, "out \nmore\n", "err\n")
    assert finished.ended_by == "exit status 3"
    assert (work_dir / "logs" / "a.log").read_text() == "out \nmore\nerr\n"
    assert [path.name for path in (work_dir / "logs").iterdir()] == ["a.log"]


def test_time_limit_ends_the_children_too(work_dir: Path) -> None:
    child = f"import time; time.sleep(3); open({str(work_dir / 'alive')!r}, 'w')"
    code = f"import os, sys; print('here', flush=True); os.spawnl(0, sys.executable, 'p', '-c', {child!r})"
    begin = time.monotonic()
    with pytest.raises(ToolError, match="limit of 1 s; set HALO_TIMING_TOOL_TIMEOUT_S") as caught:
        run_tool(python(code), cwd=work_dir, log_path=work_dir / "a.log", timeout_s=1)
    assert time.monotonic() - begin < 2.5
    assert caught.value.exit_code == 2
    assert caught.value.log_path == work_dir / "a.log"
    assert (work_dir / "a.log").read_text() == "here\n"
    time.sleep(2.5)
    assert not (work_dir / "alive").exists()


def test_crashes_are_named_and_memory_is_limited(work_dir: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert (
        run_tool(python(code), cwd=work_dir, log_path=work_dir / "a.log", timeout_s=30).ended_by == "SIGSEGV"
    )
    if sys.platform == "linux":
        code = "import time; time.sleep(0.3); x = bytearray(1 << 30)"
        message = "memory at its limit of 512 MiB; set HALO_TIMING_TOOL_MEMORY_MB to more"
        with pytest.raises(ToolError, match=message) as caught:
            run_tool(
                python(code), cwd=work_dir, log_path=work_dir / "b.log", timeout_s=30, memory_limit_mb=512
            )
        assert type(caught.value) is ToolError  # Another attempt would need no less.


def test_limits_can_be_set(work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(code: str) -> None:
        run_tool(python(code), cwd=work_dir, log_path=work_dir / "a.log", timeout_s=30)

    monkeypatch.setenv("HALO_TIMING_TOOL_TIMEOUT_S", "0.2")
    with pytest.raises(ToolCrashError, match=r"limit of 0.2 s"):
        run("import time; time.sleep(9)")
    monkeypatch.delenv("HALO_TIMING_TOOL_TIMEOUT_S")
    if sys.platform == "linux":
        monkeypatch.setenv("HALO_TIMING_TOOL_MEMORY_MB", "512")
        with pytest.raises(ToolError, match="limit of 512 MiB"):
            run("import time; time.sleep(0.3); x = bytearray(1 << 30)")
    for wrong in ("nan", "-1", "0", "4 GB", "inf"):
        monkeypatch.setenv("HALO_TIMING_TOOL_MEMORY_MB", wrong)
        with pytest.raises(UsageError, match=r"HALO_TIMING_TOOL_MEMORY_MB=.*: a positive number is wanted"):
            run("pass")


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="the system has no setpriv")
def test_a_program_ends_with_the_process_that_started_it(work_dir: Path) -> None:
    mark = work_dir / "alive"
    inner = f"import time; time.sleep(1.5); open({str(mark)!r}, 'w')"
    outer = (
        "from pathlib import Path; import sys; from halo_timing.tools.process import run_tool\n"
        f"run_tool([sys.executable, '-c', {inner!r}], cwd=Path('.'), log_path=Path('x.log'), timeout_s=9)"
    )
    process = subprocess.Popen(python(outer), cwd=work_dir)
    while not (work_dir / "x.log").exists():
        time.sleep(0.02)
    time.sleep(0.3)
    process.kill()
    process.wait()
    time.sleep(1.7)
    assert not mark.exists()


def test_what_an_earlier_program_still_writes_is_in_no_later_log(work_dir: Path) -> None:
    log_path = work_dir / "a.log"
    with log_path.open("wb") as left_behind:
        finished = run_tool(python("print('new')"), cwd=work_dir, log_path=log_path, timeout_s=30)
        left_behind.write(b"old")
    assert finished.stdout == log_path.read_text() == "new\n"


def test_what_cannot_be_started_or_written(work_dir: Path) -> None:
    with pytest.raises(ToolError, match="nothing cannot be started"):
        run_tool([work_dir / "nothing"], cwd=work_dir, log_path=work_dir / "a.log", timeout_s=1)
    (work_dir / "file").touch()
    with pytest.raises(UsageError, match="log cannot be written"):
        run_tool(python(""), cwd=work_dir, log_path=work_dir / "file" / "a.log", timeout_s=1)


# --- names ----------------------------------------------------------------------------------------------


def test_tcl_words_mean_themselves(work_dir: Path) -> None:
    """OpenSTA's own interpreter reads back what was quoted, for every printable character."""
    chooser = random.Random(1)
    printable = "".join(map(chr, range(32, 127)))
    words = [*ODD_NAMES, printable, "", *("".join(chooser.choices(printable, k=12)) for _ in range(200))]
    script = "\n".join(f"puts [string cat < {tcl_quote(word)} >]" for word in words)
    printed = find_opensta().run_script(script, cwd=work_dir, log_path=work_dir / "quote.log", timeout_s=60)
    assert printed.splitlines() == [f"<{word}>" for word in words]


def test_yosys_takes_quoted_names_literally_or_not_at_all(work_dir: Path) -> None:
    """Each file holds a module of its own, and lies beside one that its name would match as a pattern."""
    taken = []
    for number, name in enumerate(ODD_NAMES):
        path = work_dir / f"{name}.v"
        path.write_text(f"module m{number}(input a, output b); assign b = a; endmodule\n")
        try:
            taken.append((number, yosys_quote(f"./{path.name}")))
        except UsageError:
            assert set(name) & set('"\\*[]')
    (work_dir / "br1.v").write_text("module wrong; endmodule\n")
    script = "\n".join(f"read_verilog {quoted}" for _, quoted in taken) + "\nls"
    printed = find_yosys().run_script(script, cwd=work_dir, log_path=work_dir / "names.log")
    assert len(taken) == 7
    assert all(f"\n  m{number}\n" in printed for number, _ in taken)
    assert "wrong" not in printed


@given(st.text(max_size=8), st.sampled_from("\x00\n\r\t\x1b\x7f\u2028"), st.text(max_size=8))
def test_control_characters_are_refused(before: str, control: str, after: str) -> None:
    for quote in (tcl_quote, yosys_quote):
        with pytest.raises(UsageError, match="rename it"):
            quote(before + control + after)


def test_plain_names() -> None:
    assert plain_name("a_1.v-2+x") == "a_1.v-2+x"
    for name in ("", "a b", "-a", "../a", "a/b", "ä", "a\n"):
        with pytest.raises(UsageError, match="plain"):
            plain_name(name)
    with pytest.raises(UsageError, match="UTF-8"):
        tcl_quote("\udcff")


def test_staging_gives_plain_names_and_unpacks(work_dir: Path) -> None:
    packed, plain = work_dir / "a b.lib.gz", work_dir / "$x.v"
    packed.write_bytes(gzip.compress(b"library (x) {}"))
    plain.write_text("module x; endmodule")
    job = work_dir / "job"
    for _ in range(2):
        stage_files(job, {"one.lib": packed, "two.v": plain, "three.lib.gz": packed})
    assert (job / "one.lib").read_bytes() == b"library (x) {}"
    assert (job / "two.v").read_text() == "module x; endmodule"
    assert (job / "three.lib.gz").read_bytes() == packed.read_bytes()
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(UsageError, match="cannot be unpacked"):
        stage_files(job, {"one.lib": packed})
    with pytest.raises(UsageError, match="cannot be made"):
        stage_files(plain / "job", {"one.lib": packed})
    with pytest.raises(UsageError, match="no such file"):
        stage_files(job, {"one.lib": work_dir / "absent"})


# --- finding --------------------------------------------------------------------------------------------


def test_environment_variable_wins_over_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = tmp_path / "bin"
    on_path.mkdir()
    stand_in(on_path, "sta", "echo 1.2.3")
    chosen = stand_in(tmp_path, "my sta", "echo 3.1.0")
    monkeypatch.setenv("PATH", str(on_path))
    monkeypatch.delenv("STA", raising=False)
    assert find_opensta().version == (1, 2, 3)
    monkeypatch.setenv("STA", str(chosen))
    assert find_opensta().version == (3, 1, 0)
    monkeypatch.setenv("STA", str(tmp_path / "absent"))
    with pytest.raises(ToolNotFoundError, match=r"STA=.*absent"):
        find_opensta()


def test_missing_tools_are_named_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable in ("STA", "IVERILOG", "YOSYS"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ToolNotFoundError, match=r"set STA to its path, or put sta on PATH; .*opensta"):
        find_opensta()
    with pytest.raises(ToolNotFoundError, match=r"IVERILOG.*icarus|IVERILOG.*iverilog"):
        find_icarus()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ToolNotFoundError, match="pip install pyosys"):
        find_yosys()


def test_versions_are_numbers() -> None:
    assert find_yosys().version >= (0, 40)
    assert find_opensta().version >= (2, 0)
    assert find_icarus().version >= (11, 0)
    with pytest.raises(ToolError, match="does not tell its version"):
        version_in("no number", title="X")


# --- Yosys ----------------------------------------------------------------------------------------------


def test_yosys_errors_carry_its_message(work_dir: Path) -> None:
    yosys = find_yosys()
    log = work_dir / "bad.log"
    with pytest.raises(ToolError, match=r"No such command: nonsense.*bad\.ys.*bad\.log"):
        yosys.run_script("nonsense", cwd=work_dir, log_path=log)
    assert "nonsense" in (work_dir / "bad.ys").read_text()
    with pytest.raises(ToolError, match=r"nope\.v"):
        yosys.run_script("read_verilog nope.v", cwd=work_dir, log_path=log)


def test_a_crash_of_yosys_is_its_own(work_dir: Path) -> None:
    with pytest.raises(ToolError, match="ended with SIGKILL"):
        find_yosys().run_script("! kill -9 $PPID", cwd=work_dir, log_path=work_dir / "crash.log")


def test_yosys_is_not_misled_by_the_working_folder(work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work_dir / "pyosys.py").write_text("raise SystemExit('imported from the working folder')")
    odd = work_dir / "tmp dir"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    (work_dir / "and.v").write_text("module t(input a, b, output y); assign y = a & b; endmodule")
    script = "read_verilog and.v\nsynth -top t\nabc -g AND\nstat"
    assert "$_AND_" in find_yosys().run_script(script, cwd=work_dir, log_path=work_dir / "abc.log")


def test_a_yosys_binary_is_used_when_named(work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built_in = " ".join(f'"{part}"' for part in find_yosys().command)
    binary = stand_in(work_dir, "my yosys", f'[ "$1" = -V ] && exec {built_in}; shift; exec {built_in} "$@"')
    monkeypatch.setenv("YOSYS", str(binary))
    yosys = find_yosys()
    assert yosys.origin == str(binary)
    assert yosys.version >= (0, 40)
    assert "hello" in yosys.run_script("log hello", cwd=work_dir, log_path=work_dir / "a.log")
    monkeypatch.setenv("YOSYS", str(stand_in(work_dir, "broken", "echo no libffi >&2; exit 1")))
    with pytest.raises(ToolError, match="no libffi"):
        _ = find_yosys().version


# --- OpenSTA --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("nonsense", 'invalid command name "nonsense"'),
        ("source inner.tcl\nputs on", "cannot read file absent.lib"),
        ("read_verilog top.v\nlink_design top", "INV not found"),
        ('puts "unterminated', "close-quote"),
        ("if {1} {", "before the end"),
        ("exec kill -11 [pid]", "SIGSEGV"),
    ],
)
def test_opensta_failures_do_not_pass(script: str, message: str, work_dir: Path) -> None:
    (work_dir / "inner.tcl").write_text("read_liberty absent.lib\n")
    (work_dir / "top.v").write_text("module top (input a, output y); INV u (.A(a), .Y(y)); endmodule\n")
    with pytest.raises(ToolError, match=message) as caught:
        find_opensta().run_script(script, cwd=work_dir, log_path=work_dir / "logs" / "x.log", timeout_s=30)
    assert caught.value.log_path is not None
    assert caught.value.log_path.is_file()


def test_opensta_returns_what_was_printed(work_dir: Path) -> None:
    sta = find_opensta()
    assert sta.run_script("puts hello", cwd=work_dir, log_path=work_dir / "x.log") == "hello\n"
    with pytest.raises(UsageError, match="plain file name"):
        sta.run_script("", cwd=work_dir, log_path=work_dir / "a b.log")


def test_probe_of_the_real_opensta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALO_TIMING_CACHE", str(tmp_path))
    sta = find_opensta()
    found = probe_opensta(sta)
    assert found.bounds_are_sound
    if sta.version == (2, 0, 17):
        assert (found.applies_wire_loads, found.power, found.reads_gzip) == (True, False, False)
    assert len(list((tmp_path / "tools").iterdir())) == 1
    assert probe_opensta(sta) == found


FAKE_STA = """
[ "$1" = -version ] && { echo 3.0.1; exit 0; }
echo run >> "$(dirname "$0")/runs"
case "$(cat probe*.tcl ideal*.tcl wires*.tcl packed*.tcl power*.tcl start*.tcl 2>/dev/null)" in
  *"probe leak"*) echo probe live {live}; echo probe blocked {blocked}; echo probe leak {leak};;
esac
echo 'halo_timing: end of script'
"""


@pytest.mark.parametrize(
    ("live", "blocked", "leak", "case_analysis", "leaks"),
    [
        ("9.782", "1e+30", "9.782", True, False),
        ("9.782", "INF", "9.282", True, True),
        ("9.663", "1e+30", "9.663", False, False),
        ("9.782", "9.782", "9.782", False, False),
    ],
)
def test_probe_sees_wrong_answers(
    live: str, blocked: str, leak: str, case_analysis: bool, leaks: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HALO_TIMING_CACHE", str(tmp_path / "cache"))
    body = FAKE_STA.replace("{live}", live).replace("{blocked}", blocked).replace("{leak}", leak)
    sta = OpenSta(stand_in(tmp_path, "sta", body))
    found = probe_opensta(sta)
    assert (found.case_analysis, found.leaks_dead_slews) == (case_analysis, leaks)
    assert found.bounds_are_sound == (case_analysis and not leaks)
    assert (found.applies_wire_loads, found.power, found.reads_gzip) == (False, False, True)
    runs = (tmp_path / "runs").read_text()
    probe_opensta(sta)
    assert (tmp_path / "runs").read_text() == runs
    os.utime(sta.path, (1, 1))
    probe_opensta(sta)
    assert (tmp_path / "runs").read_text() > runs


def test_probe_without_a_usable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HALO_TIMING_CACHE", str(tmp_path / "file"))
    assert probe_opensta(find_opensta()).case_analysis


# --- Icarus ---------------------------------------------------------------------------------------------


def test_icarus_compiles_runs_and_complains(work_dir: Path) -> None:
    icarus = find_icarus()
    log = work_dir / "icarus.log"
    good = '`timescale 1ns/1ps\nmodule t; reg [99:0] n; initial begin if ($value$plusargs("n=%s", n)) '
    (work_dir / "t.v").write_text(good + '$display("n is %0s", n); end endmodule\n')
    icarus.compile(["t.v"], top="t", output=work_dir / "t.vvp", log_path=log)
    printed = icarus.simulate(work_dir / "t.vvp", cwd=work_dir, log_path=log, plusargs={"n": "a b"})
    assert printed == "n is a b\n"
    (work_dir / "bad.v").write_text("module t; wire = ; endmodule\n")
    with pytest.raises(ToolError, match=r"bad\.v:1.*error"):
        icarus.compile([work_dir / "bad.v"], top="t", output=work_dir / "t.vvp", log_path=log)
    (work_dir / "sdf.v").write_text('module t; initial $sdf_annotate("absent.sdf"); endmodule\n')
    icarus.compile(["sdf.v"], top="t", output=work_dir / "t.vvp", log_path=log, options=["-gspecify"])
    with pytest.raises(ToolError, match=r"absent\.sdf"):
        icarus.simulate(work_dir / "t.vvp", cwd=work_dir, log_path=log)
    (work_dir / "stop.v").write_text('module t; initial $fatal(1, "wrong sum"); endmodule\n')
    icarus.compile(["stop.v"], top="t", output=work_dir / "t.vvp", log_path=log)
    with pytest.raises(ToolError, match=r"FATAL|wrong sum"):
        icarus.simulate(work_dir / "t.vvp", cwd=work_dir, log_path=log)


# --- doctor ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nangate45_liberty")
def test_doctor_says_that_the_main_job_runs() -> None:
    shown = CliRunner().invoke(doctor)
    assert shown.exit_code == 0, shown.output
    assert "The main job can run." in shown.output
    answer = json.loads(CliRunner().invoke(doctor, ["--json"]).output)
    assert answer["main_job_runs"] is True
    sta = next(finding for finding in answer["findings"] if finding["name"] == "OpenSTA")
    assert sta["details"]["case_analysis"] is True


def test_doctor_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STA", str(tmp_path / "absent"))
    (tmp_path / "file").touch()
    monkeypatch.setenv("HALO_TIMING_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("YOSYS", str(stand_in(tmp_path, "yosys", "echo Yosys 0.23")))
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = {finding.name: finding for finding in diagnose_tools()}
    assert {name for name, finding in findings.items() if finding.status == "missing"} == {
        "Yosys",
        "OpenSTA",
        "cache folder",
    }
    assert findings["Icarus Verilog"].status == "warning"
    assert "unset YOSYS" in findings["Yosys"].mend
    shown = CliRunner().invoke(doctor)
    assert shown.exit_code == 1
    assert "cannot run" in shown.output
