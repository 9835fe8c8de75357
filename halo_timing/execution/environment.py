"""What results depend on besides inputs and parameters: this package, its flow files, and the tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from halo_timing.errors import HaloTimingError
from halo_timing.files import sha256_file, sha256_json
from halo_timing.resources import flows_dir, rtl_dir
from halo_timing.tools.locate import Version
from halo_timing.tools.opensta import find_opensta
from halo_timing.tools.yosys import find_yosys

_PACKAGE = Path(__file__).resolve().parent.parent
_LIBRARIES = ("numba", "numpy")


@lru_cache(maxsize=1)
def environment() -> Mapping[str, str]:
    """Versions and hashes that are part of every key; a tool that is not there is ``none``."""
    return {
        "halo-timing": version("halo-timing"),
        "flows": _digest(path for path in flows_dir().rglob("*") if path.is_file()),
        "rtl": _digest(rtl_dir().glob("*")),
        "yosys": _tool_version(lambda: find_yosys().version),
        "opensta": _tool_version(lambda: find_opensta().version),
        **{name: version(name) for name in _LIBRARIES},
    }


@lru_cache(maxsize=1)
def sources_digest() -> str:
    """Hash of the Python files of this package: a worker has to run the very same ones."""
    return _digest(_PACKAGE.rglob("*.py"))


def disagreement(wanted: Mapping[str, str], wanted_sources: str) -> str:
    """Say what this machine has otherwise than the one that asks; empty where nothing."""
    here = environment()
    parts = [
        f"{name} {here.get(name, 'none')[:12]} instead of {value[:12]}"
        for name, value in sorted(wanted.items())
        if here.get(name) != value
    ]
    if not parts and sources_digest() != wanted_sources:
        parts.append("other files of halo_timing, though of the same version")
    return ", ".join(parts)


def _digest(paths: Iterable[Path]) -> str:
    return sha256_json(sorted((path.name, sha256_file(path)) for path in paths))


def _tool_version(ask: object) -> str:
    assert callable(ask)
    try:
        found: Version = ask()
    except HaloTimingError:
        return "none"
    return ".".join(map(str, found))
