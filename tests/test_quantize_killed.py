"""The command, killed for good (SIGKILL) in the middle of a sharded checkpoint, and started again.

``benchmarks/stream.py`` does the same at random moments of an 8 GB one, and measures memory.
"""

from __future__ import annotations

import signal
from pathlib import Path

from benchmarks import stream


def test_killed_processes_leave_no_trace_in_the_bytes(work_dir: Path) -> None:
    source, out = work_dir / "source", work_dir / "out"
    stream.make_checkpoint(source, 6_000_000, seed=0, scale=32)
    assert len(list(source.glob("*.safetensors"))) >= 3
    stream.cost_map().save(work_dir / "costmap")
    arguments = [str(source), "--costmap", str(work_dir / "costmap"), *stream.OPTIONS, "--out"]
    assert stream.quantize([*arguments, str(work_dir / "whole")]).returncode == 0
    work = out / ".unfinished"
    moments = {
        "after some tensors": lambda _: len(list(work.glob("0*.safetensors"))) >= 9,
        "while shards are written": lambda _: any(work.glob("dense-model-00001*")),
        "while the int8 form is written": lambda _: any(work.glob("*int8-model-00001*")),
    }
    for moment, come in moments.items():
        killed = stream.quantize([*arguments, str(out)], come)
        assert killed.returncode == -signal.SIGKILL, moment
        assert not (out / "quantization.json").exists()
    assert stream.quantize([*arguments, str(out)]).returncode == 0
    assert stream.digests(out) == stream.digests(work_dir / "whole")
