"""RTL to mapped netlist with Yosys and ABC: the same inputs give the same bytes."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from halo_timing.errors import FlowError, UsageError
from halo_timing.files import write_text
from halo_timing.netlist import Netlist
from halo_timing.pdk.library import Library
from halo_timing.resources import flows_dir
from halo_timing.rtl import Mac
from halo_timing.toml_reader import tomllib
from halo_timing.tools.staging import liberty_names, stage_files, stage_liberty
from halo_timing.tools.yosys import Yosys

_SYNTHESIS_TIMEOUT_S = 900


class Recipe(BaseModel):
    """One way to map: an ABC script, and whether modules are merged before it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    abc: str
    hierarchy: Literal["flat", "units"]


@dataclass(frozen=True)
class MappingTarget:
    """Cells to map to, and what the mapper optimises for.

    Parameters
    ----------
    liberty
        Liberty files of the corner.
    library
        The same files, read.
    dont_use
        Cells that must not be chosen.
    tie_high, tie_low
        (cell, pin) that gives constant 1 and 0, where the library has such cells.
    drive_cell
        Cell that drives the inputs, for ABC.
    output_load_ff, period_ps
        Load of each output and the delay that sizing aims at.
    """

    liberty: tuple[Path, ...]
    library: Library
    dont_use: tuple[str, ...]
    tie_high: tuple[str, str] | None
    tie_low: tuple[str, str] | None
    drive_cell: str
    output_load_ff: float
    period_ps: float


@lru_cache(maxsize=1)
def recipes() -> Mapping[str, Recipe]:
    """Return the recipes of ``flows/recipes.toml`` by name."""
    path = flows_dir() / "recipes.toml"
    try:
        entries = tomllib.loads(path.read_text())
        return {name: Recipe.model_validate(body) for name, body in entries.items()}
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise UsageError(f"{path}: {error}") from error


def find_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name not in recipes():
        raise UsageError(f"unknown recipe {name!r}; flows/recipes.toml has {', '.join(recipes())}")
    return recipes()[name]


def synthesize(mac: Mac, target: MappingTarget, recipe_name: str, yosys: Yosys, log_folder: Path) -> Netlist:
    """Map a MAC with one recipe.

    The filled-in Yosys and ABC scripts are left in `log_folder`.

    Raises
    ------
    ToolError
        If Yosys fails.
    NetlistError
        If the result holds anything but logic cells and flip-flops.
    """
    recipe = find_recipe(recipe_name)
    with tempfile.TemporaryDirectory(prefix="halo_timing-") as name:
        folder = Path(name)
        stage_liberty(folder, target.liberty)
        abc = (flows_dir() / "abc" / recipe.abc).read_text()
        write_text(folder / "recipe.abc", abc.replace("@PERIOD_PS@", f"{target.period_ps:.0f}"))
        write_text(
            folder / "constraints.abc",
            f"set_driving_cell {_word(target.drive_cell)}\nset_load {target.output_load_ff:.4f}\n",
        )
        files = liberty_names(target.liberty)
        dont_use = " ".join(f"-dont_use {_word(cell)}" for cell in target.dont_use)
        script = fill_script(
            "synth.ys",
            {
                **stage_sources(folder, mac),
                "READ_LIBERTY": "\n".join(
                    f"read_liberty -lib {file}" for file in liberty_names(target.liberty)
                ),
                "LIBERTY": " ".join(f"-liberty {file}" for file in files),
                "DONT_USE": dont_use,
                "KEEP": f"setattr -set keep_hierarchy 1 {mac.top}/c:*" if recipe.hierarchy == "units" else "",
                "TIE": _tie_command(target),
            },
        )
        log_path = log_folder / f"synth_{recipe_name}.log"
        yosys.run_script(script, cwd=folder, log_path=log_path, timeout_s=_SYNTHESIS_TIMEOUT_S)
        shutil.copyfile(folder / f"{log_path.stem}.ys", log_path.with_suffix(".ys"))
        shutil.copyfile(folder / "recipe.abc", log_path.with_suffix(".abc"))
        return Netlist.from_yosys_json(folder / "mapped.json", target.library)


def _tie_command(target: MappingTarget) -> str:
    if target.tie_high is None or target.tie_low is None:
        return "# no tie cells: constants stay constants"
    high, low = (" ".join(map(_word, tie)) for tie in (target.tie_high, target.tie_low))
    return f"hilomap -singleton -hicell {high} -locell {low}"


def fill_script(name: str, words: Mapping[str, str]) -> str:
    """Fill the ``@WORD@`` places of a script in ``flows/``.

    Raises
    ------
    FlowError
        If the script asks for a word that is not given.
    """
    text = (flows_dir() / name).read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    if missing := re.search(r"^[^#]*@([A-Z_]+)@", text, re.MULTILINE):
        raise FlowError(f"{name}: nothing fills @{missing[1]}@")
    return text


def stage_sources(folder: Path, mac: Mac) -> dict[str, str]:
    """Put the RTL into `folder` under plain names; return the script words that read and elaborate it."""
    names = [f"source_{index}.v" for index in range(len(mac.files))]
    stage_files(folder, dict(zip(names, mac.files, strict=True)))
    parameters = (
        f"-set {_word(name)} " + (str(value) if isinstance(value, int) else f'"{_word(value)}"')
        for name, value in sorted(mac.parameters.items())
    )
    settings = " ".join(parameters)
    return {
        "SOURCES": " ".join(names),
        "TOP": _word(mac.top),
        "PARAMETERS": f"chparam {settings} {_word(mac.top)}" if settings else "",
    }


def _word(name: str) -> str:
    """Return `name` if Yosys takes it as it stands: its commands keep quotes as part of a name."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.*?]*", name):
        raise UsageError(f"{name!r} is not a plain name; letters, digits and underscores only")
    return name
