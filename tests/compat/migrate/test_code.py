"""``cfgtrain migrate`` on code that imports MMCV."""

from __future__ import annotations

from pathlib import Path

import pytest

from cfgtrain.compat.migrate.project import find_files, migrate

REWRITTEN = [
    ("import mmcv\nmmcv.imread('a')\n", "import cfgtrain\ncfgtrain.imread('a')\n"),
    ("import mmcv as m\nm.imread('a')\n", "import cfgtrain as m\nm.imread('a')\n"),
    ("import os, mmcv\nmmcv.runner.Hook\n", "import os, cfgtrain\ncfgtrain.runner.Hook\n"),
    ("from mmcv import Config\n", "from cfgtrain import Config\n"),
    (
        "from mmcv.runner import (HOOKS,  # all\n    Hook as H)\n",
        "from cfgtrain.runner import (HOOKS,  # all\n    Hook as H)\n",
    ),
    (
        "from mmcv.runner.hooks.lr_updater import StepLrUpdaterHook\n",
        "from cfgtrain.runner.hooks import StepLrUpdaterHook\n",
    ),
    (
        "if 1:\n\tfrom mmcv.utils import Registry, TORCH_VERSION\n",
        "if 1:\n\tfrom cfgtrain.utils import Registry\n\tfrom cfgtrain.compat.legacy.build import TORCH_VERSION\n",
    ),
    (
        "try:\n    import mmcv\nexcept ImportError:\n    mmcv = None\nmmcv.imread\n",
        "try:\n    import cfgtrain as mmcv\nexcept ImportError:\n    mmcv = None\nmmcv.imread\n",
    ),
    (
        "import mmcv\ndef f(mmcv):\n    return mmcv.imread\n[mmcv.imwrite for x in 'é']\n",
        "import cfgtrain\ndef f(mmcv):\n    return mmcv.imread\n[cfgtrain.imwrite for x in 'é']\n",
    ),
    ("def f():\n    import mmcv\n    mmcv.imread\n", "def f():\n    import cfgtrain\n    cfgtrain.imread\n"),
    ("x = 'é'; from mmcv import imread\n", "x = 'é'; from cfgtrain import imread\n"),
    (
        "from mmcv.utils.parrots_wrapper import _BatchNorm\n",
        "from torch.nn.modules.batchnorm import _BatchNorm\n",
    ),
    (
        "from mmcv.runner.hooks.lr_updater import annealing_cos\n",
        "from cfgtrain.schedules import anneal_cos as annealing_cos\n",
    ),
    # A module that is not an attribute of cfgtrain before it is imported
    (
        "import mmcv\nmmcv.TORCH_VERSION\n",
        "import cfgtrain, cfgtrain.compat.legacy.build\ncfgtrain.compat.legacy.build.TORCH_VERSION\n",
    ),
    (
        "import mmcv\nmmcv.utils._BatchNorm\n",
        "import cfgtrain, torch.nn.modules.batchnorm\ntorch.nn.modules.batchnorm._BatchNorm\n",
    ),
    ("import mmcv as mmcv\nmmcv.imread\n", "import cfgtrain as mmcv\nmmcv.imread\n"),
    # Comments in an import that is split
    (
        "from mmcv.utils import (  # noqa: F401\n    Registry,  # keep\n    # PyTorch\n    TORCH_VERSION,\n)\n",
        "from cfgtrain.utils import (  # noqa: F401\n    Registry,  # keep\n)\n"
        "from cfgtrain.compat.legacy.build import (  # noqa: F401\n    # PyTorch\n    TORCH_VERSION,\n)\n",
    ),
    (
        "from mmcv.utils import (Registry,  # keep\n                        TORCH_VERSION)  # noqa\n",
        "from cfgtrain.utils import Registry  # keep  # noqa\n"
        "from cfgtrain.compat.legacy.build import TORCH_VERSION  # noqa\n",
    ),
    (
        "from mmcv.utils import Registry, TORCH_VERSION  # both\n",
        "from cfgtrain.utils import Registry\nfrom cfgtrain.compat.legacy.build import TORCH_VERSION  # both\n",
    ),
    # Import paths in strings
    ("import_module('mmcv.runner')\n", "import_module('cfgtrain.runner')\n"),
    ("pytest.importorskip('mmcv')\n", "pytest.importorskip('cfgtrain')\n"),
    (
        "custom_imports = dict(imports=['mmcv.cnn', r'mmcv.runner.hooks'])\n",
        "custom_imports = dict(imports=['cfgtrain.cnn', r'cfgtrain.runner.hooks'])\n",
    ),
    (
        "@patch('mmcv.imfrombytes')\n@mock.patch('mmcv.Config.fromfile', f)\ndef g(): pass\n",
        "@patch('cfgtrain.imfrombytes')\n@mock.patch('cfgtrain.Config.fromfile', f)\ndef g(): pass\n",
    ),
    ("monkeypatch.setattr('mmcv.imread', f)\n", "monkeypatch.setattr('cfgtrain.imread', f)\n"),
    ("dict(type='mmcv.cnn.ConvModule')\n", "dict(type='cfgtrain.cnn.ConvModule')\n"),
    # Annotations in quotes
    (
        "import mmcv\ndef f(a: 'mmcv.Config', b: 'é | mmcv.Config') -> list['mmcv.runner.Hook']:\n"
        "    c: \"mmcv.Config\" = cast('mmcv.Config', a)\n",
        "import cfgtrain\ndef f(a: 'cfgtrain.Config', b: 'é | cfgtrain.Config') -> list['cfgtrain.runner.Hook']:\n"
        "    c: \"cfgtrain.Config\" = cast('cfgtrain.Config', a)\n",
    ),
]


