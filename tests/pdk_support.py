"""Small Liberty files made for tests."""

from __future__ import annotations


def timing(related: str, tables: str, extra: str = "") -> str:
    return f'timing () {{ related_pin : "{related}"; {extra} {tables} }}'


def edges(kinds: tuple[str, ...], template: str, body: str) -> str:
    return " ".join(f"{kind} ({template}) {{ {body} }}" for kind in kinds)


DELAYS = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
TEMPLATES = """
  lu_table_template (t) { variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0.01, 0.1"); index_2 ("0.001, 0.01, 0.02"); }
  lu_table_template (c) { variable_1 : constrained_pin_transition; variable_2 : related_pin_transition;
    index_1 ("0.01, 0.1"); index_2 ("0.01, 0.2"); }
  power_lut_template (p) { variable_1 : total_output_net_capacitance; variable_2 : input_transition_time;
    index_1 ("0.001, 0.02"); index_2 ("0.01, 0.1"); }
"""
HEADER = """delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA";
  leakage_power_unit : "1nW"; pulling_resistance_unit : "1kohm"; capacitive_load_unit (1, pf);
  nom_process : 1; nom_voltage : 1.2; nom_temperature : 25;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20; slew_lower_threshold_pct_fall : 20;
  slew_upper_threshold_pct_rise : 80; slew_upper_threshold_pct_fall : 80;"""
VALUES = 'values ("0.01, 0.02, 0.03", "0.02, 0.03, 0.05");'
_ARC = edges(DELAYS, "t", VALUES)


def gate(name: str, inputs: str, function: str, extra: str = "", area: float = 1) -> str:
    """Return a cell with one output Y."""
    pins = " ".join(f"pin ({pin}) {{ direction : input; capacitance : 0.002; }}" for pin in inputs)
    arcs = " ".join(timing(pin, _ARC) for pin in inputs)
    return (
        f"cell ({name}) {{ area : {area}; {extra} {pins}\n"
        f'  pin (Y) {{ direction : output; function : "{function}"; {arcs} }} }}\n'
    )


FLIP_FLOP = f"""cell (DFF) {{ area : 5;
  ff (IQ, IQN) {{ next_state : "D"; clocked_on : "CK"; }}
  pin (D) {{ direction : input; capacitance : 0.002;
    {
    timing(
        "CK",
        edges(("rise_constraint", "fall_constraint"), "c", 'values ("0.01, 0.02", "0.03, 0.04");'),
        "timing_type : setup_rising;",
    )
} }}
  pin (CK) {{ direction : input; capacitance : 0.002; clock : true; }}
  pin (Q) {{ direction : output; function : "IQ"; {timing("CK", _ARC, "timing_type : rising_edge;")} }}
}}
"""
CELLS = gate("INV", "A", "!A") + gate("BUF", "A", "A", area=2) + gate("ND2", "AB", "!(A B)") + FLIP_FLOP


def liberty(cells: str = CELLS, header: str = HEADER, templates: str = TEMPLATES, name: str = "tiny") -> str:
    """Return a Liberty file that the whole flow can use, unless the arguments break it."""
    return f"library ({name}) {{\n  {header}\n{templates}\n{cells}\n}}\n"
