"""What an OpenSTA really does, found by running it on a netlist whose answers are known on paper.

Versions differ in ways that their numbers do not tell: distributions patch, and one bug came and went within
the 3.0 series. Each capability is asked for by an experiment of a few gates with linear delays.
"""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from halo_timing.errors import HaloTimingError, ToolError
from halo_timing.files import sha256_json, write_bytes, write_json, write_text
from halo_timing.tools.locate import Version
from halo_timing.tools.opensta import OpenSta
from halo_timing.wheels import cache_dir

_PERIOD_NS = 10.0
_TIMEOUT_S = 60


@dataclass(frozen=True)
class OpenStaCapabilities:
    """What one OpenSTA binary was seen to do.

    Attributes
    ----------
    version : tuple of int
        What it says of itself.
    case_analysis : bool
        A constant input blocks paths, a changed one opens them again, and the delays are those on paper.
    leaks_dead_slews : bool
        The slew of an input that case analysis made constant changes the delay of a live path (a bug of the
        3.0 series): its bounds are not to be trusted.
    applies_wire_loads : bool
        The library's default wire-load model is applied without being asked for.
    power : bool
        The activity that it propagates through an XOR gate is right.
    reads_gzip : bool
        It reads ``.lib.gz``.
    """

    version: Version
    case_analysis: bool
    leaks_dead_slews: bool
    applies_wire_loads: bool
    power: bool
    reads_gzip: bool

    @property
    def bounds_are_sound(self) -> bool:
        """Whether it can bound the delay of each weight."""
        return self.case_analysis and not self.leaks_dead_slews


# In ns, over input slew in ns and load in pF: delay = 0.1 + 0.2 slew + load, slew = 0.02 + 0.1 slew + 2 load.
_DELAY = 'values ("0.1, 1.1", "0.3, 1.3");'
_SLEW = 'values ("0.02, 2.02", "0.12, 2.12");'
_WIRE_LOAD = (
    "wire_load (w) { capacitance : 0.05; resistance : 0; slope : 1; area : 0; fanout_length (1, 1.0); }\n"
    "  default_wire_load : w;"
)
_NETLIST = """\
module probe (a, c, k, z, y, q);
  input a, c, k;
  output z, y, q;
  wire n, m, x;
  BUF u0 (.A(c), .Z(n));
  AND2 u1 (.A(a), .B(n), .Z(m));
  BUF u2 (.A(m), .Z(z));
  XOR2 u3 (.A(a), .B(c), .Z(x));
  BUF u4 (.A(x), .Z(y));
  BUF u5 (.A(k), .Z(q));
endmodule
"""
_READ = """\
read_liberty {liberty}
read_verilog probe.v
link_design probe
create_clock -name k -period 10 [get_ports k]
set_input_delay 0 -clock k [get_ports {{a c}}]
set_output_delay 0 -clock k [get_ports {outputs}]
set_input_transition 0 [get_ports {{a c k}}]
"""
_TIMING = (
    _READ.replace("{outputs}", "z")
    + """\
set_case_analysis 1 [get_ports c]
puts "probe live [worst_slack]"
set_case_analysis 0 [get_ports c]
puts "probe blocked [worst_slack]"
set_case_analysis 1 [get_ports c]
set_input_transition 5 [get_ports c]
puts "probe leak [worst_slack]"
"""
)
_POWER = (
    _READ.replace("{outputs}", "{{z y}}")
    + """\
set_power_activity -input -activity 1 -duty 0.5
report_power -instances [get_cells u3] -digits 6
"""
)
# a -> u1 -> u2 -> z: u1 drives the 0.01 pF of u2 from slew 0, u2 drives nothing from slew 0.04.
_LIVE_NS = (0.1 + 0.01) + (0.1 + 0.2 * 0.04)
# Two inputs of one transition a cycle each make two at the XOR's output: C V^2 / 2 of 0.01 pF at 1 V each.
_XOR_W = 0.5 * 0.01e-12 * 2 / 10e-9


def _gate(name: str, inputs: str, function: str, sense: str) -> str:
    pins = "\n".join(f"    pin ({pin}) {{ direction : input; capacitance : 0.01; }}" for pin in inputs)
    arcs = "\n".join(
        f"      timing () {{ related_pin : {pin}; timing_sense : {sense};\n"
        f"        cell_rise (t) {{ {_DELAY} }} cell_fall (t) {{ {_DELAY} }}\n"
        f"        rise_transition (t) {{ {_SLEW} }} fall_transition (t) {{ {_SLEW} }} }}"
        for pin in inputs
    )
    return (
        f"  cell ({name}) {{ area : 1;\n{pins}\n    pin (Z) {{ direction : output; "
        f'function : "{function}"; max_capacitance : 1;\n{arcs}\n    }}\n  }}\n'
    )


