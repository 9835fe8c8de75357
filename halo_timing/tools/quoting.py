"""Names and paths on their way into Tcl and Yosys scripts.

OpenSTA 2.0.17 cannot read a Liberty file whose name needs quoting, however it is quoted, and writes nothing,
without a word, to such an SDF name. Yosys has no escape for a quote, and takes some file names as patterns:
``a[b].v`` reads ``ab.v`` where that exists. So a script names only plain files of its own folder (see
:mod:`halo_timing.tools.staging`), and quoting is for what is left: names of nets, instances and modules.
"""

from __future__ import annotations

import re
from pathlib import Path

from halo_timing.errors import UsageError

_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\Z")
_TCL_SPECIAL = re.compile(r'(["\\$\[\]{};])')
_YOSYS_SPECIAL = re.compile(r'["\\*?\[\]]')


def _checked(text: str | Path) -> str:
    text = str(text)
    if _CONTROL.search(text):
        raise UsageError(f"{text!r}: a name with control characters cannot be handed to a tool; rename it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{text!r}: a name that is not valid UTF-8 cannot be handed to a tool; rename it"
        ) from error
    return text


def tcl_quote(text: str | Path) -> str:
    r"""`text` as one Tcl word that stands for exactly these characters.

    >>> print(tcl_quote("a[3] $x"))
    "a\[3\] \$x"

    Raises
    ------
    UsageError
        If `text` holds control characters.
    """
    return '"' + _TCL_SPECIAL.sub(r"\\\1", _checked(text)) + '"'


def yosys_quote(text: str | Path) -> str:
    """`text` as one argument of a Yosys command.

    >>> print(yosys_quote("my file.v"))
    "my file.v"

    Raises
    ------
    UsageError
        If `text` holds control characters, or a character that Yosys has no way to take literally.
    """
    if special := _YOSYS_SPECIAL.search(_checked(text)):
        raise UsageError(
            f"{str(text)!r}: Yosys cannot take {special.group()!r} in a name literally; rename it"
        )
    return f'"{text}"'


def plain_name(name: str) -> str:
    """`name`, when it is a file name that no tool misreads: letters, digits, ``_ . + -``.

    Raises
    ------
    UsageError
        If it is not.
    """
    if not _PLAIN.match(name):
        raise UsageError(f"{name!r} is not a plain file name; use letters, digits and _ . + - only")
    return name
