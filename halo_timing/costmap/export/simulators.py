"""Energies and clocks as accelerator models take them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping

from halo_timing.costmap.export.source import Source
from halo_timing.errors import UsageError

_ACCELERATOR = "an accelerator YAML of ZigZag"
_REPORT = "a COMPUTE_REPORT.csv of SCALE-Sim"


def accelergy(source: Source) -> Mapping[str, bytes]:
    """Energy reference table (v0.4) of Accelergy, and a table for its table-based plug-in.

    One component a level, and one a layer and level where a model was quantized: Timeloop takes the largest
    energy over an action's arguments, so that a table over values would count the dearest one everywhere.
    Energies are picojoules.
    """
    energies = {
        f"mac_level{index}": source.level_energy_fj(index) / 1e3
        for index in range(len(source.cost_map.levels))
    }
    for (layer, index), energy_fj in source.layer_energies_fj().items():
        energies[f"mac_level{index}.{_identifier(layer)}"] = energy_fj / 1e3
    tables = [
        {
            "name": f"system.{name}",
            "actions": [{"name": "compute", "arguments": {}, "energy": _rounded(energy)}],
        }
        for name, energy in energies.items()
    ]
    # JSON is YAML: nothing here needs more of it.
    ert = json.dumps({"ERT": {"version": 0.4, "tables": tables}}, indent=2)
    return {
        "accelergy_ERT.yaml": f"# {source.title}; pJ a multiply-accumulate\n{ert}\n".encode(),
        "accelergy_tables/halo_timing.table.yaml": _identifier_file(source).encode(),
        "accelergy_tables/data/halo_mac.csv": _plug_in_table(source).encode(),
    }


def zigzag(source: Source) -> Mapping[str, bytes]:
    """One accelerator a level: the user's own YAML with ``operational_array.unit_energy`` (pJ) of that level.

    Memories are the user's; nothing else in the file is touched, comments included.
    """
    text = source.base_text(_ACCELERATOR)
    files = {}
    for index, level in enumerate(source.cost_map.levels):
        energy_pj = _rounded(source.level_energy_fj(index) / 1e3)
        note = (
            f"# {source.title}, level {index}: {len(level.codebook)} values, period {level.period_ps:.6g} ps"
        )
        files[f"zigzag_level{index}.yaml"] = f"{note}\n{_with_unit_energy(text, energy_pj)}".encode()
    return files


def scalesim(source: Source) -> Mapping[str, bytes]:
    """SCALE-Sim's cycles of each layer as time at each level: its report knows no clock."""
    rows = [
        [cell.strip() for cell in row]
        for row in csv.reader(io.StringIO(source.base_text(_REPORT)))
        if any(cell.strip() for cell in row)
    ]
    try:
        layer, total = rows[0].index("LayerID"), rows[0].index("Total Cycles")
        cycles = [(row[layer], float(row[total])) for row in rows[1:]]
    except (IndexError, ValueError) as error:
        raise UsageError(
            f"--base {source.base}: no columns LayerID and Total Cycles with numbers; name {_REPORT}"
        ) from error
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    levels = source.cost_map.levels
    writer.writerow(["LayerID", "cycles", *(f"time_us_level{index}" for index in range(len(levels)))])
    for name, count in cycles:
        times = (count * level.period_ps / 1e6 for level in levels)
        writer.writerow([name, f"{count:g}", *(f"{time:.9g}" for time in times)])
    return {"scalesim_times.csv": stream.getvalue().encode()}


def _with_unit_energy(text: str, energy_pj: float) -> str:
    """Set the one entry in YAML text, line by line: a parser would lose the user's comments."""
    lines = text.splitlines()
    head = next(
        (i for i, line in enumerate(lines) if re.match(r"operational_array\s*:\s*(#.*)?$", line)), None
    )
    if head is None:
        raise UsageError(f"--base: no operational_array on a line of its own; name {_ACCELERATOR}")
    end = head + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in " \t#"):
        end += 1
    body = [line for line in lines[head + 1 : end] if line.strip() and not line.lstrip().startswith("#")]
    indent = re.match(r"\s*", body[0]).group() if body else "  "  # type: ignore[union-attr]
    entry = f"{indent}unit_energy: {energy_pj!r} # pJ"
    kept = [line for line in lines[head + 1 : end] if not re.match(r"\s+unit_energy\s*:", line)]
    return "\n".join([*lines[: head + 1], entry, *kept, *lines[end:]]) + "\n"


def _plug_in_table(source: Source) -> str:
    """Rows that Accelergy's table-based plug-in looks up by the attributes of a component."""
    about = source.cost_map.metadata
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["technology", "datawidth", "latency", "level", "action", "energy", "area"])
    for index, level in enumerate(source.cost_map.levels):
        energy_pj = _rounded(source.level_energy_fj(index) / 1e3)
        latency = f"{level.period_ps / 1e3:.6g}ns"
        where = [about.get("pdk", ""), about["weight_width"], latency, index]
        writer.writerow([*where, "compute", energy_pj, 0])
    return stream.getvalue()


def _identifier_file(source: Source) -> str:
    technology = json.dumps(source.cost_map.metadata.get("pdk", ""))
    return (
        f"# {source.title}\nname: halo_timing\ntechnology: {technology}\n"
        "accuracy: 70\npath_to_data_dir: ./data\n"
    )


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")