def _liberty(wire_load: str = "") -> str:
    edges = "\n".join(
        f"  slew_lower_threshold_pct_{edge} : 20; slew_upper_threshold_pct_{edge} : 80;\n"
        f"  input_threshold_pct_{edge} : 50; output_threshold_pct_{edge} : 50;"
        for edge in ("rise", "fall")
    )
    return f"""library (probe) {{
  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA";
  leakage_power_unit : "1nW"; pulling_resistance_unit : "1kohm"; capacitive_load_unit (1, pf);
  operating_conditions (typ) {{ process : 1; voltage : 1.0; temperature : 25; }}
  default_operating_conditions : typ;
  nom_process : 1; nom_voltage : 1.0; nom_temperature : 25;
{edges}
  lu_table_template (t) {{
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0, 1"); index_2 ("0, 1");
  }}
  {wire_load}
{_gate("BUF", "A", "A", "positive_unate")}
{_gate("AND2", "AB", "A * B", "positive_unate")}
{_gate("XOR2", "AB", "A ^ B", "non_unate")}}}
"""


def probe_opensta(sta: OpenSta) -> OpenStaCapabilities:
    """Run the experiments, or take their kept results when this very binary was asked before.

    Raises
    ------
    ToolError
        If the binary does not run at all.
    """
    status = sta.path.stat()
    key = [str(sta.path.resolve()), status.st_mtime_ns, status.st_size, list(sta.version), _fingerprint()]
    kept = cache_dir() / "tools" / f"opensta-{sha256_json(key)[:16]}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        document = json.loads(kept.read_text())
        values = document["answers"]
        if document["check"] != sha256_json(values):
            raise ValueError("damaged")
        flags = {field.name: bool(values[field.name]) for field in fields(OpenStaCapabilities)[1:]}
        return OpenStaCapabilities(version=sta.version, **flags)
    found = _experiment(sta)
    # A cache that cannot be written costs a second the next time, nothing else.
    with suppress(HaloTimingError, OSError):
        write_json(kept, {"answers": asdict(found), "check": sha256_json(asdict(found))})
    return found


def _fingerprint() -> str:
    return sha256_json([_TIMING, _POWER, _NETLIST, _liberty(_WIRE_LOAD)])


def _experiment(sta: OpenSta) -> OpenStaCapabilities:
    with tempfile.TemporaryDirectory(prefix="halo-timing-") as name:
        folder = Path(name)
        write_text(folder / "probe.v", _NETLIST)
        write_text(folder / "ideal.lib", _liberty())
        write_text(folder / "wires.lib", _liberty(_WIRE_LOAD))
        write_bytes(folder / "packed.lib.gz", gzip.compress(_liberty().encode()))
        sta.run_script('puts "probe"', cwd=folder, log_path=folder / "start.log", timeout_s=_TIMEOUT_S)
        ideal = _slacks(sta, folder, "ideal.lib")
        wires = _slacks(sta, folder, "wires.lib")
        packed = _slacks(sta, folder, "packed.lib.gz")
        live = ideal.get("live", 0.0)
        return OpenStaCapabilities(
            version=sta.version,
            # A blocked path has an absurdly large slack; the bound of a live one is below the period.
            case_analysis=_is(_PERIOD_NS - live, _LIVE_NS) and ideal.get("blocked", 0.0) > 2 * _PERIOD_NS,
            leaks_dead_slews="leak" in ideal and not _is(ideal["leak"], live),
            applies_wire_loads="live" in wires and not _is(wires["live"], live),
            power=_is(_xor_power(sta, folder), _XOR_W),
            reads_gzip=packed == ideal != {},
        )


def _is(value: float, expected: float) -> bool:
    return abs(value - expected) <= 1e-3 * abs(expected)


def _slacks(sta: OpenSta, folder: Path, liberty: str) -> dict[str, float]:
    """Worst slack in ns at each mark of the timing script; nothing if it could not be run."""
    script = _TIMING.format(liberty=liberty)
    try:
        printed = sta.run_script(script, cwd=folder, log_path=folder / f"{liberty}.log", timeout_s=_TIMEOUT_S)
    except ToolError:
        return {}
    # "INF" and an empty answer are other ways to say that there is no path.
    found = re.findall(r"^probe (\w+) ?(\S*)$", printed, re.MULTILINE)
    return {mark: float(value) if re.match(r"-?\d", value) else float("inf") for mark, value in found}


def _xor_power(sta: OpenSta, folder: Path) -> float:
    """Switching power of the XOR gate in W; 0 if it could not be had."""
    script = _POWER.format(liberty="ideal.lib")
    try:
        printed = sta.run_script(script, cwd=folder, log_path=folder / "power.log", timeout_s=_TIMEOUT_S)
    except ToolError:
        return 0.0
    row = re.search(r"^\s*\S+\s+(\S+)\s+\S+\s+\S+\s+u3\s*$", printed, re.MULTILINE)
    with suppress(ValueError):
        return float(row.group(1)) if row else 0.0
    return 0.0
