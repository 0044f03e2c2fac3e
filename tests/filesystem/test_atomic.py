from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cfgtrain.filesystem.atomic import replace_when_done


def test_replace_when_done(tmp_path: Path) -> None:
    """The temporary path is beside the target, has its suffix, and replaces it with its permissions."""
    target = tmp_path / "new" / "a.avi"
    for content in (b"1", b"2"):
        with replace_when_done(target) as temporary:
            assert temporary.parent == target.parent
            assert temporary.suffix == ".avi"
            temporary.write_bytes(content)
        assert target.read_bytes() == content
        assert list(target.parent.iterdir()) == [target]
        target.chmod(0o640)
    with replace_when_done(target) as temporary:
        temporary.write_bytes(b"3")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_previous_file(tmp_path: Path, error: type[BaseException]) -> None:
    """If the block raises, the previous file is left, and nothing else."""
    target = tmp_path / "a.avi"
    target.write_bytes(b"previous")
    with pytest.raises(error), replace_when_done(target) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"previous"


def test_nothing_written(tmp_path: Path) -> None:
    """A block that writes nothing is an OSError."""
    with pytest.raises(FileNotFoundError), replace_when_done(tmp_path / "a.avi"):
        pass
    assert list(tmp_path.iterdir()) == []
