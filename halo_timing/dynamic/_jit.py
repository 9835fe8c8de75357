"""One way to compile kernels: to machine code, without the interpreter's lock, and kept on disk.

Numba keeps compiled kernels beside the source (in ``__pycache__``) or, where that cannot be written, in the
user's cache folder; ``NUMBA_CACHE_DIR`` chooses another place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(function: Kernel) -> Kernel:
    """Compile `function` with numba when it is first called."""
    return cast(Kernel, numba.njit(cache=True, nogil=True, boundscheck=False)(function))
