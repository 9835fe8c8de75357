"""Results by the hash of what made them, and files by the hash of their content.

Several runs may use one store at a time: every file is written aside and renamed, and equal names mean equal
content. What is read is hashed first; what does not fit is removed and counts as absent.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from halo_timing.errors import UsageError
from halo_timing.execution.work import Work, checked_file_name
from halo_timing.files import atomic_path, sha256_file, sha256_json, write_bytes, write_json
from halo_timing.wheels import cache_dir

_HEX = frozenset("0123456789abcdef")


class Store:
    """A folder of results.

    Parameters
    ----------
    root
        By default ``work`` in the cache folder, which ``HALO_TIMING_CACHE`` names.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_dir() / "work"

    def find(self, work: Work) -> dict[str, str] | None:
        """Files that a work made, name → hash; None where it was not made, or its files are damaged."""
        record = self._record(work.key)
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, UsageError):
            document = json.loads(record.read_text())
            outputs = {checked_file_name(str(name)): str(sha) for name, sha in document["outputs"].items()}
            if document["check"] == _check(work.key, outputs) and all(map(self._is_whole, outputs.values())):
                return outputs
        with suppress(OSError):
            record.unlink()
        return None

    def path(self, digest: str) -> Path:
        """Where the content of this hash is, or would be."""
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise UsageError(f"{digest!r} is no SHA-256 in hexadecimal")
        return self.root / "files" / digest[:2] / digest

    def open(self, digest: str) -> bytes:
        """Return the content of this hash.

        Raises
        ------
        UsageError
            If it is not there, or damaged.
        """
        path = self.path(digest)
        if not self._is_whole(digest):
            raise UsageError(f"{path}: is not there any more, or damaged; give the command again")
        return path.read_bytes()

    def put_file(self, source: Path) -> str:
        """Keep the content of a file; returns its hash."""
        digest = sha256_file(source)
        if not self._is_whole(digest):
            with self._writing(), atomic_path(self.path(digest)) as part:
                shutil.copyfile(source, part)
        return digest

    def put_bytes(self, data: bytes, digest: str) -> None:
        """Keep content of a known hash."""
        if not self._is_whole(digest):
            with self._writing():
                write_bytes(self.path(digest), data)

    def put(self, work: Work, outputs: Mapping[str, str]) -> None:
        """Say that a work made these files, which are in the store."""
        files = {checked_file_name(name): digest for name, digest in sorted(outputs.items())}
        with self._writing():
            write_json(
                self._record(work.key),
                {"work": work.document(), "outputs": files, "check": _check(work.key, files)},
            )

    def place(self, outputs: Mapping[str, str], folder: Path) -> None:
        """Write files into a folder; each is whole or absent, and verified.

        Raises
        ------
        UsageError
            If one is damaged, or the folder cannot be written.
        """
        for name, digest in outputs.items():
            target = folder / checked_file_name(name)
            with atomic_path(target) as part:
                shutil.copyfile(self.path(digest), part)
                if sha256_file(part) != digest:
                    self.path(digest).unlink(missing_ok=True)
                    raise UsageError(f"{self.path(digest)}: was damaged; give the command again")

    def _record(self, key: str) -> Path:
        return self.root / "made" / key[:2] / f"{key}.json"

    def _is_whole(self, digest: str) -> bool:
        path = self.path(digest)
        try:
            if sha256_file(path) == digest:
                return True
        except OSError:
            return False
        with suppress(OSError):
            path.unlink()
        return False

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, UsageError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            reason = getattr(cause, "strerror", None) or str(error)
            raise UsageError(
                f"{self.root}: the cache cannot be written ({reason}); free some space there, "
                "or set HALO_TIMING_CACHE to another folder"
            ) from error


def _check(key: str, outputs: Mapping[str, str]) -> str:
    return sha256_json({"key": key, "outputs": dict(outputs)})
