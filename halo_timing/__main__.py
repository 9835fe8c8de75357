"""``python -m halo_timing``: the same as the ``halo-timing`` command."""

from halo_timing.cli import main

main()
