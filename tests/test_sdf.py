from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_timing.errors import LibertyError, NetlistError
from halo_timing.sdf import Check, IoPath, condition_function, parse_sdf, read_sdf

EXAMPLE = """
(DELAYFILE (SDFVERSION "3.0") (DESIGN "a ) tricky ( name") // comment (
 (DIVIDER .) (TIMESCALE 100 ps) /* another ( */
 (CELL (CELLTYPE "top") (INSTANCE)
  (DELAY (ABSOLUTE (INTERCONNECT a[0] core.u1.A (0.5::1.5)) (INTERCONNECT core.u1.Z core.u2.A (1) (2)))))
 (CELL (CELLTYPE "XOR2") (INSTANCE core.u1)
  (DELAY (PATHPULSE A Z (1)) (ABSOLUTE
    (COND (B == 1'b1) && !C (IOPATH A Z (1:2:3) (::4)))
    (COND "label" B==1'b0 (IOPATH (posedge A) Z () (-0.25)))
    (CONDELSE (IOPATH A Z (7)))
    (IOPATH B Z (RETAIN (1)) (5:6:) (1) (2)))))
 (CELL (CELLTYPE "DFF") (INSTANCE f\\[1\\])
  (TIMINGCHECK
    (SETUP (posedge D) (posedge CK) (0.9::0.8)) (SETUP (COND E (negedge D)) (posedge CK) (1.1))
    (SETUPHOLD D (posedge CK) (0.2) (0.3)) (WIDTH (posedge CK) (2)))))
"""


def test_every_construct_that_is_used_is_read() -> None:
    sdf = parse_sdf(EXAMPLE)
    assert sdf.cells["core/u1"].paths == [
        IoPath("A", "Z", "", "(B == 1'b1) && !C", 300_000, 400_000),
        IoPath("A", "Z", "posedge", "B==1'b0", None, -25_000),
        IoPath("A", "Z", "", None, 700_000, 700_000),
        IoPath("B", "Z", "", None, 600_000, 100_000),
    ]
    assert sdf.interconnect_fs == {
        ("a[0]", "core/u1/A"): (150_000, 150_000),
        ("core/u1/Z", "core/u2/A"): (100_000, 200_000),
    }
    assert sdf.cells["f[1]"].checks == [
        Check("setup", "D", "posedge", "CK", 80_000),
        Check("setup", "D", "negedge", "CK", 110_000),
        Check("setup", "D", "", "CK", 20_000),
        Check("hold", "D", "", "CK", 30_000),
    ]
    assert sdf.setup_fs("f[1]", "D") == (80_000, 110_000)
    assert sdf.setup_fs("nobody", "D") == (0, 0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "begins with"),
        ("(DELAYFILE (CELL", "ends inside"),
        ("(DELAYFILE (TIMESCALE 1ns)", "cut off"),
        ("(DELAYFILE (TIMESCALE one))", "TIMESCALE"),
        ("(DELAYFILE (CELL (INSTANCE u) (DELAY (INCREMENT (IOPATH A Z (1))))))", "INCREMENT"),
        (
            "(DELAYFILE\n(CELL (INSTANCE u) (DELAY (ABSOLUTE (IOPATH A Z (x))))))",
            "line 2: .x. is not a delay",
        ),
        ("(DELAYFILE (CELL (INSTANCE u) (DELAY (ABSOLUTE (IOPATH A Z)))))", "not complete"),
        ("(DELAYFILE (CELL (INSTANCE u) (TIMINGCHECK (SETUP (posedge D) CK))))", "not complete"),
        ("(DELAYFILE " + "(" * 5000, "too deep"),
        ('(DELAYFILE "open', "cannot be read"),
    ],
)
def test_damage_is_named_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(NetlistError, match=complaint):
        parse_sdf(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NetlistError, match=r"none\.sdf"):
        read_sdf(tmp_path / "none.sdf")


@pytest.mark.parametrize(
    ("condition", "true_at"),
    [
        ("(A == 1'b1) && (B == 1'b0)", {(1, 0)}),
        ("A===1'b0 || B!=1'b0", {(0, 0), (0, 1), (1, 1)}),
        ("~A & !(B)", {(0, 0)}),
        ("(B==0)", {(0, 0), (1, 0)}),
    ],
)
def test_conditions_mean_what_verilog_means(condition: str, true_at: set[tuple[int, int]]) -> None:
    function = condition_function(condition, ("A", "B"), "u1")
    points = {"A": 0, "B": 0}
    for a in (0, 1):
        for b in (0, 1):
            points = {name: value for name, value in {"A": a, "B": b}.items() if name in function.inputs}
            assert function(**points) == ((a, b) in true_at)


def test_a_condition_on_an_unknown_pin_is_refused() -> None:
    with pytest.raises(LibertyError, match="u1"):
        condition_function("Q == 1'b1", ("A",), "u1")


_name = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
_time = st.integers(0, 10**7)
_path = st.builds(
    IoPath,
    _name,
    _name,
    st.sampled_from(["", "posedge", "negedge"]),
    st.none() | st.sampled_from(["(B == 1'b1)", "(A == 1'b0) && (C == 1'b1)"]),
    _time,
    _time,
)
_space = st.sampled_from([" ", "\n", "\t ", " // note\n", " /* ( */ "])


@given(
    st.dictionaries(_name, st.lists(_path, max_size=4), max_size=4), st.lists(_space, min_size=1, max_size=6)
)
def test_what_is_written_is_read_back(cells: dict[str, list[IoPath]], spaces: list[str]) -> None:
    count = 0

    def space() -> str:
        nonlocal count
        count += 1
        return spaces[count % len(spaces)]

    def entry(path: IoPath) -> str:
        source = f"({path.edge}{space()}{path.from_pin})" if path.edge else path.from_pin
        values = " ".join(f"({time / 1e6:.6f}::{time / 1e6:.6f})" for time in (path.rise_fs, path.fall_fs))
        text = f"(IOPATH{space()}{source}{space()}{path.to_pin}{space()}{values})"
        return f"(COND{space()}{path.condition}{space()}{text})" if path.condition else text

    body = space().join(
        f'(CELL (CELLTYPE "X"){space()}(INSTANCE {name}) (DELAY{space()}(ABSOLUTE '
        f"{space().join(map(entry, paths))})))"
        for name, paths in cells.items()
    )
    sdf = parse_sdf(f"(DELAYFILE{space()}(TIMESCALE 1ns){space()}{body})")
    assert {name: cell.paths for name, cell in sdf.cells.items()} == cells


@given(st.text(alphabet='()"\\ ABCDELIOPATHNSUM:.0123\n', max_size=80))
def test_noise_is_read_or_refused_but_never_crashes(noise: str) -> None:
    with contextlib.suppress(NetlistError):
        parse_sdf(f"(DELAYFILE (CELL (INSTANCE u) (DELAY (ABSOLUTE {noise}))))")
