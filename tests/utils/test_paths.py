"""Tests of file and folder utilities, and of atomic writes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain.filesystem.atomic import atomic_write, replace_symlink, sync_directory
from cfgtrain.utils.paths import (
    check_file_exist,
    find_vcs_root,
    fopen,
    is_filepath,
    mkdir_or_exist,
    scandir,
    symlink,
)


def read_files() -> dict[str, bytes]:
    """Return the files of the current folder and their content, hidden files included."""
    return {file.name: file.read_bytes() for file in Path().iterdir()}


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("old", [None, b"old"])
def test_atomic_write(kind: type, old: bytes | None) -> None:
    """A new file is created or an old one is replaced, and no other file is left."""
    if old is not None:
        Path("a.txt").write_bytes(old)
    with atomic_write(kind("a.txt")) as file:
        file.write(b"ne")
        file.write(b"w")
    assert read_files() == {"a.txt": b"new"}


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "☃" * 85, "a." * 127])
def test_longest_file_names(name: str) -> None:
    """The name of the temporary file is short enough for every valid file name."""
    with atomic_write(name) as file:
        file.write(b"x")
    assert read_files() == {name: b"x"}


def test_write_is_invisible_until_the_end() -> None:
    """While a file is written, readers see the old content."""
    Path("a.txt").write_bytes(b"old")
    with atomic_write("a.txt") as file:
        file.write(b"new" * 100_000)
        file.flush()
        assert Path("a.txt").read_bytes() == b"old"


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_exception_keeps_old_file(old: bytes | None, error: type[BaseException]) -> None:
    """If the block raises, the old file is kept and no temporary file is left."""
    if old is not None:
        Path("a.txt").write_bytes(old)
    before = read_files()
    with pytest.raises(error), atomic_write("a.txt") as file:
        file.write(b"half")
        raise error
    assert read_files() == before


@pytest.mark.parametrize("name", ["nowhere/a.txt", "file/a.txt"])
def test_error_contains_target_path(name: str) -> None:
    """If a file cannot be created, the error contains its path, not the temporary path."""
    Path("file").write_bytes(b"")
    with pytest.raises((FileNotFoundError, NotADirectoryError)) as caught, atomic_write(name):
        pass
    assert caught.value.filename == name


@pytest.mark.parametrize(
    ("owner", "name"), [(os, "fsync"), (Path, "replace"), (Path, "chmod")], ids=["fsync", "rename", "chmod"]
)
def test_failing_disk_keeps_old_file(owner: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If syncing or renaming fails, the error is raised, the old file is kept and no other is left."""

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    Path("a.txt").write_bytes(b"old")
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(OSError, match="No space left"), atomic_write("a.txt") as file:
        file.write(b"new")
    assert read_files() == {"a.txt": b"old"}


