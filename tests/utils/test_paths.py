"""Folders, and files that are written whole or not at all."""

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


def held() -> dict[str, bytes]:
    """Return the files of the current folder, hidden ones too."""
    return {file.name: file.read_bytes() for file in Path().iterdir()}


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_file_is_written(kind: type, old: bytes | None) -> None:
    """A new file appears, an old one is replaced, and nothing else is left."""
    if old is not None:
        Path("a.txt").write_bytes(old)
    with atomic_write(kind("a.txt")) as file:
        file.write(b"ne")
        file.write(b"w")
    assert held() == {"a.txt": b"new"}


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "☃" * 85, "a." * 127])
def test_a_name_as_long_as_names_may_be(name: str) -> None:
    """The temporary file has a shorter name, so that every name that the system takes is taken."""
    with atomic_write(name) as file:
        file.write(b"x")
    assert held() == {name: b"x"}


def test_nothing_is_seen_before_the_end() -> None:
    """While the file is written the old one is what readers see."""
    Path("a.txt").write_bytes(b"old")
    with atomic_write("a.txt") as file:
        file.write(b"new" * 100_000)
        file.flush()
        assert Path("a.txt").read_bytes() == b"old"


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file(old: bytes | None, error: type[BaseException]) -> None:
    """Whatever ends the writing, what was there stays and no temporary file does."""
    if old is not None:
        Path("a.txt").write_bytes(old)
    before = held()
    with pytest.raises(error), atomic_write("a.txt") as file:
        file.write(b"half")
        raise error
    assert held() == before


@pytest.mark.parametrize("name", ["nowhere/a.txt", "file/a.txt"])
def test_the_error_names_the_file_that_was_meant(name: str) -> None:
    """Where no file can be made, the error says which one was to be, not the temporary one."""
    Path("file").write_bytes(b"")
    with pytest.raises((FileNotFoundError, NotADirectoryError)) as caught, atomic_write(name):
        pass
    assert caught.value.filename == name


