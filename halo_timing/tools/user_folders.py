"""Where things that outlive one run are kept on the user's machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def _folder(variable: str, default: str) -> Path:
    named = os.environ.get(variable)
    return Path(named).expanduser().absolute() if named else Path(default)


def cache_dir() -> Path:
    """Folder of what can be fetched or measured again; ``HALO_TIMING_CACHE`` names another one."""
    return _folder("HALO_TIMING_CACHE", platformdirs.user_cache_dir("halo-timing", appauthor=False))


def config_dir() -> Path:
    """Folder of the user's own PDK registrations; ``HALO_TIMING_CONFIG`` names another one."""
    return _folder("HALO_TIMING_CONFIG", platformdirs.user_config_dir("halo-timing", appauthor=False))
