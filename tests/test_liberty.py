"""The Liberty reader, its functions and its tables: dialects, damage, and independent oracles."""

from __future__ import annotations

import gzip
import re
import string
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_timing.errors import LibertyError
from halo_timing.pdk.liberty import Group, parse_liberty, read_liberty
from halo_timing.pdk.library import Library, read_library
from halo_timing.pdk.logic import BooleanFunction, parse_function
from halo_timing.pdk.table import Table
from halo_timing.tools.staging import stage_files
from halo_timing.tools.yosys import find_yosys

HERE = Path("t.lib")

# --- text -> tree ---------------------------------------------------------------------------------------


def test_the_dialects_of_the_syntax() -> None:
    text = """/* head
    */ library ("a b") { // to the end of the line
      time_unit : "1ns"
      nom_voltage : 1.10 ; capacitive_load_unit (1,pf) ; define(x, cell, float)
      comment : "semi; brace } and \\"quote\\" /* no comment */";
      cell(A B,
        "C[1]") {;
        values ( "1, 2", \\
                 "3, 4" ) ;
        area : 2.5
      };
    }
    """
    library = parse_liberty(text, HERE)
    assert (library.name, library.line) == ("a b", 2)
    assert library.text("time_unit") == "1ns"
    assert library.number("nom_voltage") == 1.1
    assert library.arguments("capacitive_load_unit") == ("1", "pf")
    assert library.text("comment") == 'semi; brace } and "quote" /* no comment */'
    (cell,) = library.children("cell")
    assert cell.names == ("A", "B", "C[1]")
    assert cell.numbers("values") == [1.0, 2.0, 3.0, 4.0]
    assert (cell.number("area"), cell.line, cell.child("pin")) == (2.5, 6, None)
    assert (library.text("absent"), library.number("absent"), library.numbers("absent")) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds 0 library groups"),
        ("cell (a) {}", "holds 0 library groups"),
        ("library (a) {} library (b) {}", "holds 2 library groups"),
        ("library (a) {} x : 1;", "x stands outside"),
        ("library (a) {\n cell (b) {\n", r"line 3: the file ends inside cell \(b\) of line 2; it is cut off"),
        ("library (a) {\n area : 1;\n }\n}", "line 4: '}' closes nothing"),
        ("library (a) {\n\n area : ;}", "line 3: area has no value"),
        ("library (a) {\n x : 1;\n /* open", "line 3: a comment does not end"),
        ('library (a) {\n x : "open;\n}', "line 2: a quoted string does not end"),
        ("library (a) {\n area 1;\n}", r"line 2: 'area 1;' in library \(a\) is not a Liberty statement"),
        ("library (a) {\n pin (x", r"line 2: 'pin \(x' in library \(a\) is cut off"),
        ("library (a) {\n\0}", "line 2: .* is not a Liberty statement"),
        ("library (a) {\n include_file (b.lib);\n}", r"line 2: include_file \(b.lib\) is not followed"),
        ("library (a) {" + "g () {" * 70, "nested more than 64 deep"),
    ],
)
def test_damage_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(LibertyError, match=message):
        parse_liberty(text, HERE)


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "1e999", "1_0", "0x1", "one", "1.0.0", "1e", "--1"])
def test_numbers_are_finite_decimals(word: str) -> None:
    group = parse_liberty(f'library (a) {{\n x : {word};\n values ("1, {word}");\n}}', HERE)
    for read in (lambda: group.number("x"), lambda: group.numbers("values")):
        with pytest.raises(
            LibertyError, match=r"line [23]: (x|values) of library \(a\) is .*not a finite number"
        ):
            read()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    packed = gzip.compress(b"library (a) { x : 1; }")
    path = tmp_path / "odd name.bin"
    path.write_bytes(b"\xef\xbb\xbflibrary (a) { x : 1; }")
    assert read_liberty(path).number("x") == 1
    path.write_bytes(packed)
    assert read_liberty(path).number("x") == 1
    for damaged in (packed[:-12], packed[:15] + b"\xff" + packed[16:], b"\x1f\x8b"):
        path.write_bytes(damaged)
        with pytest.raises(LibertyError, match="damaged or cut off"):
            read_liberty(path)
    with pytest.raises(LibertyError, match=r"cannot be read \(Is a directory\)"):
        read_liberty(tmp_path)
    with pytest.raises(LibertyError, match="No such file"):
        read_liberty(tmp_path / "absent")


