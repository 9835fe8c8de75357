"""The space of an exploration: a TOML file, and the points that it stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from halo_timing.accelerator.workload import Phase
from halo_timing.errors import RtlError, UsageError
from halo_timing.resources import rtl_dir
from halo_timing.rtl import Mac, Parameter, family, find_mac
from halo_timing.synthesis import recipes
from halo_timing.toml_reader import tomllib

#: What a front can be of; each is to be small.
Objective = Literal["time", "area", "energy"]
#: Stands for every MAC of the family.
WHOLE_FAMILY = "family"
_WIDTH = re.compile(r"(\d+)x(\d+)\+(\d+)")
_MOST_POINTS = 10_000


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, (str, int)) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Settings = Annotated[tuple[Parameter, ...], BeforeValidator(_as_list)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Axes(_Section):
    """What is combined with what; an axis that is left out keeps what each MAC brings.

    Parameters
    ----------
    pdk, pdk_if_present
        ``NAME`` or ``NAME/CORNER``; those of the second are left out where they are not on this machine.
    mac
        As ``mac list`` names them, parameters included, or TOML files of own ones; ``family`` is all of them.
    conventional
        Those of `mac` that are to be beaten, besides the family's own.
    adder, pipeline, width
        Parameters of ``mac.v``; a width is ``8x8+24``: weight, activation, sum.
    recipe
        Mapping recipes, each a point of its own.
    parameters
        Any further parameters of ``mac.v``, each with its values.
    """

    pdk: Words = ()
    pdk_if_present: Words = ()
    mac: Words = (WHOLE_FAMILY,)
    conventional: Words = ()
    adder: Words = ()
    pipeline: Words = ()
    width: Words = ()
    recipe: Words = ()
    parameters: dict[str, Settings] = {}


class Goal(_Section):
    """What is looked for.

    Parameters
    ----------
    sizes
        Sizes of codebooks, 0 included.
    min_sqnr_db
        Signal to quantization noise that the rounded weights must keep, as a mean over all of them.
    weights
        What they are expected to be: a distribution's name, or a checkpoint (name or path).
    objectives
        What the Pareto front is of. With ``energy`` every point that is not beaten in it is simulated.
    model, phase, batch, sequence
        Pass through a model whose time and energy are estimated.
    finalists
        How many of a class are proved and simulated at most, fastest first.
    """

    sizes: tuple[int, ...] = (4, 8, 9, 16, 32)
    min_sqnr_db: float = Field(14.0, ge=0, le=60)
    weights: str = "gaussian"
    objectives: tuple[Objective, ...] = ("time", "area")
    model: str = "llama-2-7b"
    phase: Phase = "prefill"
    batch: int = Field(1, ge=1)
    sequence: int = Field(2048, ge=1)
    finalists: int = Field(4, ge=1)


class Space(_Section):
    """A space file."""

    space: Axes
    goal: Goal = Field(default_factory=lambda: Goal.model_validate({}))


@dataclass(frozen=True)
class Point:
    """One MAC, mapped by one recipe to the cells of one corner.

    Parameters
    ----------
    name
        Unique, and a path: ``nangate45/typ/one_digit-sklansky-two_stage-8x8+24-speed``.
    pdk, corner
        Cells; the corner is "" for the PDK's default one.
    structure, adder, pipeline, width
        What it is; "" where own Verilog does not say.
    spec
        What ``--mac`` takes to mean it, recipe included.
    """

    name: str
    pdk: str
    corner: str
    structure: str
    adder: str
    pipeline: str
    width: str
    spec: str
    mac: Mac

    @property
    def recipe(self) -> str:
        """Its only recipe."""
        return self.mac.recipes[0]


@dataclass(frozen=True)
class Skipped:
    """A combination that is no point of its own, and why."""

    name: str
    reason: str


def read_space(path: Path) -> Space:
    """Read a space file.

    Raises
    ------
    UsageError
        If it cannot be read, or a key is unknown or wrong; names the key and the mend.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not a space file ({error}); examples/explore.toml is one") from error
    try:
        space = Space.model_validate(entries)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        found = "" if first["type"] == "missing" else f", found {first['input']!r}"
        raise UsageError(f"{path}: {key}: {first['msg']}{found}; docs/explore.md shows the keys") from error
    _check(path, space)
    return space


