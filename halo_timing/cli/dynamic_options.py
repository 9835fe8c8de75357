"""Options of dynamic timing: what is simulated, with which delays, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from halo_timing.dynamic.stimulus import Stimulus, load_pairs
from halo_timing.dynamic_characterization import DynamicOptions
from halo_timing.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

_DEFAULT = Stimulus()
_OPTIONS = (
    click.option(
        "--dynamic/--no-dynamic",
        default=True,
        show_default=True,
        help="Simulate transitions for exact periods and energies, besides the static bound.",
    ),
    click.option(
        "--delays",
        type=click.Choice(["nldm", "sdf"]),
        default="nldm",
        show_default=True,
        help="Delays from the library's tables with the slew of each event, or fixed ones.",
    ),
    click.option(
        "--stimulus",
        type=click.Choice(["auto", "sampled"]),
        default="auto",
        show_default=True,
        help="Every activation transition where that is possible, or drawn ones throughout.",
    ),
    click.option(
        "--samples", type=click.IntRange(1), help=f"Drawn transitions.  [default: {_DEFAULT.samples}]"
    ),
    click.option("--seed", type=int, help=f"Of everything that is drawn.  [default: {_DEFAULT.seed}]"),
    click.option("--rows", type=click.IntRange(1), help=f"Elements of a column.  [default: {_DEFAULT.rows}]"),
    click.option(
        "--weights",
        type=click.Choice(["gaussian", "uniform"]),
        help=f"Weights of a column's other elements.  [default: {_DEFAULT.weights}]",
    ),
    click.option(
        "--activations",
        type=click.Path(path_type=Path),
        help="Measured activations: a calibration, or .npz with an array pairs, how often each follows each.",
    ),
    click.option(
        "--shift",
        type=click.IntRange(0),
        metavar="K",
        help="Tile fact: every weight of the column is a multiple of 2^K.  [default: 0]",
    ),
    click.option(
        "--full", is_flag=True, help="Keep period and energy of every transition (200 MB for 8 bits)."
    ),
)


def dynamic_options(command: Command) -> Command:
    """Add the options that :func:`chosen_dynamics` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_dynamics(options: dict[str, Any]) -> DynamicOptions | None:
    """Take what is to be simulated out of `options`; None where bounds alone are wanted.

    Raises
    ------
    UsageError
        If the activation file is of another form, or options of a simulation come with ``--no-dynamic``.
    """
    wanted, delays, coverage, full = (options.pop(name) for name in ("dynamic", "delays", "stimulus", "full"))
    names = {"samples": "samples", "seed": "seed", "rows": "rows", "weights": "weights", "shift": "shift"}
    given = {field: value for name, field in names.items() if (value := options.pop(name)) is not None}
    activations: Path | None = options.pop("activations")
    if not wanted:
        if given or activations or full:
            raise UsageError("--no-dynamic simulates nothing; leave out the options of a simulation")
        return None
    if activations is not None:
        given["pairs"] = load_pairs(activations)
    return DynamicOptions(delays, Stimulus(**given), coverage, full)
