"""Works: done once, kept by content, tried again for a reason, and named where they fail."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_timing.errors import UsageError
from halo_timing.execution.environment import environment
from halo_timing.execution.executor import Outcome, open_executor
from halo_timing.execution.store import Store
from halo_timing.execution.work import Work
from halo_timing.files import sha256_file
from halo_timing.tools.opensta import find_opensta

PROBE = "halo_timing.execution.probe:probe"


@pytest.fixture()
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture()
def inputs(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "a file.txt"
    path.write_text("content")
    return {"sub/a file.txt": path}


def run(store: Store, works: list[Work], jobs: int = 1) -> tuple[dict[str, Outcome], list[str]]:
    said: list[str] = []
    with open_executor(jobs=jobs, store=store) as executor:
        return {outcome.work.name: outcome for outcome in executor.run(works, said.append)}, said


@pytest.fixture()
def fake_sta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let `sta` act out failures: it does what is in a file, and counts its runs in another."""
    real = find_opensta().path
    environment.cache_clear()
    acts = tmp_path / "acts"
    script = tmp_path / "sta"
    script.write_text(
        f'#!/bin/sh\n[ "$1" = -version ] && exec {real} -version\n'
        f"echo run >> '{tmp_path}/runs'\n. '{acts}'\nexec {real} \"$@\"\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("STA", str(script))
    yield acts
    environment.cache_clear()


def runs(tmp_path: Path) -> int:
    path = tmp_path / "runs"
    return len(path.read_text().split()) if path.exists() else 0


def test_a_work_is_done_once_and_its_files_are_verified(
    store: Store, inputs: dict[str, Path], tmp_path: Path
) -> None:
    works = [Work("one", PROBE, {"n": 1}, inputs), Work("same", PROBE, {"n": 1}, inputs)]
    first, _ = run(store, works)
    assert [outcome.error for outcome in first.values()] == [None, None]
    assert [outcome.reused for outcome in first.values()] == [False, True]
    outputs = first["one"].outputs
    assert outputs is not None
    assert list(outputs) == ["probe.json"]
    store.place(outputs, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert found["inputs"] == {"sub/a file.txt": sha256_file(inputs["sub/a file.txt"])}
    again, _ = run(store, works)
    assert all(outcome.reused and outcome.outputs == outputs for outcome in again.values())


def test_the_key_is_all_that_a_result_depends_on(inputs: dict[str, Path], tmp_path: Path) -> None:
    work = Work("a", PROBE, {"n": 1}, inputs)
    moved = tmp_path / "elsewhere"
    moved.write_text("content")
    assert Work("b", PROBE, {"n": 1}, {"sub/a file.txt": moved}).key == work.key
    assert Work("a", PROBE, {"n": 2}, inputs).key != work.key
    assert Work("a", PROBE, {"n": 1}, {"other": moved}).key != work.key
    moved.write_text("changed")
    assert Work("b", PROBE, {"n": 1}, {"sub/a file.txt": moved}).key != work.key


@pytest.mark.parametrize("damage", ["file", "cut", "gone", "record", "lying record", "escaping record"])
def test_what_is_damaged_in_the_store_counts_as_absent(damage: str, store: Store, tmp_path: Path) -> None:
    work, data = Work("one", PROBE), b'{"a": 1}' * 100
    digest = hashlib.sha256(data).hexdigest()
    store.put_bytes(data, digest)
    store.put(work, {"a.json": digest})
    assert store.find(work) == {"a.json": digest}
    file, record = store.path(digest), next((store.root / "made").rglob("*.json"))
    if damage == "file":
        file.write_bytes(data[:400] + b"x" + data[401:])
    elif damage == "cut":
        file.write_bytes(data[:10])
    elif damage == "gone":
        file.unlink()
    elif damage == "record":
        record.write_text(record.read_text()[:-20])
    else:
        document = json.loads(record.read_text())
        document["outputs"] = {"../../escaped" if damage == "escaping record" else "other.json": digest}
        record.write_text(json.dumps(document))
    assert store.find(work) is None
    if damage in ("file", "cut"):
        assert not file.exists()
        file.write_bytes(b"damaged after it was found")
        with pytest.raises(UsageError, match="damaged"):
            store.place({"a.json": digest}, tmp_path / "out")
        assert not list((tmp_path / "out").iterdir())


def test_what_is_damaged_in_the_store_is_made_again(store: Store) -> None:
    work = Work("one", PROBE)
    outputs = run(store, [work])[0]["one"].outputs
    assert outputs is not None
    store.path(outputs["probe.json"]).write_text("{}")
    outcome = run(store, [work])[0]["one"]
    assert (outcome.reused, outcome.outputs) == (False, outputs)
    assert store.open(outputs["probe.json"]).startswith(b"{")


def test_a_tool_that_crashes_is_tried_again_and_said(store: Store, fake_sta: Path, tmp_path: Path) -> None:
    fake_sta.write_text(f"[ $(wc -l < '{tmp_path}/runs') -lt 3 ] && kill -SEGV $$\n")
    outcomes, said = run(store, [Work("shaky", PROBE)])
    assert outcomes["shaky"].error is None
    assert runs(tmp_path) == 3
    assert [line for line in said if "SIGSEGV" in line and line.startswith("shaky: ")] == said
    assert ["attempt 2 of 3" in said[0], "attempt 3 of 3" in said[1]] == [True, True]


def test_a_process_that_dies_costs_its_own_work_alone(store: Store, fake_sta: Path, tmp_path: Path) -> None:
    # The tool's parent is the process that does the work.
    fake_sta.write_text(f"[ $(wc -l < '{tmp_path}/runs') -lt 2 ] && kill -KILL $PPID && sleep 9\n")
    outcomes, said = run(store, [Work(f"w{n}", PROBE, {"n": n}) for n in range(3)])
    assert [outcome.error for outcome in outcomes.values()] == [None] * 3
    assert said == ["w0: its process was ended by SIGKILL; attempt 2 of 3"]


def test_wrong_input_is_not_tried_again_and_the_others_go_on(
    store: Store, fake_sta: Path, tmp_path: Path, inputs: dict[str, Path]
) -> None:
    fake_sta.write_text("echo 'Error: library_0.lib is no Liberty file'; exit 0\n")
    wrong = Work("folder/wrong: $(touch x)", PROBE, {"n": 1}, inputs)
    missing_parameter = Work("other", "halo_timing.execution.probe:no_such_function")
    outcomes, said = run(store, [wrong, missing_parameter])
    assert runs(tmp_path) == 1
    assert said == []
    error = outcomes[wrong.name].error or ""
    assert "no Liberty file" in error
    assert "attempts" not in error
    folder = Path(error.rpartition(" ")[2])
    assert folder.parent == store.root / "failed"
    assert (folder / "inputs" / "sub" / "a file.txt").read_text() == "content"
    assert "Error: library_0.lib" in (folder / "left" / "logs" / "sta.log").read_text()
    assert "Traceback" in (folder / "error.txt").read_text()
    assert "no_such_function" in (outcomes["other"].error or "")
    # The folder does it again, with the same end; and a good one once the tool is good.
    command = [sys.executable, "-m", "halo_timing.execution", str(folder)]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "no Liberty file" in again.stderr
    fake_sta.write_text("")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert run(store, [wrong])[0][wrong.name].error is None
    assert not folder.exists()


def test_an_interrupt_stops_what_runs(store: Store, fake_sta: Path, tmp_path: Path) -> None:
    fake_sta.write_text("sleep 60\n")
    code = (
        "from pathlib import Path; from halo_timing.execution.executor import open_executor\n"
        # Tests that run in the background of a shell inherit that interrupts are ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from halo_timing.execution.store import Store; from halo_timing.execution.work import Work\n"
        "def main():\n"
        f"    with open_executor(jobs=1, store=Store(Path({str(store.root)!r}))) as executor:\n"
        f"        list(executor.run([Work('slow', {PROBE!r})]))\n"
        "if __name__ == '__main__': main()\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    for sent in (signal.SIGINT, signal.SIGKILL):
        (tmp_path / "runs").unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not runs(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, sent)
        process.wait(timeout=20)
        while _alive(tmp_path / "sta") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _alive(tmp_path / "sta"), sent


def _alive(program: Path) -> bool:
    listed = subprocess.run(["pgrep", "-f", str(program)], capture_output=True, check=False)
    return listed.returncode == 0


def test_a_full_disk_is_one_clear_error_and_nothing_half(store: Store) -> None:
    work = Work("one", PROBE)
    run(store, [work])
    whole = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    store.root.parent.joinpath("blocked").mkdir()
    blocked = Store(store.root.parent / "blocked")
    (blocked.root / "files").write_text("a file where a folder has to be")
    with pytest.raises(UsageError, match=r"the cache cannot be written.*HALO_TIMING_CACHE"):
        run(blocked, [work])
    assert not list(blocked.root.rglob("*.part"))
    assert {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()} == whole


@pytest.mark.parametrize(
    "function", ["os:system", "halo_timing.errors", "halo_timing.a:b; c", "halo_timing..x:y"]
)
def test_only_functions_of_this_package_are_called(function: str) -> None:
    with pytest.raises(UsageError, match="no function of halo_timing"):
        Work("a", function)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "a\nb", "", "a\\b", "c:x"])
def test_file_names_stay_in_their_folder(name: str, store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name of a file"):
        Work("a", PROBE, {}, {name: tmp_path / "x"})
    with pytest.raises(UsageError, match="no name of a file"):
        store.place({name: "0" * 64}, tmp_path / "out")