def _check(path: Path, space: Space) -> None:
    def refuse(key: str, found: object, mend: str) -> UsageError:
        return UsageError(f"{path}: {key}: {found!r}: {mend}")

    axes, goal = space.space, space.goal
    if not axes.pdk and not axes.pdk_if_present:
        raise UsageError(f'{path}: space.pdk: names no PDK; write pdk = ["nangate45"]')
    adders = sorted(file.stem.removeprefix("adder_") for file in rtl_dir().glob("adder_*.v"))
    if wrong := [adder for adder in axes.adder if adder not in adders]:
        raise refuse("space.adder", wrong[0], f"one of {', '.join(adders)} is wanted")
    pipelines = sorted(set(re.findall(r'PIPELINE == "(\w+)"', (rtl_dir() / "mac.v").read_text())))
    if wrong := [pipeline for pipeline in axes.pipeline if pipeline not in pipelines]:
        raise refuse("space.pipeline", wrong[0], f"one of {', '.join(pipelines)} is wanted")
    if wrong := [width for width in axes.width if not _WIDTH.fullmatch(width)]:
        raise refuse("space.width", wrong[0], "weight, activation and sum as in 8x8+24 are wanted")
    for width in axes.width:
        weight, activation, total = _widths(width)
        if not (2 <= weight <= 16 and 2 <= activation <= 16 and 8 <= total <= 48):
            raise refuse("space.width", width, "operands have 2 to 16 bits, sums 8 to 48")
    if wrong := [recipe for recipe in axes.recipe if recipe not in recipes()]:
        raise refuse("space.recipe", wrong[0], f"flows/recipes.toml has {', '.join(recipes())}")
    if wrong := [spec for spec in axes.conventional if spec not in axes.mac]:
        raise refuse("space.conventional", wrong[0], "is not among space.mac; name it there too")
    reserved = {"ADDER": "adder", "PIPELINE": "pipeline", **dict.fromkeys(WIDTH_NAMES, "width")}
    if wrong := [name for name in axes.parameters if name in reserved]:
        raise refuse("space.parameters", wrong[0], f"is set by space.{reserved[wrong[0]]}")
    if not goal.sizes or min(goal.sizes) < 2 or len(set(goal.sizes)) < len(goal.sizes):
        raise refuse("goal.sizes", list(goal.sizes), "different sizes of at least 2 values are wanted")
    if not {"time"} <= set(goal.objectives):
        raise refuse(
            "goal.objectives", list(goal.objectives), 'time must be among them, as in ["time", "area"]'
        )


#: Parameters of mac.v that set operands and sum.
WIDTH_NAMES = ("WEIGHT_WIDTH", "ACTIVATION_WIDTH", "ACCUMULATOR_WIDTH")
# As mac.v has them.
_DEFAULTS: Mapping[str, Parameter] = {
    **dict(zip(WIDTH_NAMES, (8, 8, 24), strict=True)),
    "ADDER": "kogge_stone",
    "PIPELINE": "two_stage",
}


def _widths(width: str) -> tuple[int, int, int]:
    match = _WIDTH.fullmatch(width)
    assert match
    weight, activation, total = (int(number) for number in match.groups())
    return weight, activation, total


