"""Tests of the disk backend."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cfgtrain.errors import ArgumentTypeError, BackendError
from cfgtrain.fileio.backends import HardDiskBackend

DISK = HardDiskBackend()


def list_files() -> list[str]:
    """Return everything below the current folder, hidden files included."""
    return sorted(str(path) for path in Path().rglob("*"))


@pytest.fixture
def tree() -> Path:
    """Create folders with files and subfolders."""
    for name in ("dir1/text3.txt", "dir2/img.jpg", "dir2/dir3/text4.txt", "text1.txt", "text2.txt"):
        Path("tree", name).parent.mkdir(parents=True, exist_ok=True)
        Path("tree", name).write_text(name)
    return Path("tree")


@pytest.mark.parametrize("kind", [str, Path])
def test_bytes_and_text(kind: type) -> None:
    """What is written can be read until it is removed; missing folders are created."""
    path = kind("new/folder/ä ☃.bin")
    DISK.put(b"a\r\n\x00", path)
    assert DISK.get(path) == b"a\r\n\x00"
    assert (DISK.exists(path), DISK.isfile(path), DISK.isdir(path)) == (True, True, False)
    DISK.put_text("ä\r\n", path, "latin-1")
    assert DISK.get(path) == b"\xe4\r\n"
    assert DISK.get_text(path, "latin-1") == "ä\n"
    DISK.put_text("ä", path)
    assert DISK.get_text(path) == "ä"
    assert (DISK.exists("new"), DISK.isfile("new"), DISK.isdir(kind("new"))) == (True, False, True)
    DISK.remove(path)
    assert not DISK.exists(path)
    assert list_files() == ["new", "new/folder"]


def test_local_path_is_the_path_itself() -> None:
    """Nothing is copied, and the file is not removed."""
    Path("a").touch()
    path = Path("a")
    with DISK.get_local_path(path) as local:
        assert local is path
    assert path.exists()


def test_file_uris(tmp_path: Path) -> None:
    """``file://`` with an absolute path is supported; the URI of another machine raises an error."""
    uri = (tmp_path / "a b.txt").as_uri()
    DISK.put(b"x", uri)
    assert list_files() == ["a b.txt"]
    assert DISK.get(uri) == b"x"
    assert DISK.get(uri.replace("file://", "file://localhost")) == b"x"
    with DISK.get_local_path(uri) as local:
        assert local == str(tmp_path / "a b.txt")
    with pytest.raises(BackendError, match="three slashes"):
        DISK.get("file://a/b.txt")


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading ~ is expanded to the home folder by every method."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    DISK.put(b"x", "~/a")
    assert list_files() == ["home", "home/a"]
    assert DISK.exists("~/a")
    assert list(DISK.list_dir_or_file("~")) == ["a"]
    assert DISK.join_path("~", "a", Path("b")) == "~/a/b"


@pytest.mark.parametrize("call", [DISK.get, DISK.get_text, DISK.remove, lambda path: DISK.put(b"", path)])
def test_empty_path(call: Any) -> None:
    """An empty path does not exist."""
    with pytest.raises(FileNotFoundError):
        call("")
    assert not DISK.exists("")
    assert list_files() == []


@pytest.mark.parametrize("path", [None, 3, b"a", ["a"]])
def test_invalid_path(path: Any) -> None:
    """A path that is neither a str nor a Path raises an error."""
    for call in (DISK.get, DISK.exists, lambda path: DISK.put(b"", path)):
        with pytest.raises(ArgumentTypeError, match="str or a Path"):
            call(path)


# ------------------------------------------------------------------------- atomic writes


def test_incomplete_file_is_never_visible() -> None:
    """While a file is overwritten, readers see the old content or the new content."""
    contents = [bytes([letter]) * 300_000 for letter in b"ab"]
    DISK.put(contents[0], "a")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for content in contents:
                DISK.put(content, "a")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert {DISK.get("a") for _ in range(30)} <= set(contents)
    finally:
        stop.set()
        writer.join()


