from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import cfgtrain
from cfgtrain.errors import CfgTrainError
from cfgtrain.video import Cache, VideoReader, frames2video

NUM_FRAMES = 60
SIZE = (48, 32)


def frame(i: int) -> np.ndarray:
    """Return the frame with an index: six bars, black or white as the bits of the index."""
    bits = np.array([i >> bit & 1 for bit in range(6)], np.uint8) * 255
    return np.tile(np.repeat(bits, SIZE[0] // 6)[None, :, None], (SIZE[1], 1, 3))


def index_of(img: np.ndarray | None) -> int:
    """Return the index of a frame of the test video."""
    assert img is not None
    assert img.shape == (SIZE[1], SIZE[0], 3)
    assert img.dtype == np.uint8
    bars = img.mean(axis=(0, 2)).reshape(6, -1).mean(axis=1)
    return sum(int(bar > 127) << bit for bit, bar in enumerate(bars))


def write_video(path: Path, fourcc: str, num_frames: int = NUM_FRAMES) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), 25, SIZE)
    assert writer.isOpened()
    for i in range(num_frames):
        writer.write(frame(i))
    writer.release()
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Videos of which every frame is a key frame (MJPG), and of which only some are (mp4v)."""
    folder = tmp_path_factory.mktemp("videos")
    return {"MJPG": write_video(folder / "a b.avi", "MJPG"), "mp4v": write_video(folder / "b.mp4", "mp4v")}


@pytest.fixture
def video_file(videos: dict[str, Path]) -> Path:
    return videos["MJPG"]


def test_cache() -> None:
    """A full cache replaces its oldest item, and adding an item with an existing key changes nothing."""
    cache = Cache(3)
    assert (cache.capacity, cache.size) == (3, 0)
    for key in range(3):
        cache.put(f"k{key}", key)
    cache.put("k0", 9)
    assert [cache.get(f"k{key}") for key in range(3)] == [0, 1, 2]
    cache.put("k3", 3)
    assert cache.size == 3
    assert cache.get("k0") is None
    assert cache.get("k0", "default") == "default"
    assert [cache.get(f"k{key}") for key in range(1, 4)] == [1, 2, 3]


@pytest.mark.parametrize("capacity", [0, -1, 1.5])
def test_wrong_capacity(capacity: Any) -> None:
    """The capacity of a cache is a positive integer."""
    with pytest.raises(ValueError, match="capacity"):
        Cache(capacity)


@pytest.mark.parametrize("fourcc", ["MJPG", "mp4v"])
def test_properties(videos: dict[str, Path], fourcc: str) -> None:
    """The properties of the video are those that it was written with; the path is a str or a Path."""
    for path in (videos[fourcc], str(videos[fourcc])):
        with VideoReader(path) as video:
            assert (video.width, video.height, video.resolution) == (*SIZE, SIZE)
            assert video.fps == 25
            assert video.frame_cnt == len(video) == NUM_FRAMES
            assert video.fourcc == {"MJPG": "MJPG", "mp4v": "FMP4"}[fourcc]
            assert video.opened
            assert isinstance(video.vcap, cv2.VideoCapture)
            assert video.position == 0
        assert not video.opened


def test_sequential_reading(video_file: Path) -> None:
    """Frames are read one after the other, and None at the end; the current frame is the last one read."""
    video = VideoReader(video_file)
    assert video.current_frame() is None
    for i in range(NUM_FRAMES):
        assert index_of(video.read()) == i
        assert video.position == i + 1
        assert index_of(video.current_frame()) == i
        assert video.position == i + 1
    assert video.read() is None
    assert video.position == NUM_FRAMES
    assert index_of(video.current_frame()) == NUM_FRAMES - 1


@pytest.mark.parametrize("fourcc", ["MJPG", "mp4v"])
@pytest.mark.parametrize("capacity", [1, 10])
def test_random_access(videos: dict[str, Path], fourcc: str, capacity: int) -> None:
    """The frame with an index is the same one in whatever order frames are read."""
    video = VideoReader(videos[fourcc], cache_capacity=capacity)
    order = np.random.default_rng(0).permutation(NUM_FRAMES).tolist()
    for i in [0, 59, 58, 3, 4, 5, 4, 40, *order]:
        assert index_of(video.get_frame(i)) == i
        assert video.position == i + 1
        if i < NUM_FRAMES - 1:
            assert index_of(video.read()) == i + 1
        assert index_of(video.current_frame()) == min(i + 1, NUM_FRAMES - 1)


def test_indices_and_slices(video_file: Path) -> None:
    """A reader is indexed like a list."""
    video = VideoReader(video_file)
    indices = list(range(NUM_FRAMES))
    for index in (0, 7, -1, -NUM_FRAMES, np.int64(3)):
        assert index_of(video[index]) == indices[index]
    for part in (slice(2, 5), slice(-3, None), slice(None, None, 25), slice(10, 4, -2), slice(90, 99)):
        assert [index_of(img) for img in video[part]] == indices[part]


@pytest.mark.parametrize("index", [NUM_FRAMES, -NUM_FRAMES - 1])
def test_index_out_of_range(video_file: Path, index: int) -> None:
    """An index out of range is an IndexError, and the position is kept."""
    video = VideoReader(video_file)
    video.read()
    for access in (video.get_frame, video.__getitem__):
        with pytest.raises(IndexError, match=r"a b\.avi"):
            access(index)
    with pytest.raises(IndexError):
        video.get_frame(-1)
    with pytest.raises(TypeError):
        video[1.0]  # type: ignore[call-overload]
    assert video.position == 1


def test_iteration(video_file: Path) -> None:
    """Iteration begins at the first frame, each time."""
    video = VideoReader(video_file)
    video.get_frame(30)
    for _ in range(2):
        assert [index_of(img) for img in video] == list(range(NUM_FRAMES))
    iter(video)
    assert index_of(video.next()) == 0


def test_frames_are_copies(video_file: Path) -> None:
    """Drawing on a frame does not change the frame in the cache."""
    video = VideoReader(video_file)
    for _ in range(3):
        img = video.get_frame(5)
        assert index_of(img) == 5
        img[:] = 0


def test_header_with_more_frames(video_file: Path, tmp_path: Path) -> None:
    """A file that ends before its last frame yields the frames that it has, then an IndexError."""
    content = video_file.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(content[: len(content) // 2])
    video = VideoReader(cut)
    assert len(video) == NUM_FRAMES
    num_frames = sum(1 for _ in video)
    assert 10 < num_frames < NUM_FRAMES
    with pytest.raises(IndexError, match=r"Frame 59 of .*cut\.avi cannot be read"):
        video[-1]
    video.cvt2frames(tmp_path / "frames", show_progress=False)
    assert len(list((tmp_path / "frames").iterdir())) == num_frames


def test_missing_file(tmp_path: Path) -> None:
    """A file that does not exist is a FileNotFoundError with its path."""
    with pytest.raises(FileNotFoundError, match=r"none\.mp4"):
        VideoReader(tmp_path / "none.mp4")
    with pytest.raises(TypeError, match="filename"):
        VideoReader(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cache_capacity"):
        VideoReader(tmp_path / "none.mp4", cache_capacity=0)


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"hello", "cannot read")])
def test_not_a_video(tmp_path: Path, content: bytes, reason: str) -> None:
    """A file that is not a video is one error that names it."""
    path = tmp_path / "text.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as info:
        VideoReader(path)
    assert isinstance(info.value, cfgtrain.CfgTrainError)
    assert str(path) in str(info.value)


@pytest.fixture
def url(video_file: Path) -> Iterator[str]:
    """A server on this machine, which serves the folder of the videos."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *args: None})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(quiet, directory=str(video_file.parent))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_url(url: str) -> None:
    """A video can be read from an HTTP URL; one that cannot be read is an error without its password."""
    with VideoReader(f"{url}/a%20b.avi") as video:
        assert index_of(video.read()) == 0
        assert len(video) == NUM_FRAMES
    with pytest.raises(ValueError, match=r"cannot read http://127.0.0.1:\d+/none\.avi"):
        VideoReader(f"{url.replace('//', '//user:secret@')}/none.avi")


