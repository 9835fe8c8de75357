"""Each dialect of Liberty that was met, in one small library, held against OpenSTA."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from halo_timing.pdk.library import read_library
from tests.pdk_support import DELAYS, FLIP_FLOP, HEADER, TEMPLATES, VALUES, edges, gate, liberty, timing
from tests.test_liberty_library import assert_tables_agree_with_opensta

DIALECT_NS = """
  lu_table_template (s) { variable_1 : "total_output_net_capacitance"; variable_2 : "input_net_transition";
    index_1 ("0.001, 0.01, 0.02"); index_2 ("0.01, 0.1"); }
  lu_table_template (wide) { variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("1, 2, 3"); index_2 ("1, 2, 3"); }
  lu_table_template (load) { variable_1 : total_output_net_capacitance; index_1 ("0.001, 0.02"); }
"""
_WIDE = (
    'index_1 ("0.005, 0.02, 0.2"); index_2 ("0.0005, 0.003, 0.03");'
    ' values ("0.01, 0.04, 0.2", "0.02, 0.05, 0.3", "0.05, 0.09, 0.5");'
)


def dialects() -> tuple[str, str]:
    """Two files of one library in different units; each cell writes its tables in another way."""
    turned = gate("TURNED", "A", "A").replace("(t)", "(s)").replace(VALUES, 'values ("1,2", "2,3", "3,5");')
    other_sizes = gate("SIZES", "A", "!A").replace("(t)", "(wide)").replace(VALUES, _WIDE)
    one_axis = (
        gate("ONEAXIS", "A", "A'").replace("(t)", "(load)").replace(VALUES, 'values ("0.2, \\\n 0.9");')
    )
    single = gate("SINGLE", "A", "A").replace("(t)", "(scalar)").replace(VALUES, 'values ("0.25");')
    both = gate("BOTH", "AB", "!(A + B)").replace('related_pin : "A"', 'related_pin : "A B"')
    both = both[: both.index('timing () { related_pin : "B"')] + "} }\n"
    states = [
        timing(
            "A",
            edges(DELAYS, "t", VALUES.replace("0.0", digits)),
            f'timing_sense : {sense}; when : "{when}"; sdf_cond : "{when}";',
        )
        for digits, sense, when in (("0.0", "positive_unate", "!B"), ("0.2", "negative_unate", "B"))
    ]
    states.append(timing("B", edges(DELAYS, "t", VALUES)))
    xor = gate("XOR", "AB", "A^B")
    xor = xor[: xor.index("timing ()")] + " ".join(states) + " } }\n"
    pads = "pg_pin (VDD) { pg_type : primary_power; } "
    odd = (
        'cell (GATER) { statetable ("A", "IQ") { table : "H : - : H"; } pin (A) { direction : input; } '
        "pin (Y) { direction : output; } } cell (BLIND) { " + pads + "pin (A) { direction : input; } "
        "pin (Y) { direction : output; } }"
    )
    ps = HEADER.replace("1ns", "1ps").replace("(1, pf)", "(1, ff)").replace("1nW", "1pW")
    in_ps = re.sub(r"index_\d \(\"([^\"]*)\"\)", lambda m: m[0].replace(m[1], _times(m[1])), TEMPLATES)
    cells = "".join((turned, other_sizes, one_axis, single, both, xor))
    first, second = (
        liberty(cells, templates=TEMPLATES + DIALECT_NS),
        liberty(FLIP_FLOP + odd, ps, in_ps, "rest"),
    )
    return _slower_falls(first), _slower_falls(second)


def _slower_falls(text: str) -> str:
    """Make falling edges half as slow again, so that no table can be taken for the other edge's."""

    def slower(match: re.Match[str]) -> str:
        return match[1] + re.sub(r"[\d.]+", lambda number: f"{float(number[0]) * 1.5:g}", match[2])

    return re.sub(r"((?:cell_fall|fall_transition) \(\w+\) \{[^}]*values )(\([^)]*\))", slower, text)


def _times(numbers: str) -> str:
    return ", ".join(f"{float(number) * 1000:g}" for number in numbers.split(","))


def test_dialects_agree_with_opensta(tmp_path: Path) -> None:
    one, two = tmp_path / "one.lib", tmp_path / "two.lib"
    first, second = dialects()
    one.write_text(first)
    two.write_bytes(gzip.compress(second.encode()))
    library = read_library([one, two])
    assert [arc.related_pin for arc in library.cells["BOTH"].outputs[0].arcs] == ["A", "B"]
    assert {arc.when.text for arc in library.cells["XOR"].outputs[0].arcs if arc.when} == {"!B", "B"}
    assert library.cells["GATER"].has_statetable
    assert library.cells["BLIND"].outputs[0].function is None
    assert library.cells["BLIND"].supply_pins == ("VDD",)
    # Two edges of eight arcs in the first file, clock to output and setup in the second.
    assert assert_tables_agree_with_opensta(library, 27.0, 3.7, tmp_path / "sta") >= 20
