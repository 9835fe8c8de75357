"""A piece of work: a function of this package, its parameters, and the files it reads, all by content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from halo_timing.errors import UsageError
from halo_timing.execution.environment import environment
from halo_timing.files import sha256_file, sha256_json

_FUNCTION = re.compile(r"halo_timing(?:\.[a-z0-9_]+)+:[a-z][a-z0-9_]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\:]")


def checked_file_name(name: str) -> str:
    """`name`, if it is a relative path that stays in its folder.

    Raises
    ------
    UsageError
        If it is not.
    """
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts or _CONTROL.search(name):
        raise UsageError(f"{name!r} is no name of a file in a folder; use a relative path without '..'")
    return name


@dataclass(frozen=True)
class Work:
    """Something to be made, the same wherever and whenever it is.

    Parameters
    ----------
    name
        What messages call it; unique in a campaign, may hold ``/``. Not part of the key.
    function
        ``package.module:name`` of a function of this package. It is called with a folder for its files, the
        paths of its inputs by name, and the parameters; nothing else that varies may matter to it.
    parameters
        JSON values.
    inputs
        File name → path on this machine. Only name and content count; the function may be given other paths.
    """

    name: str
    function: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _FUNCTION.match(self.function):
            raise UsageError(f"{self.function!r} is no function of halo_timing, as package.module:name")
        for name in self.inputs:
            checked_file_name(name)

    @cached_property
    def input_digests(self) -> Mapping[str, str]:
        """Hash of each input.

        Raises
        ------
        UsageError
            If one cannot be read.
        """
        try:
            return {name: sha256_file(path) for name, path in sorted(self.inputs.items())}
        except OSError as error:
            raise UsageError(f"{self.name}: {error.filename} cannot be read ({error.strerror})") from error

    @cached_property
    def key(self) -> str:
        """Hash of everything the result depends on, tools and this package included."""
        return sha256_json(
            {
                "function": self.function,
                "parameters": dict(self.parameters),
                "inputs": dict(self.input_digests),
                "environment": dict(environment()),
            }
        )

    def document(self) -> dict[str, Any]:
        """Return the work as JSON values, paths left out."""
        return {
            "name": self.name,
            "function": self.function,
            "parameters": dict(self.parameters),
            "inputs": dict(self.input_digests),
            "environment": dict(environment()),
            "key": self.key,
        }
