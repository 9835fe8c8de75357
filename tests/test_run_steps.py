"""Steps: made once, remade when something changed, whole or absent whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from halo_timing.errors import UsageError
from halo_timing.files import atomic_path, sha256_file, write_text
from halo_timing.run.steps import Step, execute, remove_leftovers


class Counter:
    def __init__(self, content: str = "x") -> None:
        self.runs, self.content = 0, content

    def __call__(self, folder: Path) -> None:
        self.runs += 1
        write_text(folder / "sub" / "file.txt", self.content)


def test_a_step_is_made_once(tmp_path: Path) -> None:
    action = Counter()
    first = execute(Step("a", {"option": 1}, action), tmp_path)
    again = execute(Step("a", {"option": 1}, action), tmp_path)
    assert (action.runs, first.reused, again.reused) == (1, False, True)
    assert again.digest == first.digest
    assert first.outputs == {"sub/file.txt": sha256_file(tmp_path / "sub" / "file.txt")}


@pytest.mark.parametrize("change", ["input", "content", "deleted", "record"])
def test_a_step_is_remade_when_something_changed(change: str, tmp_path: Path) -> None:
    action = Counter()
    execute(Step("a", {"option": 1}, action), tmp_path)
    option = 1
    if change == "input":
        option = 2
    elif change == "content":
        (tmp_path / "sub" / "file.txt").write_text("tampered")
    elif change == "deleted":
        (tmp_path / "sub" / "file.txt").unlink()
    else:
        (tmp_path / ".steps" / "a.json").write_text("{")
    execute(Step("a", {"option": option}, action), tmp_path)
    assert action.runs == 2
    assert (tmp_path / "sub" / "file.txt").read_text() == "x"


def test_a_failing_step_leaves_the_good_result(tmp_path: Path) -> None:
    execute(Step("a", {"option": 1}, Counter("good")), tmp_path)

    def fail(folder: Path) -> None:
        write_text(folder / "sub" / "file.txt", "half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        execute(Step("a", {"option": 2}, fail), tmp_path)
    assert (tmp_path / "sub" / "file.txt").read_text() == "good"
    assert not list(tmp_path.glob(".making-*"))
    assert execute(Step("a", {"option": 1}, Counter()), tmp_path).reused


def test_an_in_place_step_owns_its_folder(tmp_path: Path) -> None:
    def action(folder: Path) -> None:
        write_text(folder / "model" / "w.bin", "w")

    record = execute(Step("model", {}, action, in_place=True), tmp_path)
    assert list(record.outputs) == ["model/w.bin"]
    assert execute(Step("model", {}, action, in_place=True), tmp_path).reused


def test_leftovers_of_a_killed_run_go(tmp_path: Path) -> None:
    (tmp_path / ".making-abc").mkdir()
    (tmp_path / ".making-abc" / "half").write_text("x")
    (tmp_path / ".manifest.json.x1y2.part").write_text("x")
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file.*choose another --out"):
        execute(Step("a", {}, Counter()), tmp_path / "file" / "out")


def test_atomic_files_are_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    write_text(path, "old")

    def half(part: Path) -> None:
        part.write_text("ne")
        raise RuntimeError

    def through(action: Callable[[Path], None]) -> None:
        with atomic_path(path) as part:
            action(part)

    with pytest.raises(RuntimeError):
        through(half)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.json"]
    through(lambda part: part.write_text("new") and None)
    assert path.read_text() == "new"
    assert json.dumps(oct(path.stat().st_mode & 0o777)) == '"0o644"'