def test_concurrent_writes_leave_one_complete_file() -> None:
    """Two processes that dump to one file at the same time leave one complete file, and nothing else."""
    code = (
        "import sys, time; from cfgtrain import dump\n"
        "print(flush=True); sys.stdin.readline()\n"  # until both are running
        "for _ in range(20): dump([int(sys.argv[1])] * 50_000, 'new/a.json')"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for n in (1, 2)
    ]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    for process in both:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.communicate()[0] is not None and process.returncode for process in both] == [0, 0]
    assert list_files() == ["new", "new/a.json"]
    assert DISK.get("new/a.json") in [str([n] * 50_000).encode() for n in (1, 2)]


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [(os, "fsync", 28), (Path, "replace", 28), (Path, "open", 13)],
    ids=["full disk", "full disk at the end", "no permission"],
)
def test_failed_write(
    owner: Any, name: str, number: int, old: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or a missing permission raises an error, and the old file is kept."""
    if old is not None:
        Path("a").write_bytes(old)
    before = list_files()

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        with pytest.raises(OSError, match=os.strerror(number)):
            DISK.put(b"new", "a")
    assert list_files() == before
    assert old is None or Path("a").read_bytes() == old


def test_full_disk() -> None:
    """If a file exceeds the size limit of the process, the old file is kept and no temporary file is left."""
    code = (
        "import resource, signal; from cfgtrain import dump, load\n"
        "dump('old', 'a.json')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: dump('x' * 2000, 'a.json')\n"
        "except OSError as error: print(error, *error.__notes__)\n"
        "print(load('a.json'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[Errno 27] File too large while writing a.json\nold\n"
    assert list_files() == ["a.json"]


def test_missing_permissions(tmp_path: Path) -> None:
    """Files in a folder without permissions can be neither written nor read nor removed."""
    DISK.put(b"old", "a/b.json")
    Path("a/b.json").chmod(0o000)
    Path("a").chmod(0o555)
    tmp_path.chmod(0o755)
    code = (
        "import os; from cfgtrain import FileClient; client = FileClient()\n"
        "if os.geteuid() == 0: os.setuid(65534)  # root may write everywhere\n"
        "for call in (lambda: client.put(b'new', 'a/b.json'), lambda: client.put(b'new', 'a/c/d.json'),\n"
        "             lambda: client.get('a/b.json'), lambda: client.remove('a/b.json')):\n"
        "    try: call(); print('allowed')\n"
        "    except PermissionError: print('denied')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["denied"] * 4
    assert list_files() == ["a", "a/b.json"]


def test_links_are_kept() -> None:
    """Writing to a link writes its target, whether the target exists or not."""
    Path("far").mkdir()
    Path("far/a").write_bytes(b"old")
    Path("a").symlink_to("far/a")
    Path("b").symlink_to("far/new/b")
    DISK.put(b"new", "a")
    DISK.put(b"new", "b")
    assert (Path("a").is_symlink(), Path("far/a").read_bytes()) == (True, b"new")
    assert (Path("b").is_symlink(), Path("far/new/b").read_bytes()) == (True, b"new")


def test_devices_and_pipes_are_kept(tmp_path: Path) -> None:
    """A pipe or device is written to, not replaced by a file."""
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        DISK.put(b"x", "pipe")
        assert os.read(reader, 10) == b"x"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    DISK.put(b"x", os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)  # noqa: PTH116  # os.devnull is a str
    with pytest.raises(IsADirectoryError):
        DISK.put(b"x", tmp_path)


# ------------------------------------------------------------------------- folders


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ({}, "dir1 dir2 text1.txt text2.txt"),
        (
            {"recursive": True},
            "dir1 dir1/text3.txt dir2 dir2/dir3 dir2/dir3/text4.txt dir2/img.jpg text1.txt text2.txt",
        ),
        ({"list_file": False}, "dir1 dir2"),
        ({"list_file": False, "recursive": True}, "dir1 dir2 dir2/dir3"),
        ({"list_dir": False}, "text1.txt text2.txt"),
        ({"list_dir": False, "suffix": ".txt"}, "text1.txt text2.txt"),
        ({"list_dir": False, "suffix": ".jpg", "recursive": True}, "dir2/img.jpg"),
        (
            {"list_dir": False, "suffix": (".txt", ".jpg"), "recursive": True},
            "dir1/text3.txt dir2/dir3/text4.txt dir2/img.jpg text1.txt text2.txt",
        ),
        ({"list_dir": False, "list_file": False, "recursive": True}, ""),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_list_dir_or_file(kind: type, args: dict[str, Any], found: str, tree: Path) -> None:
    """Entries are sorted by name, and can be filtered by kind and suffix."""
    assert list(DISK.list_dir_or_file(kind(tree), **args)) == found.split()


def test_hidden_entries_are_skipped(tree: Path) -> None:
    """Entries that begin with a dot are neither listed nor searched."""
    (tree / ".git").mkdir()
    (tree / ".git/config.txt").touch()
    (tree / ".hidden.txt").touch()
    assert not any(
        ".git" in name or ".hidden" in name for name in DISK.list_dir_or_file(tree, recursive=True)
    )


def test_cyclic_links(tree: Path) -> None:
    """A link to a folder is followed unless the folder is one of its own parents."""
    (tree / "dir1/up").symlink_to("..")
    (tree / "dir1/other").symlink_to("../dir2")
    (tree / "dir1/broken").symlink_to("nowhere")
    found = list(DISK.list_dir_or_file(tree / "dir1", recursive=True))
    assert found[:2] == ["broken", "other"]
    assert "other/dir3/text4.txt" in found
    assert "up/dir2/dir3/text4.txt" in found
    assert not any("up/dir1/up" in name for name in found)


def test_invalid_list_arguments(tree: Path) -> None:
    """A suffix together with list_dir, or of the wrong type, raises an error in the call itself."""
    with pytest.raises(TypeError, match="`suffix` should be None when `list_dir` is True"):
        DISK.list_dir_or_file(tree, suffix=".txt")
    with pytest.raises(TypeError, match="`suffix` must be a string or tuple of strings"):
        DISK.list_dir_or_file(tree, list_dir=False, suffix=[".txt"])  # type: ignore[arg-type]


def test_missing_folder() -> None:
    """Listing a missing folder, or a file, raises an error."""
    Path("a").touch()
    for name, kind in (("b", FileNotFoundError), ("a", NotADirectoryError)):
        with pytest.raises(kind):
            list(DISK.list_dir_or_file(name))
