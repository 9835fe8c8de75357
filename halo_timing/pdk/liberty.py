"""Reading Liberty text into a tree of groups, whatever state the file is in.

The tree is what the file says; :mod:`halo_timing.pdk.library` gives it meaning and units. The reader takes
one step a statement (not a character), never recurses, and does not touch table values until they are asked
for. It is strict where a damaged file would otherwise be half read: every brace, quote and comment must
close, and whatever is not a statement is an error that names file and line.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from halo_timing.errors import LibertyError

# Reading takes about 6.5 times the size of the text; this keeps it below 2 GB.
MAX_BYTES = 256 << 20
MAX_DEPTH = 64

_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_STATEMENT = re.compile(
    rf"""\s*(?:
        (?P<name>[A-Za-z_][\w.]*)\s*
        (?:
            :\s*(?P<value>{_STRING}|[^;{{}}"\n]*)\s*;?
          | \((?P<arguments>[^()"]*(?:{_STRING}[^()"]*)*)\)\s*(?P<end>[{{;]?)
        )
      | (?P<close>\}})
      | ;
      | (?P<finish>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
# Each alternative matches to the end of the text when its own end is missing: the search stays linear.
_COMMENT = re.compile(rf'{_STRING}|"|/\*[^*]*(?:\*(?!/)[^*]*)*(\*/)?|//[^\n]*', re.DOTALL)
_CONTINUATION = re.compile(r"\\[ \t\r]*\n")
_ARGUMENT = re.compile(rf"({_STRING})|[^\s,\"]+", re.DOTALL)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\Z")


class _Source:
    """A file's text, and the line of a position in it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self._newlines: list[int] | None = None

    def line(self, position: int) -> int:
        if self._newlines is None:
            self._newlines = [match.start() for match in re.finditer("\n", self.text)]
        return bisect_right(self._newlines, position - 1) + 1

    def error(self, position: int, message: str) -> LibertyError:
        return LibertyError(f"{self.path}, line {self.line(position)}: {message}")


class Group:
    """One group: ``kind (names) { attributes and groups }``.

    Attributes
    ----------
    kind : str
        ``library``, ``cell``, ``pin``, ``timing``, …
    groups : list of Group
        The groups inside, in the order of the file.
    """

    __slots__ = ("_arguments", "_complex", "_position", "_simple", "_source", "groups", "kind")

    def __init__(self, source: _Source, kind: str, arguments: str, position: int) -> None:
        self.kind = kind
        self.groups: list[Group] = []
        self._arguments = arguments
        self._source = source
        self._position = position
        self._simple: dict[str, tuple[str, int]] = {}
        self._complex: list[tuple[str, str, int]] = []

    def __repr__(self) -> str:
        return f"Group({self.title!r}, line={self.line})"

    @property
    def names(self) -> tuple[str, ...]:
        """What stands in the parentheses: ``("A1",)`` of ``pin (A1)``."""
        return _split(self._arguments)

    @property
    def name(self) -> str:
        """First of :attr:`names`, or an empty string."""
        return next(iter(self.names), "")

    @property
    def title(self) -> str:
        """The group as it is called in messages: ``cell (NAND2_X1)``."""
        return f"{self.kind} ({', '.join(self.names)})"

    @property
    def path(self) -> Path:
        """The file."""
        return self._source.path

    @property
    def line(self) -> int:
        """Line on which the group begins, counted from 1."""
        return self._source.line(self._position)

    def children(self, *kinds: str) -> Iterator[Group]:
        """Return the groups of these kinds directly inside."""
        return (group for group in self.groups if group.kind in kinds)

    def child(self, *kinds: str) -> Group | None:
        """First group of one of these kinds directly inside."""
        return next(self.children(*kinds), None)

    def text(self, attribute: str) -> str | None:
        """Value of a simple attribute without its quotes; None when it is not there."""
        found = self._simple.get(attribute)
        return None if found is None else _unquoted(found[0])

    def flag(self, attribute: str) -> bool:
        """Whether a simple attribute is ``true``."""
        return (self.text(attribute) or "").lower() == "true"

    def number(self, attribute: str) -> float | None:
        """Value of a simple attribute as a finite number; None when it is not there.

        Raises
        ------
        LibertyError
            If the value is not a finite number.
        """
        found = self._simple.get(attribute)
        if found is None:
            return None
        return self._finite(attribute, _unquoted(found[0]), found[1])

    def arguments(self, attribute: str) -> tuple[str, ...] | None:
        """Arguments of a complex attribute (the last, when it is repeated); None when it is not there."""
        found = self.all_arguments(attribute)
        return found[-1] if found else None

    def all_arguments(self, attribute: str) -> list[tuple[str, ...]]:
        """Arguments of each occurrence of a complex attribute."""
        return [_split(arguments) for name, arguments, _ in self._complex if name == attribute]

    def numbers(self, attribute: str) -> list[float] | None:
        """All numbers of a complex attribute such as ``values ("1, 2", "3, 4")``, in one row.

        Raises
        ------
        LibertyError
            If one of them is not a finite number.
        """
        found = [(text, place) for name, text, place in self._complex if name == attribute]
        if not found:
            return None
        arguments, position = found[-1]
        words = arguments.replace('"', " ").replace(",", " ").split()
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = [math.nan]
        # float() also takes "nan", "infinity" and "1_000"; a sum is the cheapest test for the first two.
        if not math.isfinite(sum(numbers)) or "_" in arguments:
            return [self._finite(attribute, word, position) for word in words]
        return numbers

    def error(self, message: str, attribute: str | None = None) -> LibertyError:
        """Return the error that says `message` about this group, or about one of its attributes."""
        position = self._position
        if attribute is not None:
            places = [place for name, _, place in self._complex if name == attribute]
            found = self._simple.get(attribute)
            position = places[-1] if places else found[1] if found else position
        return self._source.error(position, message)

    def _finite(self, attribute: str, word: str, position: int) -> float:
        if _NUMBER.match(word) and math.isfinite(number := float(word)):
            return number
        raise self._source.error(
            position, f"{attribute} of {self.title} is {word[:40]!r}, not a finite number"
        )


def _unquoted(text: str) -> str:
    text = text.strip()
    if text.startswith('"'):
        return text[1:-1].replace('\\"', '"').strip()
    return text


def _split(arguments: str) -> tuple[str, ...]:
    return tuple(_unquoted(match.group()) for match in _ARGUMENT.finditer(arguments))


def read_liberty(path: Path) -> Group:
    """Read one Liberty file, plain or gzipped.

    Parameters
    ----------
    path : Path
        The file; gzip is recognised by its first bytes, not by the name.

    Returns
    -------
    Group
        Its ``library`` group.

    Raises
    ------
    LibertyError
        If the file cannot be read, is not whole, or is not Liberty; the message names file and line.
    """
    return parse_liberty(_load(path), path)


def _load(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LibertyError(
            f"{path}: the gzip data is damaged or cut off ({error}); fetch it again"
        ) from error
    except (OSError, ValueError) as error:
        raise LibertyError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(data) > MAX_BYTES:
        raise LibertyError(
            f"{path}: larger than {MAX_BYTES >> 20} MiB; leave current-source (CCS) tables out"
        )
    return data.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")


def _without_comments(source: _Source) -> str:
    def blank(match: re.Match[str]) -> str:
        found = match.group()
        if found == '"':
            raise source.error(match.start(), "a quoted string does not end; the file is damaged or cut off")
        if found[0] == '"':
            return found
        if found[1] == "*" and match.group(1) is None:
            raise source.error(match.start(), "a comment does not end; the file is damaged or cut off")
        return " " + "\n" * found.count("\n")

    return _COMMENT.sub(blank, source.text)


def parse_liberty(text: str, path: Path) -> Group:
    """Parse Liberty text; `path` is for messages only.

    Raises
    ------
    LibertyError
        As :func:`read_liberty`.
    """
    source = _Source(path, text)
    if "\\" in text:
        source.text = _CONTINUATION.sub(" \n", source.text)
    source.text = text = _without_comments(source)
    root = Group(source, "file", "", 0)
    stack = [root]
    group = root
    position = 0
    match_at = _STATEMENT.match
    while True:
        match = match_at(text, position)
        if match is None:
            raise _unreadable(source, position, stack)
        position = match.end()
        name, value, arguments, end, close, finish = match.groups()
        if name is not None:
            place = match.start("name")
            if value is not None:
                if not value.strip():
                    raise source.error(place, f"{name} has no value")
                group._simple[name] = (value, place)
            elif end == "{":
                if len(stack) > MAX_DEPTH:
                    raise source.error(place, f"groups are nested more than {MAX_DEPTH} deep")
                inner = Group(source, name, arguments, place)
                group.groups.append(inner)
                stack.append(inner)
                group = inner
            else:
                group._complex.append((name, arguments, place))
        elif close is not None:
            if len(stack) == 1:
                raise source.error(match.start("close"), "'}' closes nothing")
            stack.pop()
            group = stack[-1]
        elif finish is not None:
            break
    if len(stack) > 1:
        raise source.error(
            len(text),
            f"the file ends inside {stack[-1].title} of line {stack[-1].line}; it is cut off, fetch it again",
        )
    return _only_library(root)


def _unreadable(source: _Source, position: int, stack: list[Group]) -> LibertyError:
    rest = source.text[position:].lstrip()
    where = f" in {stack[-1].title}" if len(stack) > 1 else ""
    # A whole file closes every group that is open here.
    what = "cut off" if rest.count("}") < len(stack) - 1 else "not a Liberty statement"
    return source.error(len(source.text) - len(rest), f"{rest.splitlines()[0][:40]!r}{where} is {what}")


def _only_library(root: Group) -> Group:
    libraries = list(root.children("library"))
    if len(libraries) != 1:
        raise LibertyError(
            f"{root.path}: holds {len(libraries)} library groups, not one; is it a Liberty file?"
        )
    extra = [group.title for group in root.groups if group.kind != "library"] + sorted(root._simple)
    if extra:
        raise LibertyError(
            f"{root.path}: {extra[0]} stands outside the library group; the braces do not match"
        )
    for group in (libraries[0], root):
        if included := group.arguments("include_file"):
            raise group.error(
                f"include_file ({included[0]}) is not followed; give one whole file", "include_file"
            )
    return libraries[0]
