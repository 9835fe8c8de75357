"""Disks that fill up, and folders that cannot be written."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.fault_runs import Place, is_clear_error, same


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)],
        check=True,
        capture_output=True,
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def can_mount() -> bool:
    with (
        tempfile.TemporaryDirectory() as name,
        suppress(OSError, subprocess.CalledProcessError),
        small_disk(Path(name), 64),
    ):
        return True
    return False


def limited_files(kilobytes: int) -> list[str]:
    """Prefix of a command whose files may not be larger: a full disk for those without the right to mount."""
    return ["prlimit", f"--fsize={kilobytes * 1024}"]


def full_disk(place: Place, report: Callable[[str], None], sizes_kb: Sequence[int]) -> dict[str, Any]:
    """Fill up the disk of the results, of the cache, or of temporary files; then give it room."""
    expected, said = place.make_whole(), Counter[str]()
    for which in ("results", "cache", "temporary files"):
        for size_kb in sizes_kb:
            disk, out = place.folder / "disk", place.folder / "filled"
            shutil.rmtree(out, ignore_errors=True)
            with small_disk(disk, size_kb):
                options: dict[str, Any] = {"environment": {"TMPDIR": str(disk)}} if which[0] == "t" else {}
                arguments = ["-j", "1"]
                if which == "results":
                    out = disk / "out"
                elif which == "cache":
                    (disk / "pdk").symlink_to(place.cache() / "pdk")
                    options["cache"] = disk
                    arguments += ["--cluster", "local"]
                ended = place.run(out, *arguments, **options)
                if ended.returncode == 0:
                    same(out, expected, f"{which} on {size_kb} kB")
                    said[f"{which}: done"] += 1
                    continue
                if not is_clear_error(ended):
                    raise AssertionError(f"{which} on {size_kb} kB: {ended.stderr}")
                said[f"{which}: one error"] += 1
                report(f"{which} on {size_kb} kB: {ended.stderr.strip().splitlines()[-1][:150]}")
                subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
                ended = place.run(out, *arguments, **options)
                assert ended.returncode == 0, ended.stderr
                same(out, expected, f"{which} after room was made")
    return dict(said)


def size_limit(place: Place, report: Callable[[str], None], sizes_kb: Sequence[int]) -> dict[str, Any]:
    """The same for those who may not mount: files that may not grow beyond a size."""
    expected, said = place.make_whole(), Counter[str]()
    out = place.folder / "limited"
    for size_kb in sizes_kb:
        shutil.rmtree(out, ignore_errors=True)
        ended = place.run(out, "-j", "1", before=limited_files(size_kb))
        if ended.returncode:
            if not is_clear_error(ended):
                raise AssertionError(f"files of {size_kb} kB: {ended.stderr}")
            said["one error"] += 1
            report(f"files of at most {size_kb} kB: {ended.stderr.strip().splitlines()[-1][:150]}")
            ended = place.run(out, "-j", "1")
            assert ended.returncode == 0, ended.stderr
        else:
            said["done"] += 1
        same(out, expected, f"files of {size_kb} kB")
    return dict(said)


def read_only(place: Place, report: Callable[[str], None]) -> dict[str, Any]:
    """Results, cache and temporary folder that cannot be written: a bind mount, which holds for root too."""
    expected, said = place.make_whole(), dict[str, str]()

    def locked(folder: Path) -> list[str]:
        script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, str(folder)]

    out = place.folder / "readonly-out"
    out.mkdir(exist_ok=True)
    ended = place.run(out, "-j", "1", before=locked(out))
    assert is_clear_error(ended), ended.stderr
    said["results"] = ended.stderr.strip().splitlines()[-1]
    assert not any(out.iterdir())
    # A folder that is finished can still be read, and nothing of it is lost.
    ended = place.run(place.whole, "-j", "1", before=locked(place.whole))
    assert is_clear_error(ended), ended.stderr
    same(place.whole, expected, "read-only results")
    ended = place.run(out, "-j", "1", before=locked(place.cache()))
    assert ended.returncode == 0, ended.stderr
    same(out, expected, "read-only cache")
    said["cache, on this machine"] = "done, the same bytes"
    shutil.rmtree(out)
    ended = place.run(out, "--cluster", "local", "-j", "1", before=locked(place.cache()))
    assert is_clear_error(ended), ended.stderr
    said["cache, on a cluster"] = ended.stderr.strip().splitlines()[-1]
    for what, line in said.items():
        report(f"read-only {what}: {line[:150]}")
    return {what: line.replace(str(place.folder), "…") for what, line in said.items()}