def test_sync_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced before it is renamed, and its folder afterwards."""
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        events.append("sync folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "sync file")
        fsync(descriptor)

    def note_rename(self: Path, target: Path) -> Path:
        events.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    with atomic_write("a.txt") as file:
        file.write(b"x")
    assert [event.split()[0] for event in events] == ["sync", "rename", "sync"]
    if Path("/proc/self/fd").exists():
        assert events == ["sync file", "rename", "sync folder"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_new_file_follows_umask(umask: int) -> None:
    """A new file has the permissions that open() would set."""
    before = os.umask(umask)
    try:
        with atomic_write("a.txt") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert Path("a.txt").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_replaced_file_keeps_permissions(mode: int) -> None:
    """A file that is replaced keeps its permissions."""
    Path("a.txt").touch()
    Path("a.txt").chmod(mode)
    with atomic_write("a.txt") as file:
        file.write(b"x")
    assert Path("a.txt").stat().st_mode & 0o777 == mode


def test_missing_folder() -> None:
    """atomic_write does not create folders: a misspelled path raises an error."""
    with pytest.raises(FileNotFoundError), atomic_write("nowhere/a.txt"):
        pass
    assert read_files() == {}


def test_folder_is_not_replaced() -> None:
    """If the path is a folder, it is kept and no temporary file is left."""
    Path("a.txt").mkdir()
    with pytest.raises(OSError, match=r"a\.txt"), atomic_write("a.txt") as file:
        file.write(b"x")
    assert [path.name for path in Path().iterdir()] == ["a.txt"]


def run_in_threads(*work: Callable[[], None]) -> None:
    """Run functions at the same time, each in its own thread."""
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_concurrent_writers() -> None:
    """Two threads that write one path at the same time leave one of the two files, complete."""
    barrier = threading.Barrier(2)

    def write(char: bytes) -> None:
        with atomic_write("a.txt") as file:
            file.write(char * 5000)
            barrier.wait(timeout=30)  # both files are incomplete now
            file.write(char * 5000)

    run_in_threads(lambda: write(b"a"), lambda: write(b"b"))
    assert read_files() in ({"a.txt": b"a" * 10_000}, {"a.txt": b"b" * 10_000})


@pytest.mark.parametrize("kind", [str, Path])
def test_mkdir_or_exist(kind: type) -> None:
    """A folder and its parents are created; an existing folder is left unchanged."""
    for _ in range(2):
        mkdir_or_exist(kind("a/b/c"))
    assert Path("a/b/c").is_dir()


def test_mkdir_of_empty_path() -> None:
    """The empty path, the folder of a bare file name, creates nothing."""
    mkdir_or_exist("")
    assert read_files() == {}


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading ~ is expanded to the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    mkdir_or_exist("~/a")
    assert (tmp_path / "a").is_dir()


def test_mkdir_of_existing_file() -> None:
    """If the path is an existing file, a FileExistsError is raised."""
    Path("a").touch()
    with pytest.raises(FileExistsError):
        mkdir_or_exist("a")


@pytest.mark.parametrize("leftover", [False, True])
def test_replace_symlink(leftover: bool, tmp_path: Path) -> None:
    """A link is created or replaced, even if a crash left a temporary link."""
    link = tmp_path / "latest"
    if leftover:
        (tmp_path / f".latest.{os.getpid()}.tmp").symlink_to("gone")
    for target in ("one", "two"):
        replace_symlink(link, target)
        assert str(link.readlink()) == target
    assert list(tmp_path.iterdir()) == [link]


def test_sync_of_missing_folder() -> None:
    """A folder that cannot be opened is ignored."""
    sync_directory(Path("nowhere"))
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(("x", "answer"), [("a", True), (Path("a"), True), (1, False), (None, False)])
def test_is_filepath(x: object, answer: bool) -> None:
    """A str and a Path are file paths."""
    assert is_filepath(x) is answer


@pytest.mark.parametrize("kind", [str, Path])
def test_fopen(kind: type) -> None:
    """Files are opened as by open; a path of another type raises a ValueError."""
    with fopen(kind("a.txt"), "w", encoding="utf-8") as file:
        file.write("ä")
    with fopen(kind("a.txt"), encoding="utf-8") as file:
        assert file.read() == "ä"
    with pytest.raises(ValueError, match="must be a str or a Path"):
        fopen(1)  # type: ignore[arg-type]


def test_check_file_exist() -> None:
    """A missing file or a folder raises an error, with a custom message if one is given."""
    Path("a.txt").touch()
    check_file_exist("a.txt")
    for missing in ("b.txt", Path()):
        with pytest.raises(FileNotFoundError, match=r'file "[^"]*" does not exist'):
            check_file_exist(missing)
    with pytest.raises(FileNotFoundError, match=r"no b\.txt"):
        check_file_exist("b.txt", "no {}")


def test_symlink() -> None:
    """A link is created, replaced, or protected from being replaced."""
    Path("a.txt").write_text("a")
    Path("b.txt").write_text("b")
    symlink("a.txt", "link")
    assert Path("link").read_text() == "a"
    symlink(Path("b.txt"), Path("link"))
    assert Path("link").read_text() == "b"
    with pytest.raises(FileExistsError):
        symlink("a.txt", "link", overwrite=False)
    assert Path("link").readlink() == Path("b.txt")


@pytest.fixture
def tree() -> None:
    """Create a folder to scan, with a cyclic link."""
    for name in ("1.json", "1.txt", "2.TXT", ".file", "sub/1.json", "sub/deep/3.txt", ".git/4.txt"):
        Path("scan", name).parent.mkdir(parents=True, exist_ok=True)
        Path("scan", name).touch()
    Path("scan/sub/up").symlink_to("..")


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, ["1.json", "1.txt", "2.TXT"]),
        ({"suffix": ".txt"}, ["1.txt"]),
        ({"suffix": ".TXT", "case_sensitive": False}, ["1.txt", "2.TXT"]),
        ({"suffix": (".json", ".TXT")}, ["1.json", "2.TXT"]),
        ({"recursive": True}, ["1.json", "1.txt", "2.TXT", "sub/1.json", "sub/deep/3.txt"]),
        ({"suffix": ".txt", "recursive": True}, ["1.txt", "sub/deep/3.txt"]),
    ],
)
def test_scandir(options: dict[str, Any], found: list[str], kind: type) -> None:
    """Paths are relative and sorted, hidden files are skipped, and no folder is searched twice."""
    assert list(scandir(kind("scan"), **options)) == found


@pytest.mark.parametrize(("folder", "suffix"), [(123, None), (".", 111), (".", [".txt"])])
def test_scandir_of_invalid_types(folder: Any, suffix: Any) -> None:
    """The TypeError is raised by the call itself, not by the iterator."""
    with pytest.raises(TypeError):
        scandir(folder, suffix)


def test_find_vcs_root() -> None:
    """The result is the nearest parent folder with a marker, or None."""
    Path("repo/a/b").mkdir(parents=True)
    Path("repo/.git").mkdir()
    Path("repo/a/b/file").touch()
    here = str(Path("repo").absolute())
    assert find_vcs_root("repo/a/b") == find_vcs_root(Path("repo")) == find_vcs_root("repo/a/b/file") == here
    assert find_vcs_root("repo/a", markers=(".hg",)) is None
