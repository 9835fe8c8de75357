"""Working through a weight matrix in pieces that fit a core's cache, on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# Weights per piece: the handful of float32 buffers of a piece stay in a core's cache.
_PIECE = 1 << 17


def for_row_chunks(rows: int, row_size: int, work: Callable[[slice], None]) -> None:
    """Call `work` with slices that cover `rows` rows of `row_size` elements, from several threads.

    Pieces must not share results; numpy lets go of the interpreter while it computes, so threads do help.
    What is computed does not depend on their number.
    """
    height = max(1, _PIECE // max(1, row_size))
    pieces = [slice(start, start + height) for start in range(0, rows, height)]
    threads = min(len(pieces), os.cpu_count() or 1)
    if threads <= 1:
        for piece in pieces:
            work(piece)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, pieces):
            pass