def test_packed_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halo_timing.pdk.liberty.MAX_BYTES", 1 << 20)
    path = tmp_path / "bomb.lib.gz"
    path.write_bytes(gzip.compress(b" " * (2 << 20)))
    with pytest.raises(LibertyError, match="larger than 1 MiB"):
        read_liberty(path)


@pytest.mark.parametrize(
    "text",
    [
        "/*" * 200_000,
        '"' * 400_001,
        '"\\' * 200_000,
        "library (a) {" + "(" * 400_000,
        "library (a) {" + " " * 400_000 + "!",
        "a" * 400_000,
        "a (" + '"b" ' * 100_000,
        "library (a) { x : " + "y" * 400_000,
        "library (a) {" + ";" * 400_000,
        "/" * 400_000,
        "\\" * 400_000,
        "library (a) {" + "x : 1;\n" * 60_000 + "!",
    ],
    ids=range(12),
)
def test_no_text_takes_more_than_linear_time(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(LibertyError):
        parse_liberty(text, HERE)
    assert time.process_time() - begin < 3


names = st.text(string.ascii_letters, min_size=1, max_size=6).filter(lambda name: name != "include_file")
strings = st.text(string.printable.replace('"', "").replace("\\", ""), max_size=10).map(
    lambda text: text.replace("\r", "").strip()
)
blanks = st.sampled_from(["", " ", "\n", "\t", " /* c ; } */ ", " // x {\n", "\\\n", " \\ \n "])
trees = st.recursive(
    st.fixed_dictionaries({"simple": st.dictionaries(names, strings, max_size=3), "groups": st.just([])}),
    lambda inner: st.fixed_dictionaries(
        {
            "simple": st.dictionaries(names, strings, max_size=3),
            "groups": st.lists(st.tuples(names, st.lists(names, max_size=2), inner), max_size=3),
        }
    ),
    max_leaves=8,
)


@given(trees, st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read(tree: dict, data: st.DataObject) -> None:  # type: ignore[type-arg]
    def blank() -> str:
        return data.draw(blanks)

    def write(node: dict) -> str:  # type: ignore[type-arg]
        text = ""
        for name, value in node["simple"].items():
            text += f'{blank()}{name}{blank()}:{blank()}"{value}"{blank()};'
        for kind, arguments, inner in node["groups"]:
            listed = ", ".join(f'"{each}"' if each < "n" else each for each in arguments)
            text += f"{blank()}{kind} ({listed}) {{{write(inner)}{blank()}}}"
        return text

    def same(group: Group, node: dict) -> bool:  # type: ignore[type-arg]
        kinds = [(kind, tuple(arguments)) for kind, arguments, _ in node["groups"]]
        return (
            all(group.text(name) == value for name, value in node["simple"].items())
            and [(child.kind, child.names) for child in group.groups] == kinds
            and all(
                same(child, inner) for child, (_, _, inner) in zip(group.groups, node["groups"], strict=True)
            )
        )

    assert same(parse_liberty(f"library (l) {{{write(tree)}}}", HERE), tree)


def test_a_large_library_is_read_quickly(nangate45_liberty: Path) -> None:
    begin = time.process_time()
    library = read_library([nangate45_liberty])
    # 1 s of the processor on an idle machine; the margin is for a busy one.
    assert time.process_time() - begin < 6
    assert len(library.cells) == 135


# --- functions ------------------------------------------------------------------------------------------


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> tuple[str, str]:
    """Return a function in some Liberty style, and in Python."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        leaf = draw(st.sampled_from(["A", "B1", "C", "D[0]", "0", "1"]))
        return leaf, leaf.replace("[0]", "0") if leaf not in "01" else leaf
    left, left_python = draw(expressions(depth=depth - 1))
    kind = draw(st.sampled_from(["!", "'", "*", "&", " ", "+", "|", "^", "( )"]))
    if kind in ("!", "'", "( )"):
        style = {"!": "!({})", "'": "({})'", "( )": "( {} )"}[kind]
        return style.format(left), f"({left_python})" if kind == "( )" else f"(1-({left_python}))"
    right, right_python = draw(expressions(depth=depth - 1))
    operator = {"*": "&", " ": "&", "+": "|"}.get(kind, kind)
    # Python binds & tighter than ^, Liberty the other way round: the oracle is parenthesised throughout.
    return f"({left}){kind}({right})", f"(({left_python}){operator}({right_python}))"


@given(expressions())
@settings(max_examples=150, deadline=None)
def test_functions_mean_what_they_say(both: tuple[str, str]) -> None:
    text, python = both
    function = parse_function(text, ("A", "B1", "C", "D[0]"), where="here")
    rows = 1 << len(function.inputs)
    words = {
        name: np.array([sum(((row >> k) & 1) << row for row in range(rows))], dtype=np.uint64)
        for k, name in enumerate(function.inputs)
    }
    parallel = int(function.evaluate(words).reshape(-1)[0])
    for row in range(rows):
        bits = {name: (row >> k) & 1 for k, name in enumerate(function.inputs)}
        expected = eval(python, {"D0": bits.get("D[0]"), **bits})
        assert function(**{name: bool(bit) for name, bit in bits.items()}) == bool(expected)
        assert (parallel >> row) & 1 == expected
    for name in function.inputs:
        flips = {
            int(function(**{**point, name: True})) - int(function(**{**point, name: False}))
            for point in (
                {n: bool((row >> k) & 1) for k, n in enumerate(function.inputs)} for row in range(rows)
            )
        } - {0}
        sense = {(): "constant", (1,): "positive_unate", (-1,): "negative_unate"}.get(
            tuple(flips), "non_unate"
        )
        assert function.unateness(name) == sense


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("A ^ B * C", "(A ^ B) & C"),
        ("!A ^ B", "(1 - A) ^ B"),
        ("A B + C D", "(A & B) | (C & D)"),
        ("A' B", "(1 - A) & B"),
        ("!A'", "A"),
        ("!(A+B)'", "A | B"),
        ("A (B+C)'D", "A & (1 - (B | C)) & D"),
    ],
)
def test_precedence(text: str, python: str) -> None:
    function = parse_function(text, "ABCD", where="here")
    for row in range(16):
        bits = {name: (row >> k) & 1 for k, name in enumerate("ABCD")}
        assert function(**{name: bool(bits[name]) for name in function.inputs}) == bool(
            eval(python, {}, bits)
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not complete"),
        ("A+", "not complete"),
        ("(A", "not complete"),
        ("!", "not complete"),
        ("*A", "nothing before"),
        ("()", "nothing before"),
        ("'A", "nothing before"),
        ("A)", "closes nothing"),
        ("A ? B", r"'\? B'"),
        ("A 10", "'10'"),
        ("A*Q", "uses 'Q', which is no pin"),
        ("(" * 100_000, "not complete"),
        ("+".join(f"x{n}" for n in range(17)), "17 inputs"),
    ],
)
def test_functions_that_are_none(text: str, message: str) -> None:
    known = ["A", "B", *(f"x{n}" for n in range(17))]
    with pytest.raises(LibertyError, match=f"cell c: .*{message}"):
        parse_function(text, known, where="cell c")


def test_deeply_nested_functions_are_no_trouble() -> None:
    function = parse_function("(" * 50_000 + "A" + ")" * 50_000 + "'" * 1001, "A", where="here")
    assert function.truth_table == 0b01


def yosys_truth_tables(
    library: Library, functions: dict[str, list[BooleanFunction]], folder: Path
) -> dict[str, str]:
    """Columns of Yosys' own evaluation of each cell, by cell."""
    stage_files(folder, {f"library_{k}.lib": path for k, path in enumerate(library.files)})
    lines = [
        f"read_liberty -overwrite -ignore_miss_func -ignore_miss_dir library_{k}.lib"
        for k in range(len(library.files))
    ]
    for name in functions:
        cell = library.cells[name]
        inputs = ",".join(pin.name for pin in cell.inputs)
        shown = " ".join(f"-show {pin.name}" for pin in cell.outputs)
        lines += [f"log == {name}", f"cd {name}", f"eval -table {inputs} {shown}", "cd .."]
    printed = find_yosys().run_script("\n".join(lines), cwd=folder, log_path=folder / "eval.log")
    return dict(re.findall(r"^== (\S+)$(.*?)(?=^==|\Z)", printed, re.MULTILINE | re.DOTALL))


def assert_functions_agree_with_yosys(library: Library, folder: Path) -> None:
    functions = {
        name: [pin.function for pin in cell.outputs if pin.function]
        for name, cell in library.cells.items()
        if cell.is_combinational and 0 < len(cell.inputs) <= 6
    }
    assert len(functions) > 20
    tables = yosys_truth_tables(library, functions, folder)
    for name, found in functions.items():
        pins = [pin.name for pin in library.cells[name].inputs]
        rows = re.findall(
            r"^((?: +1'[01])+) +\|((?: +1'[01])+)$", tables[name].replace("\\", ""), re.MULTILINE
        )
        assert len(rows) == 1 << len(pins), name
        for left, right in rows:
            values = dict(zip(pins, [bit[-1] == "1" for bit in left.split()], strict=True))
            outputs = [bit[-1] == "1" for bit in right.split()]
            ours = [function(**{pin: values[pin] for pin in function.inputs}) for function in found]
            assert ours == outputs, (name, values)


def test_functions_agree_with_yosys(nangate45_liberty: Path, tmp_path: Path) -> None:
    assert_functions_agree_with_yosys(read_library([nangate45_liberty]), tmp_path)


# --- tables ---------------------------------------------------------------------------------------------


def table(rows: list[float], columns: list[float], values: list[list[float]]) -> Table:
    arrays = [np.array(each, dtype=np.float64) for each in (rows, columns, values)]
    return Table("input_slew_ps", "load_ff", *arrays)


@given(
    st.lists(st.floats(0, 1000), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(st.floats(0, 1000), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(st.floats(-5, 5), min_size=4, max_size=4),
    st.floats(-500, 2000),
    st.floats(-500, 2000),
)
def test_a_bilinear_surface_is_met_everywhere(
    rows: list[float], columns: list[float], factors: list[float], row: float, column: float
) -> None:
    """Inside, between and beyond the points; on an axis of one point the value does not change."""
    if any(b - a < 1e-3 for axis in (rows, columns) for a, b in pairwise(axis)):
        return

    def surface(x: float, y: float) -> float:
        x, y = (x if len(rows) > 1 else rows[0]), (y if len(columns) > 1 else columns[0])
        return factors[0] + factors[1] * x + factors[2] * y + factors[3] * x * y

    found = table(rows, columns, [[surface(x, y) for y in columns] for x in rows]).at(row, column)
    assert found == pytest.approx(surface(row, column), rel=1e-4, abs=1.0)


def test_tables_take_arrays() -> None:
    surface = table([0, 10], [0, 1, 3], [[0, 1, 3], [10, 11, 13]])
    assert surface.at([[0], [5]], [0.5, 2.0]).tolist() == [[0.5, 2.0], [5.5, 7.0]]
    assert surface.along_rows(2.0).tolist() == [2.0, 12.0]
    assert surface.at(np.zeros((2, 0)), 1.0).shape == (2, 0)
