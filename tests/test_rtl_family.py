"""The MAC family at RTL: the matrix of structures, what single MACs do over time, and planted faults.

Operands are exhausted for every multiplier at 8x8 signed, 8x4 and 5x7, and for all combinations at 4x4; the
rest of the matrix gets corner weights against activations that include the corners.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halo_timing import testbench
from halo_timing.errors import ToolError
from halo_timing.mac_model import BenchOptions, MacConfig, fewest_digits
from halo_timing.resources import benches_dir, rtl_dir
from halo_timing.tools.yosys import find_yosys

MULTIPLIERS = (
    "array", "wallace", "dadda", "booth", "booth_stored", "split", "sign_magnitude", "one_digit", "two_row",
)  # fmt: skip
SIZES = ((4, 4), (8, 4), (5, 7), (8, 8))
ALL_ADDERS: dict[str, int | str] = {}
# The carry-save pipeline has no adder: with the other adders it is the same circuit.
ONE_ADDER: dict[str, int | str] = {"ADDERS": 1, "PIPELINES": 2}
OTHER_ADDERS: dict[str, int | str] = {"FIRST_ADDER": 1, "ADDERS": 3}
SHORT_SWEEP: dict[str, int | str] = {"SWEEP_BITS": 6}
EVERYTHING = 16
VERILATOR = str(Path(sys.executable).with_name("verilator-cli"))


def rtl_sources(folder: Path | None = None) -> list[Path]:
    return sorted((folder or rtl_dir()).glob("*.v"))


def report(result: testbench.TestbenchResult) -> str:
    return "\n".join(f"{test.name}: {test.message}" for test in result.tests if not test.passed)


def run_family(
    folder: Path,
    size: tuple[int, int],
    signed: bool,
    *,
    part: dict[str, int | str],
    exhaustive_bits: int = 0,
    weights: int = 5,
) -> None:
    parameters: dict[str, int | str] = {
        "WEIGHT_WIDTH": size[0],
        "ACTIVATION_WIDTH": size[1],
        "SIGNED": int(signed),
        **part,
    }
    result = testbench.run_testbench(
        [*rtl_sources(), benches_dir() / "mac_family.v"],
        BenchOptions(
            MacConfig.from_parameters(parameters), exhaustive_bits=exhaustive_bits, random_steps=weights
        ),
        build_dir=folder,
        bench="bench_mac_family",
        top="mac_family",
        parameters=parameters,
    )
    assert result.passed, report(result)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
class TestMatrix:
    """Every multiplier x adder x pipeline, by operand widths."""

    def test_every_operand_with_every_adder_at_4x4(self, tmp_path: Path, signed: bool) -> None:
        run_family(tmp_path, (4, 4), signed, part=ALL_ADDERS, exhaustive_bits=EVERYTHING)

    @pytest.mark.parametrize("size", [(8, 4), (5, 7)], ids=["8x4", "5x7"])
    def test_every_operand(self, tmp_path: Path, signed: bool, size: tuple[int, int]) -> None:
        run_family(tmp_path, size, signed, part=ONE_ADDER, exhaustive_bits=EVERYTHING)

    @pytest.mark.parametrize("size", [(8, 4), (5, 7)], ids=["8x4", "5x7"])
    def test_corner_weights_with_the_other_adders(
        self, tmp_path: Path, signed: bool, size: tuple[int, int]
    ) -> None:
        sweep = SHORT_SWEEP if size[1] > 6 else {}
        run_family(tmp_path, size, signed, part={**OTHER_ADDERS, **sweep})

    def test_corner_weights_with_every_adder_at_8x8(self, tmp_path: Path, signed: bool) -> None:
        run_family(tmp_path, (8, 8), signed, part={**ALL_ADDERS, **SHORT_SWEEP})


@pytest.mark.parametrize("first", [0, 3, 6])
def test_every_operand_at_8x8(tmp_path: Path, first: int) -> None:
    part: dict[str, int | str] = {"FIRST_MULTIPLIER": first, "MULTIPLIERS": 3, "ADDERS": 1, "PIPELINES": 1}
    run_family(tmp_path, (8, 8), signed=True, part=part, exhaustive_bits=EVERYTHING)


def bench(
    folder: Path,
    parameters: dict[str, int | str],
    *,
    sources: list[Path] | None = None,
    name: str = "mac",
    exhaustive_bits: int = 8,
    random_steps: int = 200,
    shape: tuple[int, int] = (4, 4),
) -> testbench.TestbenchResult:
    options = BenchOptions(
        MacConfig.from_parameters(parameters),
        exhaustive_bits=exhaustive_bits,
        random_steps=random_steps,
        rows=shape[0],
        columns=shape[1],
    )
    return testbench.run_testbench(
        sources or rtl_sources(),
        options,
        build_dir=folder,
        bench=f"bench_{name}",
        top=name,
        parameters=parameters,
    )


# Every structure, pipeline and signedness, widths at both ends, and the parameters of single structures.
TEMPORAL = {
    "array": {"MULTIPLIER": "array"},
    "array high first": {"MULTIPLIER": "array", "ROW_ORDER": "high_first", "PIPELINE": "fused"},
    "array 2x2": {"MULTIPLIER": "array", "WEIGHT_WIDTH": 2, "ACTIVATION_WIDTH": 2, "ACCUMULATOR_WIDTH": 8},
    "wallace": {"MULTIPLIER": "wallace", "PIPELINE": "carry_save", "SIGNED": 0},
    "dadda": {"MULTIPLIER": "dadda", "PIPELINE": "fused", "WEIGHT_WIDTH": 3, "ACTIVATION_WIDTH": 13},
    "booth": {"MULTIPLIER": "booth", "PIPELINE": "carry_save"},
    "booth recoding the activation": {"MULTIPLIER": "booth", "RECODE": "activation", "ACTIVATION_WIDTH": 5},
    "booth 16x16": {
        "MULTIPLIER": "booth", "PIPELINE": "fused", "SIGNED": 0,
        "WEIGHT_WIDTH": 16, "ACTIVATION_WIDTH": 16, "ACCUMULATOR_WIDTH": 48,
    },
    "booth_stored": {"MULTIPLIER": "booth_stored", "PIPELINE": "fused"},
    "booth_stored 16x2": {"MULTIPLIER": "booth_stored", "WEIGHT_WIDTH": 16, "ACTIVATION_WIDTH": 2},
    "split": {"MULTIPLIER": "split", "PIPELINE": "carry_save", "SIGNED": 0},
    "sign_magnitude": {"MULTIPLIER": "sign_magnitude"},
    "one_digit": {"MULTIPLIER": "one_digit"},
    "one_digit 16x16": {
        "MULTIPLIER": "one_digit", "PIPELINE": "carry_save",
        "WEIGHT_WIDTH": 16, "ACTIVATION_WIDTH": 16, "ACCUMULATOR_WIDTH": 40,
    },
    "one_digit high radix": {"MULTIPLIER": "one_digit", "PIPELINE": "high_radix"},
    "sign_magnitude high radix": {
        "MULTIPLIER": "sign_magnitude", "PIPELINE": "high_radix", "ACCUMULATOR_WIDTH": 21,
    },
    "two_row": {"MULTIPLIER": "two_row", "SIGNED": 0},
    "narrow accumulator": {"MULTIPLIER": "two_row", "PIPELINE": "fused", "ACCUMULATOR_WIDTH": 8},
}  # fmt: skip


@pytest.mark.parametrize("name", TEMPORAL)
def test_mac_over_time(tmp_path: Path, name: str) -> None:
    result = bench(tmp_path, TEMPORAL[name])
    assert result.passed, report(result)


SYSTOLIC = {
    "array 4x4": ((4, 4), {"MULTIPLIER": "array"}),
    "one_digit 3x5": ((3, 5), {"MULTIPLIER": "one_digit"}),
    "two_row 5x2 carry-save": ((5, 2), {"MULTIPLIER": "two_row", "PIPELINE": "carry_save"}),
    "booth_stored 2x3 unsigned fused": (
        (2, 3),
        {"MULTIPLIER": "booth_stored", "PIPELINE": "fused", "SIGNED": 0},
    ),
    "split 1x1": ((1, 1), {"MULTIPLIER": "split", "ACCUMULATOR_WIDTH": 16}),
    "booth 1x4 carry-save": ((1, 4), {"MULTIPLIER": "booth", "PIPELINE": "carry_save"}),
    "one_digit 3x2 high radix": ((3, 2), {"MULTIPLIER": "one_digit", "PIPELINE": "high_radix"}),
    "sign_magnitude 4x1 fused": ((4, 1), {"MULTIPLIER": "sign_magnitude", "PIPELINE": "fused"}),
}


@pytest.mark.parametrize("name", SYSTOLIC)
def test_systolic_array_multiplies_matrices(tmp_path: Path, name: str) -> None:
    shape, parameters = SYSTOLIC[name]
    parameters = {"ROWS": shape[0], "COLUMNS": shape[1], **parameters}
    result = bench(tmp_path, parameters, name="systolic_array", shape=shape)
    assert result.passed, report(result)


# File, text, faulty text, parameters. One fault for each multiplier at least, then the parts they share.
FAULTS = {
    "array: a row is stuck": (
        "mult_array.v", "partial = rows[i*A+:A];", "partial = (i == 2) ? {A{1'b0}} : rows[i*A+:A];",
        {"MULTIPLIER": "array"},
    ),
    "array: wrong sign constant": (
        "mult_array.v", "(ONE << (W - 1)) + (ONE << (A - 1))", "(ONE << (W - 1))", {"MULTIPLIER": "array"},
    ),
    "wallace: a row is stuck": (
        "mult_wallace.v", "partial[i*A+:A]} << i;", "partial[i*A+:A] & {A{i != 3}}} << i;",
        {"MULTIPLIER": "wallace"},
    ),
    "dadda: a half adder's carry is an OR": (
        "mult_dadda.v", "wire carry_out = x & y;", "wire carry_out = x | y;",
        {"MULTIPLIER": "dadda"},
    ),
    "booth: digit -2 is 0": (
        "mult_booth.v", "(triplet == 3'b011) | (triplet == 3'b100)", "(triplet == 3'b011)",
        {"MULTIPLIER": "booth"},
    ),
    "booth: wrong sign constant": (
        "mult_booth.v", "sign_column(k) + 2 * k", "sign_column(k) + k", {"MULTIPLIER": "booth"},
    ),
    "booth_stored: digit 2 selects 1": (
        "digit_rows.v", "{signed_one, 1'b0}", "{1'b0, signed_one}", {"MULTIPLIER": "booth_stored"},
    ),
    "split: the high half is joined one column off": (
        "mult_split.v", ".in_carry(high)", ".in_carry(high << 1)", {"MULTIPLIER": "split"},
    ),
    "sign_magnitude: no +1 for negative activations": (
        "mult_sign_magnitude.v", "code[W-1:0] & {W{activation_sign}}", "code[W-1:0] & {W{1'b0}}",
        {"MULTIPLIER": "sign_magnitude"},
    ),
    "one_digit: bypass taken with two digits": (
        "weight_encoder.v", "(used & (used - {{(DIGITS - 1) {1'b0}}, 1'b1})) == {DIGITS{1'b0}}",
        "used != {DIGITS{1'b1}}", {"MULTIPLIER": "one_digit", "WEIGHT_WIDTH": 5},
    ),
    "one_digit: a place holds the next one's row": (
        "one_digit_bypass.v", "{i{1'b0}}}", "{(i ^ (i == 3)){1'b0}}}", {"MULTIPLIER": "one_digit"},
    ),
    "two_row: bypass select inverted": (
        "upper_rows_bypass.v", "sum = select ? upper_sum : full_sum", "sum = select ? full_sum : upper_sum",
        {"MULTIPLIER": "two_row", "WEIGHT_WIDTH": 6},
    ),
    "two_row: bypass taken with a lower digit": (
        "weight_encoder.v", "({DIGITS{1'b1}} << LOWER)", "({DIGITS{1'b1}} << (LOWER - 1))",
        {"MULTIPLIER": "two_row", "WEIGHT_WIDTH": 6},
    ),
    "digits: the top digit forgets the carry": (
        "booth_digits.v", "assign one[i] = low ^ carry;", "assign one[i] = low ^ (carry & (i < DIGITS - 1));",
        {"MULTIPLIER": "booth_stored"},
    ),
    "carry-save pair without its sign": (
        "mac.v", ".fill(~top)", ".fill(1'b0)", {"MULTIPLIER": "wallace", "PIPELINE": "carry_save"},
    ),
    "weight loads at any time": (
        "mac.v", "end else if (weight_load) begin", "end else begin", {"MULTIPLIER": "array"},
    ),
    "reset leaves the product": (
        "mac.v", "product_q <= {PRODUCT_WIDTH{1'b0}};", "product_q <= product_sum;", {"MULTIPLIER": "array"},
    ),
    "reset leaves the product of digits": (
        "mac.v", "weight_q & {CODE_WIDTH{rst_n || !RESET_BY_CODE}}", "weight_q",
        {"MULTIPLIER": "booth_stored"},
    ),
    "high radix: a carry in is lost": (
        "part_adder.v", "b[start+:N], carries_in[start]", "b[start+:N], 1'b0",
        {"MULTIPLIER": "array", "PIPELINE": "high_radix"},
    ),
    "high radix: a kept carry is lost": (
        "mac.v", "psum_carry_q[i/PART_WIDTH-1] <= next_carry[i];", "psum_carry_q[i/PART_WIDTH-1] <= 1'b0;",
        {"MULTIPLIER": "array", "PIPELINE": "high_radix"},
    ),
    "adder: a prefix level is missing": (
        "adder_kogge_stone.v", "localparam LEVELS = clog2(WIDTH);", "localparam LEVELS = clog2(WIDTH) - 1;",
        {"MULTIPLIER": "array"},
    ),
}  # fmt: skip


def mutated(folder: Path, file: str, text: str, fault: str) -> list[Path]:
    for source in rtl_sources():
        shutil.copy(source, folder)
    original = (folder / file).read_text()
    assert original.count(text) == 1, f"{file} holds {text!r} {original.count(text)} times"
    (folder / file).write_text(original.replace(text, fault))
    return rtl_sources(folder)


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_caught(tmp_path: Path, name: str) -> None:
    file, text, fault, parameters = FAULTS[name]
    sources = mutated(tmp_path, file, text, fault)
    widths: dict[str, int | str] = {"WEIGHT_WIDTH": 4, "ACTIVATION_WIDTH": 4, "ACCUMULATOR_WIDTH": 16}
    result = bench(tmp_path / "run", {**widths, **parameters}, sources=sources, exhaustive_bits=10)
    assert not result.passed
    assert "expected" in report(result)


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("column_bias.v", "+ constant_in - constant_out", "+ constant_in"),
        ("systolic_array.v", ".STAGES(c + MAC_EDGES - 2)", ".STAGES(c + MAC_EDGES - 1)"),
        ("systolic_array.v", "psum_above = gen_bias[c].bias", "psum_above = {ACC{1'b0}}"),
    ],
    ids=["leaving weights keep their constant", "bias one cycle late", "no bias"],
)
def test_planted_fault_of_the_column_is_caught(tmp_path: Path, file: str, text: str, fault: str) -> None:
    sources = mutated(tmp_path, file, text, fault)
    parameters: dict[str, int | str] = {"ROWS": 2, "COLUMNS": 2, "MULTIPLIER": "booth_stored"}
    result = bench(tmp_path / "run", parameters, sources=sources, name="systolic_array", shape=(2, 2))
    assert not result.passed


ILLEGAL = {
    "MULTIPLIER": ("bogus", "wallace"),
    "ADDER": ("bogus", "brent_kung"),
    "PIPELINE": ("bogus", "carry_save"),
    "ROW_ORDER": ("bogus", "high_first"),
    "RECODE": ("bogus", "activation"),
    "WEIGHT_WIDTH": (17, "2"),
    "ACTIVATION_WIDTH": (1, "16"),
    "ACCUMULATOR_WIDTH": (49, "8"),
    "SIGNED": (2, "0"),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_parameter_stops_every_tool_and_names_what_is_allowed(tmp_path: Path, name: str) -> None:
    value, allowed = ILLEGAL[name]
    parameters: dict[str, int | str] = {name: value}
    if name == "RECODE":
        parameters["MULTIPLIER"] = "booth"
    message = re.compile(f"{name}.*must.be.*{allowed}")

    with pytest.raises(ToolError) as icarus_error:
        bench(tmp_path / "icarus", parameters)
    assert message.search(str(icarus_error.value))

    settings = " ".join(
        f'-set {key} "{text}"' if isinstance(text, str) else f"-set {key} {text}"
        for key, text in parameters.items()
    )
    sources = " ".join(str(path) for path in rtl_sources())
    script = f"read_verilog -defer {sources}\nchparam {settings} mac\nhierarchy -check -top mac\n"
    with pytest.raises(ToolError) as yosys_error:
        find_yosys().run_script(script, cwd=tmp_path, log_path=tmp_path / "yosys.log", timeout_s=60)
    assert message.search(str(yosys_error.value))

    finished = lint("mac", parameters)
    assert finished.returncode != 0
    assert message.search(finished.stderr)


def lint(top: str, parameters: dict[str, int | str]) -> subprocess.CompletedProcess[str]:
    options = [
        f'-G{name}="{value}"' if isinstance(value, str) else f"-G{name}={value}"
        for name, value in parameters.items()
    ]
    folder = benches_dir() if top == "mac_family" else rtl_dir()
    return subprocess.run(
        [
            VERILATOR,
            "--lint-only",
            "-Wall",
            "--top-module",
            top,
            *options,
            "-y",
            rtl_dir(),
            folder / f"{top}.v",
        ],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("size", [*SIZES, (2, 16), (16, 3)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("signed", [1, 0], ids=["signed", "unsigned"])
def test_lint_of_the_whole_matrix_is_clean(size: tuple[int, int], signed: int) -> None:
    parameters: dict[str, int | str] = {
        "WEIGHT_WIDTH": size[0],
        "ACTIVATION_WIDTH": size[1],
        "SIGNED": signed,
        "ACCUMULATOR_WIDTH": 24 if signed else 10,
        "ADDERS": 4 if size in SIZES else 1,
    }
    finished = lint("mac_family", parameters)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("pipeline", ["two_stage", "fused", "carry_save", "high_radix"])
def test_lint_of_the_systolic_array_is_clean(pipeline: str) -> None:
    for multiplier, shape in itertools.product(("array", "one_digit"), ((1, 1), (3, 2))):
        parameters: dict[str, int | str] = {
            "MULTIPLIER": multiplier,
            "PIPELINE": pipeline,
            "ROWS": shape[0],
            "COLUMNS": shape[1],
        }
        finished = lint("systolic_array", parameters)
        assert finished.returncode == 0, finished.stderr


class TestDigits:
    """The recoding that the oracle shares with the RTL is held against its definition."""

    @given(st.integers(2, 16), st.booleans(), st.data())
    def test_digits_make_the_weight(self, width: int, signed: bool, data: st.DataObject) -> None:
        low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
        weight = data.draw(st.integers(low, high))
        digits = fewest_digits(weight, width, signed=signed)
        assert sum(digit * 4**place for place, digit in enumerate(digits)) == weight
        assert all(-2 <= digit <= 2 for digit in digits)

    @pytest.mark.parametrize("signed", [True, False])
    def test_no_shorter_recoding_exists(self, signed: bool) -> None:
        width = 8
        count = len(fewest_digits(0, width, signed=signed))
        fewest: dict[int, int] = {}
        for digits in itertools.product(range(-2, 3), repeat=count):
            value = sum(digit * 4**place for place, digit in enumerate(digits))
            used = sum(digit != 0 for digit in digits)
            fewest[value] = min(fewest.get(value, count), used)
        for weight in range(-128, 128) if signed else range(256):
            used = sum(digit != 0 for digit in fewest_digits(weight, width, signed=signed))
            assert used == fewest[weight], weight

    def test_weights_of_one_digit_are_the_powers_of_two(self) -> None:
        single = {
            weight
            for weight in range(-128, 128)
            if sum(digit != 0 for digit in fewest_digits(weight, 8, signed=True)) <= 1
        }
        assert single == {0, -128} | {sign << place for sign in (1, -1) for place in range(7)}
