"""One small run as a command of its own: started, killed, and its results compared."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import stream
from halo_timing.execution.environment import environment, sources_digest
from halo_timing.files import sha256_file, sha256_json
from halo_timing.wheels import cache_dir

WIDTHS = "WEIGHT_WIDTH=4,ACTIVATION_WIDTH=4,ACCUMULATOR_WIDTH=12"
CONFIG = {"mac": f"array:{WIDTHS}", "reference": []}
#: Steps in the order in which they are made, and the file that says that one is.
STEPS = (
    "netlist",
    "tables",
    "dynamic",
    "weights",
    "costmap",
    "model",
    "report",
)
RUN_LIMIT_S = 3600


@dataclass(frozen=True)
class Ended:
    """One command: how it ended and what it said."""

    returncode: int
    seconds: float
    stderr: str

    @property
    def killed(self) -> bool:
        return self.returncode == -signal.SIGKILL


class Place:
    """Folder of a campaign: configuration, model, cache, and the results that all others have to equal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.config = self.folder / "run.toml"
        self.whole = self.folder / "whole"
        checkpoint = self.folder / "checkpoint"
        if not (checkpoint / "config.json").exists():
            shutil.rmtree(checkpoint, ignore_errors=True)
            stream.make_checkpoint(checkpoint, 2_000_000, seed=0, scale=64)
        options = {**CONFIG, "model": str(checkpoint)}
        self.config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items()))

    def cache(self, name: str = "cache") -> Path:
        """Cache folder of the campaign's own, with the PDK in it."""
        folder = self.folder / name
        if not (folder / "pdk").exists():
            shutil.copytree(cache_dir() / "pdk" / "nangate45", folder / "pdk" / "nangate45")
        return folder

    def command(self, out: Path, *options: str) -> list[str]:
        return [sys.executable, "-m", "halo_timing", "run", str(self.config), "--out", str(out), *options]

    def run(
        self,
        out: Path,
        *options: str,
        cache: Path | None = None,
        is_time_to_kill: Callable[[float], bool] = lambda _seconds: False,
        before: Sequence[str] = (),
        environment: Mapping[str, str] = {},
    ) -> Ended:
        """Run the command in a group of its own; SIGKILL the group when told to."""
        start = time.monotonic()
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [*before, *self.command(out, *options)],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, "HALO_TIMING_CACHE": str(cache or self.cache()), **environment},
            )
            try:
                while process.poll() is None:
                    seconds = time.monotonic() - start
                    if seconds > RUN_LIMIT_S or is_time_to_kill(seconds):
                        os.killpg(process.pid, signal.SIGKILL)
                    time.sleep(0.005)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            errors.seek(0)
            said = errors.read().decode(errors="replace")
        return Ended(process.returncode, time.monotonic() - start, said)

    def make_whole(self) -> dict[str, str]:
        """Results of the undisturbed run, made once for these sources."""
        made_by, sources = self.folder / "sources.txt", sha256_json([dict(environment()), sources_digest()])
        if not made_by.exists() or made_by.read_text() != sources:
            # Other code may give other netlists, which is no fault.
            shutil.rmtree(self.whole, ignore_errors=True)
            made_by.write_text(sources)
        if not (self.whole / "manifest.json").exists():
            ended = self.run(self.whole, "-j", "1")
            if ended.returncode:
                sys.exit(ended.stderr)
        return results(self.whole)


def results(folder: Path) -> dict[str, str]:
    """Hash of every file that is a result: not of logs, nor of the records' and the manifest's times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and "logs" not in parts and ".steps" not in parts:
            found["/".join(parts)] = sha256_file(path)
    found.pop("manifest.json", None)
    return found


def seconds_of_steps(folder: Path) -> dict[str, float]:
    steps = json.loads((folder / "manifest.json").read_text())["steps"]
    return {step["name"]: step["seconds"] for step in steps}


def steps_made(out: Path) -> set[str]:
    return {path.stem for path in out.glob(".steps/*.json")}


def step_at(out: Path) -> str:
    """Step that a run killed now was making: the first that is not made."""
    made = steps_made(out)
    return next((step for step in STEPS if step not in made), "manifest")


def is_clear_error(ended: Ended) -> bool:
    """One message, no traceback, the exit status of an error that was foreseen."""
    messages = [line for line in ended.stderr.splitlines() if line.startswith("halo-timing: ")]
    return ended.returncode in (1, 2) and len(messages) == 1 and "Traceback" not in ended.stderr


def same(out: Path, expected: Mapping[str, str], what: str) -> None:
    found = results(out)
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if wrong:
        raise AssertionError(f"{what}: other bytes in {', '.join(wrong)}; see {out}")