def numbers(folder: Path) -> dict[str, int]:
    return {path.name: index_of(cv2.imread(str(path))) for path in sorted(folder.iterdir())}


def test_video_to_frames(video_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames are written as images, from any position and with any names."""
    video = VideoReader(video_file)
    video.get_frame(30)
    video.cvt2frames(tmp_path / "all")
    assert f"{NUM_FRAMES}/{NUM_FRAMES}" in capsys.readouterr().out
    assert numbers(tmp_path / "all") == {f"{i:06d}.jpg": i for i in range(NUM_FRAMES)}
    video.cvt2frames(
        str(tmp_path / "new" / "some"),
        file_start=100,
        filename_tmpl="f{:03d}.png",
        start=50,
        max_num=3,
        show_progress=False,
    )
    assert numbers(tmp_path / "new" / "some") == {"f100.png": 50, "f101.png": 51, "f102.png": 52}
    video.cvt2frames(tmp_path / "end", start=58, max_num=9, show_progress=False)
    assert list(numbers(tmp_path / "end").values()) == [58, 59]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "arguments", [{"start": NUM_FRAMES}, {"start": -1}, {"max_num": -1}, {"filename_tmpl": "a.jpg"}]
)
def test_no_frames(video_file: Path, tmp_path: Path, arguments: dict[str, Any]) -> None:
    """A range without frames is a ValueError, and so is a template without a place for the number."""
    with pytest.raises(ValueError, match=next(iter(arguments))):
        VideoReader(video_file).cvt2frames(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder with the frames 0 to 19 as images."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(20):
        cv2.imwrite(str(folder / f"{i:06d}.jpg"), frame(i))
    return folder


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, range(20)),
        ({"start": 5}, range(5, 20)),
        ({"start": 10, "end": 12}, range(10, 12)),
        ({"fourcc": "MJPG", "fps": 12.5}, range(20)),
    ],
)
def test_frames_to_video(
    frames: Path,
    tmp_path: Path,
    arguments: dict[str, Any],
    expected: range,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Images become a video; missing folders are created, and only the video is left there."""
    target = tmp_path / "out" / "v.avi"
    frames2video(frames, target, show_progress=False, **arguments)
    with VideoReader(target) as video:
        assert [index_of(img) for img in video] == list(expected)
        assert video.fps == arguments.get("fps", 30)
        assert video.fourcc == arguments.get("fourcc", "FMP4")  # OpenCV's name of all MPEG-4 codecs
    assert list(target.parent.iterdir()) == [target]
    assert capsys.readouterr().out == ""


def test_colon_in_the_name(frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A colon in a relative path has no meaning."""
    monkeypatch.chdir(frames)
    frames2video(".", "a:b.avi", end=2, show_progress=False)
    with VideoReader("a:b.avi") as video:
        assert len(video) == 2


def test_progress_of_frames_to_video(frames: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By default, a progress bar is shown."""
    frames2video(str(frames), "v.avi", end=3)
    assert "3/3" in capsys.readouterr().out


def test_frames_that_begin_at_one(frames: Path, tmp_path: Path) -> None:
    """Without an end, the last image belongs to the video whatever the number of the first is."""
    (frames / "000000.jpg").unlink()
    (frames / "000001.jpg").unlink()
    frames2video(frames, tmp_path / "v.avi", start=2, show_progress=False)
    with VideoReader(tmp_path / "v.avi") as video:
        assert [index_of(img) for img in video] == list(range(2, 20))


def test_errors_leave_no_video(frames: Path, tmp_path: Path) -> None:
    """After an error in the middle, there is no video, or the previous one."""
    target = tmp_path / "out" / "v.avi"
    (frames / "000011.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"000011\.jpg"):
        frames2video(frames, target, show_progress=False)
    assert list(target.parent.iterdir()) == []
    target.write_bytes(b"previous")
    cv2.imwrite(str(frames / "000011.jpg"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"48x32 pixels, but .*000011\.jpg has 8x8"):
        frames2video(frames, target, show_progress=False)
    (frames / "000011.jpg").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"000011\.jpg"):
        frames2video(frames, target, show_progress=False)
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == b"previous"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"fps": 0}, ValueError),
        ({"fps": float("inf")}, ValueError),
        ({"fourcc": "H264X"}, ValueError),
        ({"fourcc": "ABCD"}, ValueError),
        ({"filename_tmpl": "a.jpg"}, ValueError),
        ({"start": 25}, FileNotFoundError),
        ({"start": 5, "end": 5}, ValueError),
        ({"start": 0.5}, TypeError),
        ({"fourcc": None}, TypeError),
        ({"fourcc": ["X", "V", "I", "D"]}, TypeError),
        ({"filename_tmpl": None}, ValueError),
        ({"filename_tmpl": "{}{}.jpg"}, ValueError),
        ({"filename_tmpl": "{name}.jpg"}, ValueError),
        ({"filename_tmpl": "{:06d.jpg"}, ValueError),
        ({"frame_dir": None}, TypeError),
        ({"video_file": 1}, TypeError),
    ],
)
def test_wrong_arguments(frames: Path, arguments: dict[str, Any], error: type[Exception]) -> None:
    """A wrong argument is an error that names it, and no video is written."""
    with pytest.raises(error) as info:
        frames2video(
            **{"frame_dir": frames, "video_file": frames / "v.avi", "show_progress": False, **arguments}
        )
    assert isinstance(info.value, CfgTrainError | FileNotFoundError)
    assert len(list(frames.iterdir())) == 20
