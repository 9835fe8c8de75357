"""Which tensors of a checkpoint are quantized, and why the others are not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from halo_timing.quantize.tensor_file import FLOAT_DTYPES, TensorEntry

#: Parts of a tensor's name (between dots) that say what it is. The first match counts.
NAME_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("norm", re.compile(r"norm|(^|_)ln(_|\d|$)|layernorm")),
    ("embedding", re.compile(r"embed|embd|^wte$|^wpe$|^shared$|relative_attention_bias|rotary")),
    ("head", re.compile(r"(^|_)head$|^classifier$|^score$|^cls$|^pooler$|^qa_outputs$|^output_layer$")),
)


def reason_left_out(
    entry: TensorEntry, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> str | None:
    """Why a tensor is copied as it is; None if it is to be quantized.

    Parameters
    ----------
    entry
        The tensor.
    include, exclude
        Shell patterns of names (``*``, ``?``, ``[…]``). They overrule the rules on names, `exclude` first;
        what is not a matrix of floats can never be quantized.
    """
    if entry.dtype not in FLOAT_DTYPES:
        return f"dtype {entry.dtype}"
    if len(entry.shape) != 2 or 0 in entry.shape:
        return "not a matrix"
    if any(fnmatchcase(entry.name, pattern) for pattern in exclude):
        return "excluded"
    if any(fnmatchcase(entry.name, pattern) for pattern in include):
        return None
    if entry.name == "output.weight":  # GGUF's name of it; elsewhere, "output" is a part of any layer
        return "head"
    parts = entry.name.lower().split(".")
    for reason, pattern in NAME_RULES:
        if any(pattern.search(part) for part in parts):
            return reason
    return None if parts[-1] == "weight" else "not a layer's weight"
