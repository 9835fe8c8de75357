"""The ``halo-timing`` command: parse, call, print."""

from halo_timing.cli.main import main

__all__ = ["main"]
