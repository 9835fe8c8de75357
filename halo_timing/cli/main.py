"""The command group, and what happens when something goes wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

import click

from halo_timing.errors import HaloTimingError

# Command name → module and object. Modules are imported when their command is used: start-up stays quick.
_COMMANDS = {
    "doctor": "halo_timing.cli.doctor:doctor",
    "pdk": "halo_timing.cli.pdk:pdk",
    "mac": "halo_timing.cli.mac:mac",
    "testbench": "halo_timing.cli.testbench:testbench",
    "characterize": "halo_timing.cli.characterize:characterize",
    "costmap": "halo_timing.cli.costmap:costmap",
    "export": "halo_timing.cli.export:export_command",
    "diff": "halo_timing.cli.diff:diff",
    "calibrate": "halo_timing.cli.calibrate:calibrate",
    "quantize": "halo_timing.cli.quantize:quantize",
    "estimate": "halo_timing.cli.estimate:estimate",
    "explore": "halo_timing.cli.explore:explore",
    "evaluate": "halo_timing.cli.evaluate:evaluate",
    "report": "halo_timing.cli.report:report",
    "reproduce": "halo_timing.cli.reproduce:reproduce_",
    "run": "halo_timing.cli.run:run",
}


class _Group(click.Group):
    """Loads commands when they are asked for, and turns expected errors into one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HaloTimingError as error:
            # A name that is no UTF-8 comes as surrogates, which not every stream takes.
            text = str(error).encode("utf-8", "backslashreplace").decode()
            click.echo(f"halo-timing: {text}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("halo-timing: interrupted; the same command goes on from here", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            # What reads our output, such as `head`, has had enough; nor will it take what is still buffered.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)
        except OSError as error:
            # A full disk or a folder that went away: the user's to mend, not a defect to trace.
            place = f"{error.filename}: " if error.filename else ""
            click.echo(f"halo-timing: {place}{error.strerror or error}", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("halo-timing"), prog_name="halo-timing")
def cli() -> None:
    """Tell what a weight value costs: delay and energy of MAC operands, and quantizers that use them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; usage mistakes exit with 1, failed tools with 2."""
    try:
        # Outside its standalone mode click returns the code of an exit, and raises everything else.
        result = cli.main(arguments, standalone_mode=False)
        sys.exit(result if isinstance(result, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(1)
    except click.Abort:
        click.echo("halo-timing: interrupted; the same command goes on from here", err=True)
        sys.exit(130)