def expand(path: Path, axes: Axes, pdks: Sequence[tuple[str, str]]) -> tuple[list[Point], list[Skipped]]:
    """List the points of a space.

    Parameters
    ----------
    path
        The space file, for messages; TOML files of own MACs are relative to its folder.
    pdks
        PDKs to take, each with the corner's name.

    Raises
    ------
    UsageError
        If a MAC or parameter is unknown, or there are too many points or none.
    """
    points: dict[str, Point] = {}
    skipped: list[Skipped] = []
    circuits: dict[tuple[object, ...], str] = {}
    for (pdk, corner), candidate in product(pdks, list(_candidates(path, axes))):
        name = f"{pdk}/{corner}/{candidate.name}"
        if isinstance(candidate, Skipped):
            skipped.append(replace(candidate, name=name))
            continue
        mac = candidate.mac
        circuit = (pdk, corner, mac.files, mac.top, tuple(sorted(mac.parameters.items())), mac.recipes)
        if circuit in circuits:
            skipped.append(Skipped(name, f"is the same as {circuits[circuit]}"))
            continue
        if name in points:
            name = f"{name}-{len(points)}"
        circuits[circuit] = name
        points[name] = replace(candidate, name=name, pdk=pdk, corner=corner)
        if len(points) > _MOST_POINTS:
            raise UsageError(f"{path}: more than {_MOST_POINTS} points; shorten an axis")
    if not points:
        raise UsageError(f"{path}: no point is left: {skipped[0].reason if skipped else 'an axis is empty'}")
    return list(points.values()), skipped


def _candidates(path: Path, axes: Axes) -> Iterator[Point | Skipped]:
    """Combine everything but the PDK."""
    specs = [name for spec in axes.mac for name in (family() if spec == WHOLE_FAMILY else [spec])]
    for spec in dict.fromkeys(specs):
        base, _, settings = spec.partition(":")
        own = base.endswith(".toml")
        place = str(path.parent / base) if own else base
        try:
            plain = find_mac(f"{place}:{settings}" if settings else place)
        except RtlError as error:
            raise UsageError(f"{path}: space.mac: {spec!r}: {error}") from error
        conventional = plain.conventional or spec in axes.conventional
        chosen = {"adder": axes.adder, "pipeline": axes.pipeline, "width": axes.width} if not own else {}
        free = {} if own else axes.parameters
        for values in product(*(values or ("",) for values in chosen.values()), *free.values()):
            named = dict(zip([*chosen, *free], map(str, values), strict=True))
            changes = _parameters(plain, named)
            for recipe in axes.recipe or plain.recipes:
                texts = [settings] if settings else []
                texts += [f"{key}={value}" for key, value in changes.items()]
                full = f"{place}:{','.join([*texts, f'recipe={recipe}'])}"
                try:
                    mac = replace(find_mac(full), recipes=(recipe,), conventional=conventional)
                except RtlError as error:
                    raise UsageError(f"{path}: space.parameters: {error}") from error
                yield _point(spec, own, full, mac, recipe)


def _parameters(mac: Mac, named: Mapping[str, str]) -> dict[str, str]:
    """Parameters of ``mac.v`` that a combination changes."""
    changes = {
        name.upper(): value for name, value in named.items() if name in ("adder", "pipeline") and value
    }
    if named.get("width"):
        changes |= dict(zip(WIDTH_NAMES, map(str, _widths(named["width"])), strict=True))
    changes |= {name: value for name, value in named.items() if name.isupper()}
    default = {**_DEFAULTS, **mac.parameters}
    return {name: value for name, value in changes.items() if str(default.get(name)) != value}


def _point(spec: str, own: bool, full: str, mac: Mac, recipe: str) -> Point | Skipped:
    parameters = {**_DEFAULTS, **mac.parameters}
    weight, activation, total = (int(parameters[name]) for name in WIDTH_NAMES)
    adder, pipeline, width = (
        ("", "", "")
        if own
        else (str(parameters["ADDER"]), str(parameters["PIPELINE"]), f"{weight}x{activation}+{total}")
    )
    structure = mac.top
    if not own:
        # What differs from the member of the family, and has no axis of its own, belongs to the structure.
        structure = spec.partition(":")[0]
        member = {**_DEFAULTS, **family()[structure].parameters}
        further = sorted(
            f"{name}={value}"
            for name, value in parameters.items()
            if name not in _DEFAULTS and member.get(name) != value
        )
        structure = ":".join([structure, ",".join(further)]) if further else structure
    name = "-".join(filter(None, [structure, adder, pipeline, width, recipe]))
    name = re.sub(r"[^A-Za-z0-9_.+-]", "_", name)
    if not own and total < weight + activation:
        return Skipped(name, f"a sum of {total} bits is narrower than a product of {weight + activation}")
    return Point(name, "", "", structure, adder, pipeline, width, full, mac)
