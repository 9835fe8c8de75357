"""What a run is asked to do: from a TOML file, from flags, or from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from halo_timing.costmap.levels import DEFAULT_LEVELS, DEFAULT_MIN_SIZE
from halo_timing.errors import UsageError
from halo_timing.toml_reader import tomllib


class RunConfig(BaseModel):
    """Options of a run; the defaults make the demonstration.

    Parameters
    ----------
    pdk, corner
        Cells; corner None is the PDK's default one.
    corners
        Further corners to time the MAC's netlist at, as ``characterize --corners`` takes them.
    mac
        MAC to characterise, as ``mac list`` names it, optionally with parameters.
    reference
        MACs to compare with; None takes the conventional ones of the family, with the widths of `mac`.
    model
        Checkpoint to quantize: a name of a packaged model, or a path; None quantizes nothing.
    dynamic
        Simulate transitions of this MAC and of the fastest reference, besides bounding all.
    levels, period_from, margin, min_size
        Levels of the cost map (how many, ``auto``, or which, as ``costmap --levels`` takes them), whether
        their periods are the bounds or simulated ones, the share added to these, and the smallest codebook.
    tile, fast_share, outlier_sigma
        Quantizer's tile size, share of weights at the fastest level, and outlier limit.
    fp16
        Characterise a floating-point MAC too, where the model's time and energy are estimated.
    evaluation
        Result of ``halo-timing evaluate`` that the report draws too; None takes that in the result folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pdk: str = "nangate45"
    corner: str | None = None
    corners: str | None = None
    mac: str = "array"
    reference: tuple[str, ...] | None = None
    model: str | None = "minilm"
    dynamic: bool = True
    levels: int | str = DEFAULT_LEVELS
    period_from: Literal["bound", "dynamic"] = "bound"
    margin: float = Field(0.0, ge=0, le=1)
    min_size: int = Field(DEFAULT_MIN_SIZE, ge=1)
    tile: int = Field(128, ge=1)
    fast_share: float = Field(0.5, ge=0, le=1)
    outlier_sigma: float = Field(3.0, ge=0)
    fp16: bool = True
    evaluation: Path | None = None

    @classmethod
    def from_toml(cls, path: Path | None, overrides: dict[str, Any]) -> RunConfig:
        """Read a TOML file and let `overrides` win.

        Raises
        ------
        UsageError
            If the file or an option is wrong.
        """
        try:
            options = tomllib.loads(path.read_text()) if path else {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{path}: not a run file ({error})") from error
        try:
            return cls.model_validate({**options, **overrides})
        except ValidationError as error:
            first = error.errors()[0]
            option = ".".join(map(str, first["loc"]))
            raise UsageError(
                f"{path or 'options'}: {option}: {first['msg']}, found {first['input']!r}"
            ) from error
