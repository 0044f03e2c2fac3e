"""Files on this machine."""

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


def held() -> list[str]:
    """Return what is below the current folder, hidden files too."""
    return sorted(str(path) for path in Path().rglob("*"))


@pytest.fixture
def tree() -> Path:
    """Make folders that hold files, folders, hidden ones and links."""
    for name in ("dir1/text3.txt", "dir2/img.jpg", "dir2/dir3/text4.txt", "text1.txt", "text2.txt"):
        Path("tree", name).parent.mkdir(parents=True, exist_ok=True)
        Path("tree", name).write_text(name)
    return Path("tree")


@pytest.mark.parametrize("kind", [str, Path])
def test_bytes_and_text(kind: type) -> None:
    """What is put is what is got, under folders that are made, until it is removed."""
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
    assert held() == ["new", "new/folder"]


def test_the_local_path_is_the_path() -> None:
    """Nothing is copied, and the file stays."""
    Path("a").touch()
    path = Path("a")
    with DISK.get_local_path(path) as local:
        assert local is path
    assert path.exists()


def test_uris_of_files(tmp_path: Path) -> None:
    """``file://`` and the whole path is a path; another machine is none."""
    uri = (tmp_path / "a b.txt").as_uri()
    DISK.put(b"x", uri)
    assert held() == ["a b.txt"]
    assert DISK.get(uri) == b"x"
    assert DISK.get(uri.replace("file://", "file://localhost")) == b"x"
    with DISK.get_local_path(uri) as local:
        assert local == str(tmp_path / "a b.txt")
    with pytest.raises(BackendError, match="three slashes"):
        DISK.get("file://a/b.txt")


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading ~ is the home folder, for every method."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    DISK.put(b"x", "~/a")
    assert held() == ["home", "home/a"]
    assert DISK.exists("~/a")
    assert list(DISK.list_dir_or_file("~")) == ["a"]
    assert DISK.join_path("~", "a", Path("b")) == "~/a/b"


@pytest.mark.parametrize("call", [DISK.get, DISK.get_text, DISK.remove, lambda path: DISK.put(b"", path)])
def test_the_empty_path(call: Any) -> None:
    """The path of no letters is no file."""
    with pytest.raises(FileNotFoundError):
        call("")
    assert not DISK.exists("")
    assert held() == []


@pytest.mark.parametrize("path", [None, 3, b"a", ["a"]])
def test_what_is_no_path(path: Any) -> None:
    """A path is a str or a Path."""
    for call in (DISK.get, DISK.exists, lambda path: DISK.put(b"", path)):
        with pytest.raises(ArgumentTypeError, match="str or a Path"):
            call(path)


# ------------------------------------------------------------------------- whole or not at all


def test_half_a_file_is_never_seen() -> None:
    """While bytes are written over a file, readers see the old ones or the new ones."""
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


def test_two_processes_leave_one_whole_file() -> None:
    """Two processes that dump to one file at the same time leave the file of one of them, and nothing else."""
    code = (
        "import sys, time; from cfgtrain import dump\n"
        "print(flush=True); sys.stdin.readline()\n"  # until both are there
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
    assert held() == ["new", "new/a.json"]
    assert DISK.get("new/a.json") in [str([n] * 50_000).encode() for n in (1, 2)]


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [(os, "fsync", 28), (Path, "replace", 28), (Path, "open", 13)],
    ids=["full disk", "full disk at the end", "no permission"],
)
def test_a_write_that_fails(
    owner: Any, name: str, number: int, old: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or a missing permission is told, and what was there stays alone."""
    if old is not None:
        Path("a").write_bytes(old)
    before = held()

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        with pytest.raises(OSError, match=os.strerror(number)):
            DISK.put(b"new", "a")
    assert held() == before
    assert old is None or Path("a").read_bytes() == old


def test_a_disk_that_is_really_full() -> None:
    """With a limit on the size of files the old file stays, and no temporary one does."""
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
    assert held() == ["a.json"]


def test_a_folder_that_is_really_forbidden(tmp_path: Path) -> None:
    """In a folder that may not be written to nothing is, and what may not be read is not."""
    DISK.put(b"old", "a/b.json")
    Path("a/b.json").chmod(0o000)
    Path("a").chmod(0o555)
    tmp_path.chmod(0o755)
    code = (
        "import os; from cfgtrain import FileClient; client = FileClient()\n"
        "if os.geteuid() == 0: os.setuid(65534)  # nothing is forbidden to the superuser\n"
        "for call in (lambda: client.put(b'new', 'a/b.json'), lambda: client.put(b'new', 'a/c/d.json'),\n"
        "             lambda: client.get('a/b.json'), lambda: client.remove('a/b.json')):\n"
        "    try: call(); print('allowed')\n"
        "    except PermissionError: print('denied')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["denied"] * 4
    assert held() == ["a", "a/b.json"]


def test_links_are_written_through() -> None:
    """A link stays a link, to a file that is there or is not yet."""
    Path("far").mkdir()
    Path("far/a").write_bytes(b"old")
    Path("a").symlink_to("far/a")
    Path("b").symlink_to("far/new/b")
    DISK.put(b"new", "a")
    DISK.put(b"new", "b")
    assert (Path("a").is_symlink(), Path("far/a").read_bytes()) == (True, b"new")
    assert (Path("b").is_symlink(), Path("far/new/b").read_bytes()) == (True, b"new")


def test_devices_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    """What is no file is written to, not replaced by one."""
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
def test_a_folder_is_listed(kind: type, args: dict[str, Any], found: str, tree: Path) -> None:
    """Folders and files are listed by name, and can be left out by kind and by ending."""
    assert list(DISK.list_dir_or_file(kind(tree), **args)) == found.split()


def test_hidden_entries_are_left_out(tree: Path) -> None:
    """What begins with a dot is neither listed nor entered."""
    (tree / ".git").mkdir()
    (tree / ".git/config.txt").touch()
    (tree / ".hidden.txt").touch()
    assert not any(
        ".git" in name or ".hidden" in name for name in DISK.list_dir_or_file(tree, recursive=True)
    )


def test_links_in_a_circle_come_to_an_end(tree: Path) -> None:
    """A link to a folder is entered unless one is in that folder already."""
    (tree / "dir1/up").symlink_to("..")
    (tree / "dir1/other").symlink_to("../dir2")
    (tree / "dir1/broken").symlink_to("nowhere")
    found = list(DISK.list_dir_or_file(tree / "dir1", recursive=True))
    assert found[:2] == ["broken", "other"]
    assert "other/dir3/text4.txt" in found
    assert "up/dir2/dir3/text4.txt" in found
    assert not any("up/dir1/up" in name for name in found)


def test_arguments_that_do_not_fit(tree: Path) -> None:
    """A suffix for folders, or one that is no text, is an error at once, not on the first item."""
    with pytest.raises(TypeError, match="`suffix` should be None when `list_dir` is True"):
        DISK.list_dir_or_file(tree, suffix=".txt")
    with pytest.raises(TypeError, match="`suffix` must be a string or tuple of strings"):
        DISK.list_dir_or_file(tree, list_dir=False, suffix=[".txt"])  # type: ignore[arg-type]


def test_a_folder_that_is_not_there() -> None:
    """A missing folder, and a file, is an error."""
    Path("a").touch()
    for name, kind in (("b", FileNotFoundError), ("a", NotADirectoryError)):
        with pytest.raises(kind):
            list(DISK.list_dir_or_file(name))
