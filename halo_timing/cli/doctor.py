"""``halo-timing doctor``: what was found, what is missing, and the command that mends it."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from halo_timing.pdk.registry import list_pdks
from halo_timing.tools.doctor import Diagnosis, Finding, diagnose_tools

_MARKS = {"ok": ("ok", "green"), "warning": ("optional", "yellow"), "missing": ("missing", "red")}


def diagnose() -> Diagnosis:
    """Look for the tools and the PDKs."""
    pdks = list_pdks()
    present = [status for status in pdks if status.is_installed]
    if present:
        found = ", ".join(f"{status.name} ({len(status.corners)})" for status in present)
        finding = Finding("PDKs", "ok", f"{found}; numbers are corners")
    else:
        finding = Finding("PDKs", "missing", "none is here", "halo-timing pdk install nangate45")
    broken = [
        Finding(f"PDK {status.name}", "warning", status.problem, status.mend)
        for status in pdks
        if status.problem
    ]
    return Diagnosis((*diagnose_tools(), finding, *broken))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Show what was found, what is missing, and the command that mends it.

    Exits with 0 if MACs can be synthesised and their weights' delays bounded, with 1 if not.
    """
    diagnosis = diagnose()
    if as_json:
        click.echo(json.dumps(diagnosis.as_dict(), indent=2, sort_keys=True))
    else:
        _show(diagnosis)
    if not diagnosis.main_job_runs:
        context.exit(1)


def _show(diagnosis: Diagnosis) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    for finding in diagnosis.findings:
        mark, colour = _MARKS[finding.status]
        found = Text(finding.found)
        if finding.mend:
            found.append(f"\n→ {finding.mend}", style="bold")
        table.add_row(Text(mark, style=colour), finding.name, found)
    console.print(table)
    console.print(
        "The main job can run."
        if diagnosis.main_job_runs
        else "The main job cannot run: see what is missing."
    )
