"""The units that a Liberty file declares, as factors to ps, fF, V, fJ and nW."""

from __future__ import annotations

import re
from dataclasses import dataclass

from halo_timing.pdk.liberty import Group

# nW x ps = 1e-21 J.
FJ_PER_NW_PS = 1e-6

_POWER_OF_TEN = {"k": 3, "": 0, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15}


@dataclass(frozen=True)
class Units:
    """Factors from the file's numbers to ours.

    Attributes
    ----------
    time_ps, capacitance_ff, voltage_v, energy_fj : float
        One unit of the file in ps, fF, V, fJ. Energy is capacitance times voltage squared, by Liberty's rule.
    leakage_nw : float or None
        One unit of leakage in nW; None when the file does not say.
    """

    time_ps: float
    capacitance_ff: float
    voltage_v: float
    leakage_nw: float | None

    @property
    def energy_fj(self) -> float:
        """One unit of internal energy in fJ."""
        return self.capacitance_ff * self.voltage_v**2


def read_units(library: Group) -> tuple[Units, list[str]]:
    """Units of a library, and a note on each that was missing.

    Raises
    ------
    LibertyError
        If a unit is unknown, or there is none for capacitance, for which Liberty has no default.
    """
    notes = []
    if library.text("time_unit") is None:
        notes.append("time_unit is missing: 1ns, Liberty's default, is taken")
    if library.text("voltage_unit") is None:
        notes.append("voltage_unit is missing: 1V is taken")
    if library.text("leakage_power_unit") is None:
        notes.append("leakage_power_unit is missing: leakage is taken as 0")
    load = library.arguments("capacitive_load_unit")
    if load is None or len(load) != 2:
        raise library.error(
            "capacitive_load_unit (1, pf) is missing, so loads have no meaning; add it",
            "capacitive_load_unit",
        )
    units = Units(
        time_ps=_factor(library, "time_unit", library.text("time_unit") or "1ns", "s", -12),
        capacitance_ff=_factor(library, "capacitive_load_unit", "".join(load), "f", -15),
        voltage_v=_factor(library, "voltage_unit", library.text("voltage_unit") or "1V", "v", 0),
        leakage_nw=(
            _factor(library, "leakage_power_unit", text, "w", -9)
            if (text := library.text("leakage_power_unit"))
            else None
        ),
    )
    return units, notes


def _factor(library: Group, attribute: str, text: str, unit: str, ours: int) -> float:
    # Files write 1ff, 1fF, 1NS: the case says nothing, and M for mega does not occur.
    match = re.match(rf"\s*(\d+\.?\d*|\.\d+)\s*([munpfk]?){unit}\s*\Z", text.lower())
    if match is None or float(match.group(1)) == 0:
        raise library.error(f"{attribute} is {text!r}, which is not a known unit", attribute)
    exponent = _POWER_OF_TEN[match.group(2)] - ours
    # Dividing by an exact power of ten keeps 1ps at exactly 1 ps, which multiplying by 1e-12 * 1e12 does not.
    number = float(match.group(1))
    return float(number * 10**exponent if exponent >= 0 else number / 10**-exponent)
