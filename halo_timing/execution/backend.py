"""What a place that does works offers to a campaign."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from halo_timing.execution.perform import Answer
from halo_timing.execution.work import Work

#: Is told what a user may want to know while works go on.
Note = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """One attempt at a work.

    Attributes
    ----------
    answer : Answer or None
        How it ended; None where the process that did it is gone.
    outputs : mapping or None
        Files that are in the store now, name → hash.
    folder : Path or None
        What the attempt left, logs among it; read it before the next call.
    loss : str
        What became of the process, where there is no answer.
    """

    work: Work
    answer: Answer | None
    outputs: Mapping[str, str] | None
    folder: Path | None
    loss: str = ""


class Backend(Protocol):
    """Processes, here or elsewhere."""

    @property
    def slots(self) -> int | None:
        """Works that it takes at a time; None for any number."""

    @property
    def attempts(self) -> int:
        """Attempts that a work gets whose process is lost."""

    def start(self, work: Work) -> None:
        """Begin an attempt at a work."""

    def wait(self, progress: Note) -> Iterator[Ended]:
        """Wait for attempts to end; yields at least one."""
