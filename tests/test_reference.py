"""The check that a netlist is the MAC that its ports are said to be, on right and on wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ariths_gen.multi_bit_circuits.adders import UnsignedCarryLookaheadAdder
from ariths_gen.multi_bit_circuits.multipliers import SignedArrayMultiplier, UnsignedDaddaMultiplier
from ariths_gen.wire_components import Bus

from halo_timing.characterization import Mapped
from halo_timing.cli import main
from halo_timing.errors import RtlError
from halo_timing.held_weight import find_held_weight
from halo_timing.netlist import Netlist
from halo_timing.reference import check_reference
from halo_timing.rtl import Mac, OwnMac, find_mac
from halo_timing.synthesis import MappingTarget, synthesize
from halo_timing.tables import Tables
from halo_timing.tools.yosys import Yosys
from tests.conftest import SMALL


@pytest.fixture()
def mapped(target: MappingTarget, yosys: Yosys, tmp_path: Path) -> Callable[[Mac], Netlist]:
    return lambda mac: synthesize(mac, target, mac.recipes[0], yosys, tmp_path)


def own(folder: Path, text: str, **roles: object) -> Mac:
    path = folder / "own.v"
    path.write_text(text)
    return OwnMac.model_validate(
        {"files": [path], "top": "own", "weight": "w", "activation": "a", **roles}
    ).mac()


def check(mac: Mac, netlist: Netlist, **options: object) -> tuple[str, int, int]:
    held = find_held_weight(netlist, mac.interface)
    found = check_reference(
        netlist,
        mac.interface,
        held,
        weight_constant=mac.weight_constant,
        **options,  # type: ignore[arg-type]
    )
    return found.kind, found.latency, found.patterns


def test_the_family_settles_after_its_pipeline(small_mapped: Mapped, small_mac: Mac) -> None:
    assert check(small_mac, small_mapped.netlist) == ("settles", 3, 256)
    assert small_mapped.summary()["reference"]["exhaustive"] is True


@pytest.mark.parametrize(("structure", "latency"), [("booth_stored", 3), ("one_digit", 3)])
def test_folded_members_lack_a_constant_of_the_weight(
    structure: str, latency: int, mapped: Callable[[Mac], Netlist]
) -> None:
    mac = find_mac(f"{structure}:{SMALL}")
    netlist = mapped(mac)
    assert check(mac, netlist) == ("settles", latency, 256)
    held = find_held_weight(netlist, mac.interface)
    with pytest.raises(RtlError, match="is expected"):
        check_reference(netlist, mac.interface, held)


def test_carry_save_results_are_added(mapped: Callable[[Mac], Netlist]) -> None:
    mac = find_mac(f"array:{SMALL},PIPELINE=carry_save")
    assert check(mac, mapped(mac)) == ("settles", 2, 256)


def test_an_accumulator_of_its_own_grows(tmp_path: Path, mapped: Callable[[Mac], Netlist]) -> None:
    mac = own(
        tmp_path,
        "module own(input clk, input signed [3:0] w, a, output reg signed [11:0] y);\n"
        "  always @(posedge clk) y <= y + w * a;\nendmodule\n",
    )
    assert check(mac, mapped(mac)) == ("accumulates", 0, 256)


def test_a_weight_register_without_a_load_control(tmp_path: Path, mapped: Callable[[Mac], Netlist]) -> None:
    mac = own(
        tmp_path,
        "module own(input clk, input signed [3:0] w, a, output reg signed [7:0] y);\n"
        "  reg signed [3:0] held; always @(posedge clk) begin held <= w; y <= held * a; end\nendmodule\n",
    )
    netlist = mapped(mac)
    assert {register.group for register in find_held_weight(netlist, mac.interface).registers} == {"held"}
    assert check(mac, netlist) == ("settles", 1, 256)


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("module own(input [3:0] w, a, output [7:0] y); assign y = w * a; endmodule", {}),
        (
            "module own(input signed [3:0] w, a, output signed [7:0] y);\n"
            "assign y = w * a + (w == 3); endmodule",
            {},
        ),
        (
            "module own(input clk, en, input signed [3:0] w, a, output reg signed [7:0] y);\n"
            "reg signed [3:0] q; always @(posedge clk) begin if (en) q <= w; y <= q * a; end endmodule",
            {},
        ),
    ],
    ids=["unsigned taken for signed", "wrong at one weight", "load control not named"],
)
def test_a_mismatch_shows_the_operands(
    text: str, roles: dict[str, object], tmp_path: Path, mapped: Callable[[Mac], Netlist]
) -> None:
    mac = own(tmp_path, text, **roles)
    with pytest.raises(RtlError, match=r"y is -?\d+ at w = -?\d+, a = -?\d+; -?\d+ is expected"):
        check(mac, mapped(mac))


def test_a_reference_of_ones_own(tmp_path: Path, mapped: Callable[[Mac], Netlist]) -> None:
    mac = own(
        tmp_path,
        "module own(input signed [3:0] w, a, output signed [8:0] y); assign y = w * a - a; endmodule",
    )
    netlist = mapped(mac)
    assert check(mac, netlist, reference=lambda w, a, _sum: w * a - a) == ("settles", 0, 256)
    with pytest.raises(RtlError, match="is expected"):
        check(mac, netlist)


def test_wide_operands_are_sampled_with_their_corners(
    tmp_path: Path, mapped: Callable[[Mac], Netlist]
) -> None:
    mac = own(
        tmp_path,
        "module own(input signed [8:0] w, a, input [19:0] s, output [19:0] y);\n"
        "  assign y = w * a + $signed(s);\nendmodule\n",
        accumulator="s",
    )
    netlist = mapped(mac)
    held = find_held_weight(netlist, mac.interface)
    found = check_reference(netlist, mac.interface, held, seed=7)
    assert (found.patterns, found.exhaustive) == (1 << 16, False)


@pytest.mark.parametrize("made", ["signed array", "unsigned Dadda"])
def test_multipliers_written_elsewhere(made: str, tmp_path: Path) -> None:
    """Two generators' multipliers go through the command line as they are."""
    a, b = Bus(N=4, prefix="a"), Bus(N=4, prefix="b")
    path = tmp_path / "elsewhere.v"
    with path.open("w") as stream:
        if made == "signed array":
            SignedArrayMultiplier(a, b, name="elsewhere").get_v_code_flat(stream)
        else:
            UnsignedDaddaMultiplier(
                a, b, name="elsewhere", unsigned_adder_class_name=UnsignedCarryLookaheadAdder
            ).get_v_code_hier(stream)
    roles = ["--rtl", path, "--top", "elsewhere", "--weight", "b", "--activation", "a"]
    roles += ["--unsigned"] if made == "unsigned Dadda" else []
    with pytest.raises(SystemExit) as end:
        main(["characterize", *map(str, roles), "--out", str(tmp_path / "out")])
    assert end.value.code == 0
    tables = Tables.load(tmp_path / "out")
    bounds = dict(zip(tables.values.tolist(), tables.bound_ps.tolist(), strict=True))
    assert bounds[0] < min(bounds[3], bounds[5], bounds[7])
    assert np.isfinite(tables.bound_ps).all()


def test_roles_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.v").write_text(
        "module own #(parameter N = 4)(input signed [N-1:0] w, a, output signed [2*N-1:0] y);\n"
        "  assign y = w * a;\nendmodule\n"
    )
    description = tmp_path / "own.toml"
    description.write_text(
        'files = ["own.v"]\ntop = "own"\nweight = "w"\nactivation = "a"\nparameters = { N = 3 }\n'
    )
    mac = find_mac(str(description))
    assert (mac.name, mac.interface.result, dict(mac.parameters)) == ("own", "y", {"N": 3})
    for line, message in (
        ('wieght = "w"', "wieght"),
        ('clock = "ck"', "no input 'ck'"),
        ('chain = { y = "b" }', "no input 'b'"),
        ("hold = [", "not a description"),
    ):
        description.write_text(f'files = ["own.v"]\ntop = "own"\nweight = "w"\nactivation = "a"\n{line}\n')
        with pytest.raises(RtlError, match=message):
            find_mac(str(description))