@pytest.mark.parametrize(("old", "new"), REWRITTEN)
def test_imports_and_uses_are_rewritten(tmp_path: Path, old: str, new: str) -> None:
    """Imports name cfgtrain's modules, and the uses of an imported module follow; the rest keeps its layout."""
    (tmp_path / "a.py").write_text(old, encoding="utf-8")
    (report,) = migrate([tmp_path / "a.py"], write=True)
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == new
    assert report.todos == []
    (again,) = migrate([tmp_path / "a.py"])
    assert not again.is_changed


@pytest.mark.parametrize(
    ("code", "line", "word"),
    [
        ("\nfrom mmcv.ops import RoIAlign\n", 2, "torchvision.ops"),
        ("import mmcv\nprint(mmcv.__version__)\n", 2, "version"),
        ("import importlib\nimportlib.import_module('mmcv.runner.checkpoint')\n", 2, "several modules"),
        ("import importlib\nimportlib.import_module('mmcv' '.runner')\n", 2, "cfgtrain.runner"),
        ("x = 'mmcv.runner.Hook'\n", 1, "cfgtrain.runner.Hook"),
    ],
)
def test_what_must_be_done_by_hand_is_listed(tmp_path: Path, code: str, line: int, word: str) -> None:
    """A name without a counterpart stays as it is, and is listed with its line and what to do."""
    (tmp_path / "a.py").write_text(code)
    (report,) = migrate([tmp_path / "a.py"], write=True)
    assert (tmp_path / "a.py").read_text() == code
    assert [(each.line, word in each.hint) for each in report.todos] == [(line, True)]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("from mmcv.runner import Hok\n", "MMCV 1.7.2 has no mmcv.runner.Hok. Did you mean 'Hook'"),
        ("import mmcv\nmmcv.Hook\n", "MMCV 1.7.2 has no mmcv.Hook. Did you mean 'mmcv.runner.Hook'?"),
        ("from mmcv.ops import nope\n", "MMCV 1.7.2 has no mmcv.ops.nope."),
        ("import mmcv.runer\n", "MMCV 1.7.2 has no module mmcv.runer. Did you mean 'mmcv.runner'"),
        ("from mmcv.foo import a, b\n", "MMCV 1.7.2 has no module mmcv.foo."),
        ("patch('mmcv.imraed')\n", "MMCV 1.7.2 has no mmcv.imraed. Did you mean 'imread'"),
        ("from mmcv.runner import _no_such_name\n", "cfgtrain has no mmcv.runner._no_such_name."),
    ],
)
def test_misspelled_names(tmp_path: Path, code: str, message: str) -> None:
    """A name that MMCV does not have is said to be wrong; the alias of mmcv does not have it either."""
    (tmp_path / "a.py").write_text(code)
    (report,) = migrate([tmp_path / "a.py"])
    (todo,) = report.todos
    assert todo.message.startswith(message)
    assert "cfgtrain.compat.mmcv" not in todo.hint
    assert not report.is_changed


@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        ("x = dict(type='mmcv.ConvModule')\n", "note", ""),
        ("x['type'] = 'mmcv.ConvModule'\n", "note", ""),
        ("x = {'type': 'mmcv.ConvModule'}\n", "note", ""),
        ("x = dict(type='mmcv.RoIAlign')\n", "todo", "torchvision"),
        ("x = ['mmcv.Config']\n", "todo", "Write 'cfgtrain.Config' if"),
        ("patch('mmcv.runner.hooks.lr_updater.annealing_cos')\n", "note", "Check that the code"),
    ],
)
def test_strings(tmp_path: Path, code: str, kind: str, hint: str) -> None:
    """Only a name that a registry looks up runs as it is; other strings with a dot are import paths."""
    (tmp_path / "a.py").write_text(code)
    (report,) = migrate([tmp_path / "a.py"])
    (found,) = report.findings
    assert (found.kind, ("runs as is" in found.message)) == (kind, kind == "note" and not hint)
    assert hint in found.hint


