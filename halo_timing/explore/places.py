"""Corners that a space names, with what works need of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halo_timing.characterization import mapping_target, provenance, timing_conditions
from halo_timing.errors import PdkError, ToolNotFoundError
from halo_timing.explore.points import corner_parameters, liberty_inputs
from halo_timing.pdk.registry import Corner, Pdk, list_pdks, load_pdk
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.opensta_probe import probe_opensta
from halo_timing.tools.yosys import find_yosys


@dataclass(frozen=True)
class Place:
    """A corner of a PDK with what works need of it."""

    pdk: Pdk
    corner: Corner
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Path]


def find_places(
    wanted: Sequence[str], if_present: Sequence[str], note: Callable[[str], None], *, install: bool
) -> dict[tuple[str, str], Place]:
    """Find the corners that a space names, ``NAME`` or ``NAME/CORNER``.

    Raises
    ------
    PdkError
        If one that must be there is not.
    ToolNotFoundError
        If a tool is missing, or OpenSTA is one whose bounds are wrong.
    """
    sta, yosys = find_opensta(), find_yosys()
    if not probe_opensta(sta).bounds_are_sound:
        raise ToolNotFoundError(
            f"{sta.path} gives wrong delays under case analysis (`halo-timing doctor` tells more); "
            "name another OpenSTA in the variable STA"
        )
    here = {status.name for status in list_pdks() if status.is_installed}
    places: dict[tuple[str, str], Place] = {}
    for spec in (*wanted, *if_present):
        name, _, corner_name = spec.partition("/")
        if spec not in wanted and name not in here:
            note(f"{name} is not on this machine and is left out")
            continue
        pdk = load_pdk(name, install=install, progress=note)
        corner = pdk.corner(corner_name or None)
        places[pdk.name, corner.name] = Place(
            pdk,
            corner,
            # As JSON has them: a work's key must not depend on tuples and lists.
            json.loads(
                json.dumps(
                    corner_parameters(
                        mapping_target(pdk, corner),
                        timing_conditions(pdk, corner),
                        provenance(pdk, corner, yosys, sta),
                    )
                )
            ),
            liberty_inputs(corner.liberty),
        )
    if not places:
        raise PdkError("none of the PDKs of the space is on this machine; `halo-timing pdk list` tells more")
    return places
