"""The alias in programs of their own: scripts, child processes, commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Write = Callable[[str, str], Path]


def python(*words: object, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, **settings
    )


def test_the_alias_is_light() -> None:
    """Importing the alias, and ``Config`` through it, loads neither torch nor NumPy nor OpenCV."""
    code = (
        "import sys, cfgtrain.compat.mmcv, cfgtrain.compat.mmcv, mmcv; from mmcv.utils.config import Config; "
        "import mmcv.utils; mmcv.Config; mmcv.runner; print([m for m in ('torch', 'numpy', 'cv2') if m in sys.modules])"
    )
    assert python("-c", code).stdout == "[]\n"


def test_a_real_mmcv_is_not_replaced(tmp_path: Path, write: Write) -> None:
    """The alias wins over an installed mmcv, and refuses to replace one that is imported already."""
    write("mmcv/__init__.py", "__version__ = '1.0'")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    assert (
        python("-c", "import cfgtrain.compat.mmcv, mmcv; print(mmcv.__version__)", env=env).stdout
        == "1.7.2\n"
    )
    done = python("-c", "import mmcv, cfgtrain.compat.mmcv", env=env)
    assert "mmcv is imported already" in done.stderr
    assert done.returncode == 1


def test_a_script_runs_as_python_runs_it(write: Write) -> None:
    """A script has its arguments, its folder on the path, and the name ``__main__``."""
    write("tools/beside.py", "value = 1")
    script = write(
        "tools/train.py",
        "import sys, mmcv, beside\nprint(__name__, sys.argv[1:], mmcv.__version__, sys.modules['__main__'].__file__)",
    )
    done = python("-m", "cfgtrain.compat.mmcv", script, "a", "--b")
    assert done.stdout == f"__main__ ['a', '--b'] 1.7.2 {script}\n", done.stderr


def test_a_module_runs(tmp_path: Path, write: Write) -> None:
    """``-m module`` runs a module in the current folder."""
    write("tool.py", "import sys, mmcv\nprint(sys.argv[1:], mmcv.__version__)")
    done = python("-m", "cfgtrain.compat.mmcv", "-m", "tool", "-x", cwd=tmp_path)
    assert done.stdout == "['-x'] 1.7.2\n", done.stderr


def test_an_error_shows_the_frames_of_the_script(write: Write) -> None:
    """The traceback of a script begins with the script, and its exit code is kept."""
    done = python("-m", "cfgtrain.compat.mmcv", write("a.py", "import mmcv\n1 / 0"))
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "File" in line] == [
        f'  File "{Path.cwd() / "a.py"}", line 2, in <module>'
    ]
    assert python("-m", "cfgtrain.compat.mmcv", write("b.py", "raise SystemExit(7)")).returncode == 7


def test_an_error_before_the_script_shows_no_frames(tmp_path: Path, write: Write) -> None:
    """A script that cannot be read is reported as ``python`` reports it."""
    done = python("-m", "cfgtrain.compat.mmcv", write("a.py", "x = ("))
    assert [line for line in done.stderr.splitlines() if "File" in line] == [
        f'  File "{Path.cwd() / "a.py"}", line 1'
    ]
    for words in (["-m", "nothing"], [tmp_path / "empty"]):
        (tmp_path / "empty").mkdir(exist_ok=True)
        done = python("-m", "cfgtrain.compat.mmcv", *words)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr


def test_a_launcher_may_put_the_rank_before_the_script(write: Write) -> None:
    """``torch.distributed.launch -m`` adds ``--local-rank`` to the words of the module, not of the script."""
    script = write("a.py", "import sys\nprint(sys.argv[1:])")
    done = python("-m", "cfgtrain.compat.mmcv", "--local-rank=1", script, "cfg.py")
    assert done.stdout == "['--local-rank=1', 'cfg.py']\n", done.stderr


def test_wrong_usage() -> None:
    """Without a script, and with one that does not exist, the exit code is 2 and the message says so."""
    assert python("-m", "cfgtrain.compat.mmcv").returncode == 2
    done = python("-m", "cfgtrain.compat.mmcv", "nothing.py")
    assert (done.returncode, done.stderr) == (2, "There is no script 'nothing.py'.\n")


def test_spawned_processes_have_the_alias(write: Write) -> None:
    """A process that ``multiprocessing`` spawns can import mmcv at the top of the script."""
    script = write(
        "spawn.py",
        "import multiprocessing\nfrom mmcv.utils import is_str\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(is_str, ['a', 1]))\n",
    )
    done = python("-m", "cfgtrain.compat.mmcv", script)
    assert done.stdout == "[True, False]\n", done.stderr


def test_threads_import_at_once() -> None:
    """Several threads may import aliased modules at the same time."""
    code = (
        "import cfgtrain.compat.mmcv, importlib, threading\n"
        "found = []\n"
        "def load(): found.append(importlib.import_module('mmcv.utils.config').Config)\n"
        "threads = [threading.Thread(target=load) for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(len(found), len(set(found)))"
    )
    assert python("-c", code).stdout == "8 1\n"


IMPORTS = 'custom_imports = dict(imports=["parts"])'
CONFIG = """import mmcv
custom_imports = dict(imports=["parts"])
seed = mmcv.digit_version("1.2.0")[0]
"""


def test_commands_take_the_alias(write: Write, run: Callable[..., Any]) -> None:
    """With ``--compat mmcv`` a config may import mmcv; another toolkit is an error."""
    file = write("cfg.py", CONFIG)
    write(
        "parts.py",
        "from mmcv.runner import HOOKS, Hook\n\n@HOOKS.register_module()\nclass MyHook(Hook):\n    pass\n",
    )
    done = python("-m", "cfgtrain", "print-config", file, "--compat", "mmcv")
    assert "seed = 1" in done.stdout, done.stderr
    done = python("-m", "cfgtrain", "list", "hooks", "--config", file, "--compat", "mmcv")
    assert "MyHook" in done.stdout, done.stderr
    done = python("-m", "cfgtrain", "print-config", file)
    assert done.returncode == 2
    assert "No module named 'mmcv'. With --compat mmcv," in " ".join(done.stderr.split())
    done = python("-m", "cfgtrain", "list", "--config", write("b.py", IMPORTS))
    assert "With --compat mmcv," in " ".join(done.stderr.split())
    assert python("-m", "cfgtrain", "diff", file, file, "--compat", "mmcv").returncode == 0
    refused = run("print-config", file, "--compat", "mmdet")
    assert refused.code == 2
    assert "must be mmcv, not 'mmdet'" in refused.err


def test_a_config_may_switch_the_alias_on(write: Write) -> None:
    """``custom_imports`` may name the alias before the modules of the project."""
    write(
        "parts.py",
        "from mmcv.runner import HOOKS, Hook\n\n@HOOKS.register_module()\nclass MyHook(Hook):\n    pass\n",
    )
    file = write("cfg.py", 'custom_imports = dict(imports=["cfgtrain.compat.mmcv", "parts"])')
    done = python("-m", "cfgtrain", "list", "hooks", "--config", file)
    assert "MyHook" in done.stdout, done.stderr
