"""Do a kept work again: ``python -m halo_timing.execution FOLDER``, for one that failed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from halo_timing.execution.perform import perform
from halo_timing.execution.work import Work


def main() -> int:
    """Do the work of the folder that the command line names; its files go to ``again`` in that folder."""
    if len(sys.argv) != 2:
        print("usage: python -m halo_timing.execution FOLDER", file=sys.stderr)
        return 1
    folder = Path(sys.argv[1])
    try:
        document = json.loads((folder / "work.json").read_text())
        work = Work(document["name"], document["function"], document["parameters"])
        inputs = {name: folder / "inputs" / name for name in document["inputs"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{folder}: no work that can be done again ({error})", file=sys.stderr)
        return 1
    again = folder / "again"
    shutil.rmtree(again, ignore_errors=True)
    again.mkdir()
    answer = perform(work.function, again, inputs, work.parameters)
    if answer.verdict == "done":
        print(f"{work.name}: done in {answer.seconds:.1f} s; its files are in {again}")
        return 0
    print(f"{answer.trace}\n{work.name}: {answer.error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
