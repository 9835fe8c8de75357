"""Runs one Yosys script in the built-in ``pyosys`` wheel: ``python _pyosys_child.py FILE``.

A process of its own, because an error inside Yosys ends the process that it happens in.
Without a file it prints the version.
"""

from __future__ import annotations

import sys

from pyosys import libyosys


def main() -> None:
    """Run the script named on the command line, or print the version."""
    if len(sys.argv) < 2:
        print(libyosys.yosys_maybe_version())
        return
    libyosys.run_pass(f"script {sys.argv[1]}", libyosys.Design())


if __name__ == "__main__":
    main()