@pytest.mark.parametrize(
    "code", ["from .mmcv import x\n", "from . import mmcv\nmmcv.imread\n", "mmcv = 1\nmmcv.x\n", ""]
)
def test_other_modules_of_the_name_are_left_alone(tmp_path: Path, code: str) -> None:
    """Relative imports, variables and empty files are not MMCV's."""
    (tmp_path / "a.py").write_text(code)
    (report,) = migrate([tmp_path / "a.py"])
    assert not report.is_changed
    assert report.todos == []


def test_strings_and_comments_are_notes(tmp_path: Path) -> None:
    """A scope in a type, a comment and a text are listed, and nothing is to be done."""
    (tmp_path / "a.py").write_text("# for mmcv\nx = dict(type='mmcv.ConvModule')\ny = 'needs mmcv 1.7'\n")
    (report,) = migrate([tmp_path / "a.py"])
    assert [each.line for each in report.notes] == [1, 2, 3]
    assert not report.is_changed
    assert report.todos == []


def test_line_of_a_mention(tmp_path: Path) -> None:
    """Of a text of several lines, the line that mentions mmcv is listed."""
    (tmp_path / "a.py").write_text('def f():\n    """Load.\n\n    As mmcv does.\n    """\nx = "a\\nmmcv b"\n')
    (report,) = migrate([tmp_path / "a.py"])
    assert [(note.line, note.message) for note in report.notes] == [
        (4, "A string mentions mmcv: 'As mmcv does.'"), (6, "A string mentions mmcv: 'mmcv b'"),
    ]  # fmt: skip


def test_uses_with_a_counterpart_are_rewritten_beside_others(tmp_path: Path) -> None:
    """If one use has no counterpart, the import of mmcv stays beside that of cfgtrain."""
    (tmp_path / "a.py").write_text("import mmcv\nmmcv.imread('a')\nmmcv.ops.RoIAlign\n")
    (report,) = migrate([tmp_path / "a.py"])
    assert report.new == "import cfgtrain, mmcv\ncfgtrain.imread('a')\nmmcv.ops.RoIAlign\n"
    assert [each.line for each in report.todos] == [3]


def test_names_keep_their_import_if_a_module_is_unknown(tmp_path: Path) -> None:
    """A second import of mmcv without a counterpart does not break the uses that are rewritten."""
    (tmp_path / "a.py").write_text(
        "import mmcv\nimport mmcv.utils.path\nimport mmcv.foo\nmmcv.TORCH_VERSION\n"
    )
    (report,) = migrate([tmp_path / "a.py"])
    assert report.new == (
        "import cfgtrain, mmcv, cfgtrain.compat.legacy.build\nimport cfgtrain, mmcv.utils.path\n"
        "import cfgtrain, mmcv.foo\ncfgtrain.compat.legacy.build.TORCH_VERSION\n"
    )
    assert [todo.line for todo in report.todos] == [3]


@pytest.mark.parametrize(
    ("data", "new"),
    [
        (
            b"\xef\xbb\xbfimport mmcv\r\nmmcv.imread\r\n",
            b"\xef\xbb\xbfimport cfgtrain\r\ncfgtrain.imread\r\n",
        ),
        (
            "# coding: latin-1\nx = 'é'; import mmcv\n".encode("latin-1"),
            "# coding: latin-1\nx = 'é'; import cfgtrain\n".encode("latin-1"),
        ),
    ],
)
def test_encoding_and_line_ends_are_kept(tmp_path: Path, data: bytes, new: bytes) -> None:
    """The bytes of everything else stay as they are."""
    (tmp_path / "a.py").write_bytes(data)
    migrate([tmp_path / "a.py"], write=True)
    assert (tmp_path / "a.py").read_bytes() == new


@pytest.mark.parametrize("data", [b"import mmcv\ndef f(:\n", b"import mmcv\n\xff\n", b"import mmcv\n\x00"])
def test_invalid_files_are_reported(tmp_path: Path, data: bytes) -> None:
    """A file that is not Python is left alone and listed."""
    (tmp_path / "a.py").write_bytes(data)
    (report,) = migrate([tmp_path / "a.py"], write=True)
    assert (tmp_path / "a.py").read_bytes() == data
    assert len(report.todos) == 1


def test_read_only_files_are_not_written(tmp_path: Path) -> None:
    """A read-only file is listed and not replaced."""
    file = tmp_path / "a.py"
    file.write_text("import mmcv\n")
    file.chmod(0o444)
    (report,) = migrate([file], write=True)
    assert file.read_text() == "import mmcv\n"
    assert "read-only" in report.todos[0].message


def test_folders_are_searched(tmp_path: Path) -> None:
    """Caches, environments and links to folders are left out, and each file is found once."""
    for name in ("a.py", "sub/b.py", ".git/c.py", "__pycache__/d.py", "env/lib/e.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "env/pyvenv.cfg").touch()
    (tmp_path / "sub/loop").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in find_files([tmp_path, tmp_path / "a.py"])]
    assert found == ["a.py", "sub/b.py"]
