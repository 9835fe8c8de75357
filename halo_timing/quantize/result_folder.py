"""The folder of a quantized model: work in progress, finished files, and what travels with the weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from halo_timing.errors import CheckpointError, HaloTimingError, UsageError
from halo_timing.files import PART_SUFFIX
from halo_timing.quantize.report import QuantizationReport

#: Name of the report within the folder; its presence says that the result is whole.
REPORT_NAME = "quantization.json"
#: Path of the native form within the folder; loaders that take every safetensors file do not see it there.
NATIVE_NAME = "native/model.safetensors"
#: Subfolder of the int8 form, a model folder of its own.
INT8_FOLDER = "compressed-tensors"

_WORK_NAME = ".unfinished"
# Small files of a model folder that loaders want beside the weights.
_COMPANION_SUFFIXES = (".json", ".txt", ".model", ".jinja")
_COMPANION_LIMIT = 64 << 20


@contextmanager
def working_folder(out: Path, source: Path) -> Iterator[Path]:
    """Yield a subfolder of `out` for unfinished files.

    It stays when the program is interrupted, so that the next run finds what is done, and goes when the block
    ends or refuses its input.

    Parameters
    ----------
    out
        Folder of the result: new, empty, or of an earlier run.
    source
        Folder of the source, which must be another one.

    Raises
    ------
    UsageError
        If `out` is the source's folder, holds other files, or cannot be written.
    """
    is_new = False
    work = out / _WORK_NAME
    try:
        is_new = not out.exists()
        if not is_new:
            _check_usable(out, source)
            # A folder with nothing but what an interrupted run has begun is as good as new.
            is_new = [path.name for path in out.iterdir()] == [_WORK_NAME]
            for begun in out.glob(f".{REPORT_NAME}.*{PART_SUFFIX}"):
                begun.unlink()
        work.mkdir(parents=True, exist_ok=True)
        yield work
        shutil.rmtree(work)
    except (HaloTimingError, OSError) as error:
        shutil.rmtree(work, ignore_errors=True)
        if is_new:
            shutil.rmtree(out, ignore_errors=True)
        if isinstance(error, OSError):
            raise UsageError(
                f"{out}: cannot be written ({error.strerror}); choose another output folder"
            ) from error
        raise


def companions(folder: Path) -> dict[str, Path]:
    """Find the configuration and tokenizer files of a model folder, by name; no index of shards."""
    return {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.suffix in _COMPANION_SUFFIXES
        and not path.name.endswith(".index.json")
        and path.is_file()
        and path.stat().st_size <= _COMPANION_LIMIT
    }


def put_in_place(out: Path, finished: Mapping[str, Path], report: QuantizationReport) -> None:
    """Move finished files to their names within `out`, and remove those of an earlier result.

    The report marks the result as whole: the old one goes first, the new one comes last.
    """
    stale = _files_of(out / REPORT_NAME) - set(finished)
    (out / REPORT_NAME).unlink(missing_ok=True)
    for name in stale:
        (out / name).unlink(missing_ok=True)
        if (folder := (out / name).parent) != out:
            with suppress(OSError):  # not empty yet, or not ours alone
                folder.rmdir()
    for name, path in finished.items():
        (out / name).parent.mkdir(exist_ok=True)
        path.replace(out / name)
    report.save(out / REPORT_NAME)


def _check_usable(out: Path, source: Path) -> None:
    if out.resolve() == source.resolve():
        raise UsageError(
            f"{out}: is the folder of the source, which is never overwritten; choose another one"
        )
    if not out.is_dir():
        raise UsageError(f"{out}: is a file; choose a folder for the quantized model")
    names = {path.name for path in out.iterdir()}
    if names and not names & {_WORK_NAME, REPORT_NAME}:
        raise UsageError(f"{out}: holds files that are not a quantized model; choose an empty or new folder")


def _files_of(report: Path) -> set[str]:
    """Files of the earlier result that `report` describes; only names that lie in its folder."""
    try:
        files = QuantizationReport.load(report).files
    except CheckpointError:
        return set()
    inside = ("", str(Path(NATIVE_NAME).parent), INT8_FOLDER)
    return {name for name in files if name.rpartition("/")[0] in inside and Path(name).name not in ("", "..")}