@pytest.mark.parametrize(
    ("owner", "name"), [(os, "fsync"), (Path, "replace"), (Path, "chmod")], ids=["fsync", "rename", "chmod"]
)
def test_a_failing_disk_leaves_the_old_file(
    owner: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When syncing or renaming fails the error comes through and the old file stays, alone."""

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    Path("a.txt").write_bytes(b"old")
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(OSError, match="No space left"), atomic_write("a.txt") as file:
        file.write(b"new")
    assert held() == {"a.txt": b"old"}


def test_the_bytes_are_on_disk_before_the_name_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced before it is renamed, and its folder after that."""
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
def test_a_new_file_follows_the_umask(umask: int) -> None:
    """A file that was not there has the permissions that open() would give it."""
    before = os.umask(umask)
    try:
        with atomic_write("a.txt") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert Path("a.txt").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_replaced_file_keeps_its_permissions(mode: int) -> None:
    """A file that is replaced has the permissions that the old one had."""
    Path("a.txt").touch()
    Path("a.txt").chmod(mode)
    with atomic_write("a.txt") as file:
        file.write(b"x")
    assert Path("a.txt").stat().st_mode & 0o777 == mode


def test_a_missing_folder_is_an_error() -> None:
    """The folder is not made: a path that is mistyped shows."""
    with pytest.raises(FileNotFoundError), atomic_write("nowhere/a.txt"):
        pass
    assert held() == {}


def test_a_folder_is_not_replaced() -> None:
    """Where a folder has the name, it stays and no temporary file does."""
    Path("a.txt").mkdir()
    with pytest.raises(OSError, match=r"a\.txt"), atomic_write("a.txt") as file:
        file.write(b"x")
    assert [path.name for path in Path().iterdir()] == ["a.txt"]


def together(*work: Callable[[], None]) -> None:
    """Run all of ``work`` at once, each in a thread of its own."""
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_writers_do_not_mix() -> None:
    """Two threads that write one path at the same time leave one of the two files, whole."""
    barrier = threading.Barrier(2)

    def write(char: bytes) -> None:
        with atomic_write("a.txt") as file:
            file.write(char * 5000)
            barrier.wait(timeout=30)  # both files are half written now
            file.write(char * 5000)

    together(lambda: write(b"a"), lambda: write(b"b"))
    assert held() in ({"a.txt": b"a" * 10_000}, {"a.txt": b"b" * 10_000})


@pytest.mark.parametrize("kind", [str, Path])
def test_folders_are_made(kind: type) -> None:
    """A folder and its parents are made, and one that is there is left alone."""
    for _ in range(2):
        mkdir_or_exist(kind("a/b/c"))
    assert Path("a/b/c").is_dir()


def test_the_empty_folder_is_here() -> None:
    """The folder of a bare file name is "", for which nothing is made."""
    mkdir_or_exist("")
    assert held() == {}


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading ~ is the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    mkdir_or_exist("~/a")
    assert (tmp_path / "a").is_dir()


def test_a_file_in_the_way_of_a_folder() -> None:
    """Where a file has the name of the folder, the error says so."""
    Path("a").touch()
    with pytest.raises(FileExistsError):
        mkdir_or_exist("a")


@pytest.mark.parametrize("leftover", [False, True])
def test_a_link_is_replaced(leftover: bool, tmp_path: Path) -> None:
    """A link is made or pointed elsewhere, even where a crash left a temporary one."""
    link = tmp_path / "latest"
    if leftover:
        (tmp_path / f".latest.{os.getpid()}.tmp").symlink_to("gone")
    for target in ("one", "two"):
        replace_symlink(link, target)
        assert str(link.readlink()) == target
    assert list(tmp_path.iterdir()) == [link]


def test_a_folder_that_cannot_be_synced_is_no_error() -> None:
    """Systems on which folders cannot be opened go without."""
    sync_directory(Path("nowhere"))
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(("x", "answer"), [("a", True), (Path("a"), True), (1, False), (None, False)])
def test_is_filepath(x: object, answer: bool) -> None:
    """A str or a Path names a file."""
    assert is_filepath(x) is answer


@pytest.mark.parametrize("kind", [str, Path])
def test_fopen(kind: type) -> None:
    """It opens as open does, and a number is a ValueError."""
    with fopen(kind("a.txt"), "w", encoding="utf-8") as file:
        file.write("ä")
    with fopen(kind("a.txt"), encoding="utf-8") as file:
        assert file.read() == "ä"
    with pytest.raises(ValueError, match="named by a str or a Path"):
        fopen(1)  # type: ignore[arg-type]


def test_check_file_exist() -> None:
    """A folder is no file, and the message may be another."""
    Path("a.txt").touch()
    check_file_exist("a.txt")
    for missing in ("b.txt", Path()):
        with pytest.raises(FileNotFoundError, match=r'file "[^"]*" does not exist'):
            check_file_exist(missing)
    with pytest.raises(FileNotFoundError, match=r"no b\.txt"):
        check_file_exist("b.txt", "no {}")


def test_links() -> None:
    """A link is made, replaced, or kept from being replaced."""
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
    """Make a folder to scan, with a link that leads in a circle."""
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
    """Files come relative and in order; what is hidden is passed over, and each folder is seen once."""
    assert list(scandir(kind("scan"), **options)) == found


@pytest.mark.parametrize(("folder", "suffix"), [(123, None), (".", 111), (".", [".txt"])])
def test_scandir_refuses_other_types(folder: Any, suffix: Any) -> None:
    """The TypeError comes at the call, not at the first file."""
    with pytest.raises(TypeError):
        scandir(folder, suffix)


def test_find_vcs_root() -> None:
    """The nearest folder above with a marker, or None."""
    Path("repo/a/b").mkdir(parents=True)
    Path("repo/.git").mkdir()
    Path("repo/a/b/file").touch()
    here = str(Path("repo").absolute())
    assert find_vcs_root("repo/a/b") == find_vcs_root(Path("repo")) == find_vcs_root("repo/a/b/file") == here
    assert find_vcs_root("repo/a", markers=(".hg",)) is None
