"""Progress of a run on a terminal: one line a step, with an estimate of the time left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from halo_timing.run.steps import Record

_WORDS = {
    "netlist": "synthesise, choose a recipe, prove equal to the RTL",
    "mapped": "take the same netlist",
    "tables": "bound every weight",
    "dynamic": "simulate every weight",
    "weights": "write weights.csv",
    "costmap": "find levels and codebooks",
    "model": "quantize the model",
    "float": "synthesise, check and measure the FP16 MAC",
    "estimate": "estimate time and energy on an accelerator",
    "report": "write the report",
    "bounds": "map MACs and bound every weight, on the cluster",
    "blocks": "simulate every weight, on the cluster",
    "simulation": "join the weights, on the cluster",
}


@contextmanager
def share_bar(console: Console) -> Iterator[Callable[[str, float], None]]:
    """Show a bar on a terminal; yields what is to be called with a description and a share of 1."""
    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


def default_jobs() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class TerminalReporter:
    """Shows the steps of a run; use it as a context."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> TerminalReporter:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def started(self, step: str, total: int) -> Callable[[int], None]:
        """Begin a step of `total` units."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = task = self._progress.add_task(_title(step), total=total)
        return lambda units: self._progress.advance(task, units)

    def finished(self, record: Record) -> None:
        """End a step."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        outcome = "there already" if record.reused else f"{record.seconds:.1f} s"
        self._console.print(f"  {_title(record.name):66} {outcome}", markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Say something between the steps."""
        self._console.print(f"  {text}", markup=False, soft_wrap=True)


def _title(step: str) -> str:
    folder, _, name = step.rpartition("/")
    words = _WORDS.get(name, name)
    # Folder names of MACs with many parameters are long; their beginning says which one it is.
    return f"{folder.rpartition('/')[2][:16]}: {words}" if folder else words
