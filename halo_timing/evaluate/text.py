"""Text for calibration and evaluation, in windows of tokens."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_timing.errors import UsageError
from halo_timing.files import sha256_file


def read_texts(paths: Sequence[Path]) -> str:
    """Join text files, gzipped ones included, with an empty line between them.

    Raises
    ------
    UsageError
        If a file is missing, empty, or not UTF-8 text.
    """
    texts = []
    for path in paths:
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"{path}: cannot be read as text ({reason})") from error
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{path}: not UTF-8 text (byte {error.start}); give plain text, as it is or gzipped"
            ) from error
        if not text.strip():
            raise UsageError(f"{path}: holds no text")
        texts.append(text)
    return "\n\n".join(texts)


def cut_windows(tokens: NDArray[np.int64], window: int, count: int | None = None) -> NDArray[np.int64]:
    """Windows that follow each other without overlap; the tail that fills none is dropped.

    Parameters
    ----------
    tokens
        Token numbers of the whole text, tokenised at once, shape ``(n,)``.
    window
        Tokens in a window.
    count
        Windows wanted, spread evenly over the text; None for all.

    Returns
    -------
    ndarray of int64, shape (count, window)

    Raises
    ------
    UsageError
        If the text is too short.
    """
    there = len(tokens) // window
    if there < max(1, count or 1):
        raise UsageError(
            f"the text has {len(tokens)} tokens, which is {there} windows of {window}; "
            f"{count or 1} are wanted: give more text, or ask for fewer"
        )
    windows = tokens[: there * window].reshape(there, window)
    return windows if count is None else windows[np.arange(count) * there // count]


def describe_texts(paths: Sequence[Path]) -> list[dict[str, str]]:
    """Name and SHA-256 of each file, for a result's provenance."""
    return [{"name": path.name, "sha256": sha256_file(path)} for path in paths]
