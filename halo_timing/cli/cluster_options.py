"""Options that say where the heavy steps are done: here, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from halo_timing.execution.executor import open_executor
from halo_timing.execution.store import Store
from halo_timing.run.elsewhere import Elsewhere

Command = TypeVar("Command", bound=Callable[..., Any])


def cluster_options(command: Command) -> Command:
    """Add the options that :func:`chosen_place` takes."""
    command = click.option(
        "--cluster",
        type=click.Choice(["local", "slurm", "lsf"]),
        help="Start a Dask cluster with as many workers as --jobs says.",
    )(command)
    return click.option(
        "--scheduler", metavar="tcp://HOST:PORT", help="Dask scheduler whose workers do the heavy steps."
    )(command)


@contextmanager
def chosen_place(jobs: int, scheduler: str | None, cluster: str | None) -> Iterator[Elsewhere | None]:
    """Open the cluster that the options name; None where they name none."""
    if scheduler is None and cluster is None:
        yield None
        return
    store = Store()
    with open_executor(jobs=jobs, scheduler=scheduler, cluster=cluster, store=store) as executor:
        yield Elsewhere(executor, store)
