"""Where the package's own Verilog, flow scripts and PDK descriptors live.

In a source checkout they are top-level folders; in a wheel they travel under ``halo_timing/_data``.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def rtl_dir() -> Path:
    """Folder of the synthesizable Verilog."""
    return _folder("rtl")


def flows_dir() -> Path:
    """Folder of the Yosys, ABC and OpenSTA scripts."""
    return _folder("flows")


def libs_dir() -> Path:
    """Folder of the PDK descriptors."""
    return _folder("libs")


def benches_dir() -> Path:
    """Folder of the cocotb benches."""
    return _folder("tests/cocotb")
