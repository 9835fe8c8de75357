"""Giving a tool's input files plain names in its working folder."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from halo_timing.errors import UsageError
from halo_timing.files import atomic_path
from halo_timing.tools.quoting import plain_name


def stage_files(folder: Path, sources: Mapping[str, Path]) -> None:
    """Put files into `folder` under plain names, so that scripts run there need no path at all.

    A link where the system allows one, otherwise a copy. What is gzipped, by its first bytes, is unpacked
    unless the new name ends in ``.gz``.

    Parameters
    ----------
    folder : Path
        Working folder of the tool; made when missing.
    sources : mapping of str to Path
        New file name to existing file.

    Raises
    ------
    UsageError
        If a source cannot be read, the folder cannot be made, or a name is not plain.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error
    for name, source in sources.items():
        target = folder / plain_name(name)
        if not source.is_file():
            raise UsageError(f"{source}: no such file")
        if target.suffix != ".gz" and _is_packed(source):
            _unpack(source, target)
            continue
        target.unlink(missing_ok=True)
        try:
            target.symlink_to(source.resolve())
        except OSError:
            shutil.copyfile(source, target)


def _is_packed(source: Path) -> bool:
    try:
        with source.open("rb") as stream:
            return stream.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise UsageError(f"{source}: cannot be read ({error.strerror})") from error


def _unpack(source: Path, target: Path) -> None:
    try:
        with gzip.open(source) as packed, atomic_path(target) as part, part.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{source}: cannot be unpacked ({error}); fetch it again") from error


def liberty_names(liberty: Sequence[Path]) -> list[str]:
    """Plain names under which :func:`stage_liberty` puts the files."""
    return [f"library_{index}.lib" for index in range(len(liberty))]


def stage_liberty(folder: Path, liberty: Sequence[Path]) -> None:
    """Put Liberty files into `folder`, unpacked, under plain names."""
    stage_files(folder, dict(zip(liberty_names(liberty), liberty, strict=True)))
