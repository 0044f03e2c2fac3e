"""Configs of MMEngine that are converted together with their bases."""

from __future__ import annotations

from pathlib import Path

import pytest

from cfgtrain import Config
from cfgtrain.compat.migrate import project
from cfgtrain.compat.migrate.lazy_configs import Named, load_lazy
from cfgtrain.compat.migrate.mmengine_files import same
from cfgtrain.compat.migrate.mmengine_settings import plain
from cfgtrain.compat.migrate.project import find_files, migrate
from cfgtrain.compat.migrate.source import MigrationError
from cfgtrain.errors import ConfigError

BASES = {
    "model.py": """
# The network.
model = dict(type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=10))
""",
    "data.py": """
pipeline = [dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img', 'gt_label'])]
train_dataloader = dict(
    batch_size=8, num_workers=0, dataset=dict(type='Digits', split='train', pipeline=pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(batch_size=8, num_workers=0, dataset=dict(type='Digits', split='val', pipeline=pipeline))
val_evaluator = dict(type='Accuracy')
""",
    "schedule.py": """
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9), clip_grad=dict(max_norm=5))
param_scheduler = dict(type='MultiStepLR', milestones=[6, 8])
train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=2)
""",
    "runtime.py": """
default_scope = 'mmpretrain'
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='accuracy/top1'))
env_cfg = dict(cudnn_benchmark=True)
tta_model = dict(type='Tta')
""",
}
ALL = "_base_ = ['model.py', 'data.py', 'schedule.py', 'runtime.py']\n"
CHILDREN = [
    ALL,
    ALL + "optim_wrapper = dict(optimizer=dict(lr=0.5))\ntrain_cfg = dict(max_epochs=3)\n",
    ALL + "optim_wrapper = dict(_delete_=True, optimizer=dict(type='AdamW', lr=0.5))\n",
    ALL + "param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', T_max=10)\n",
    ALL + "train_dataloader = dict(batch_size=4, dataset=dict(pipeline={{_base_.pipeline}}))\n",
    ALL + "model = dict(_delete_=True, type='ImageClassifier', backbone=dict(type='ResNet', depth=18))\n",
    ALL + "default_hooks = dict(checkpoint=dict(save_best=None))\nval_evaluator = [dict(type='F1')]\n",
    ALL
    + "pipeline = [dict(type='Resize', scale=(32, 32))]\ntrain_dataloader = dict(dataset=dict(pipeline=pipeline))\n",
]


def written(folder: Path, **files: str) -> Path:
    """Write the bases and other files in a folder."""
    for name, text in (BASES | {f"{key}.py": value for key, value in files.items()}).items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("child", CHILDREN)
def test_same_settings(tmp_path: Path, child: str) -> None:
    """The child still inherits, and its settings are those of the child that is converted with everything in it."""
    (tmp_path / "flat").mkdir()
    alone = written(tmp_path / "flat", cfg=child) / "cfg.py"
    (flat,) = migrate([alone], write=True, check=False)
    assert "_base_" not in flat.new
    expected = plain(Config.fromfile(alone)._cfg_dict)
    (tmp_path / "tree").mkdir()
    migrate(find_files([written(tmp_path / "tree", cfg=child)]), write=True, check=False)
    kept = tmp_path / "tree" / "cfg.py"
    assert "_base_ = ['model.py', 'data.py', 'schedule.py', 'runtime.py']" in kept.read_text()
    found = plain(Config.fromfile(kept)._cfg_dict)
    if "optimizer_config" not in expected:
        assert found.pop("optimizer_config") == {}  # the default
    assert same(found, expected)


def test_files(tmp_path: Path) -> None:
    """A base that needs no change keeps its text, and what is left by hand is listed once, where it stands."""
    reports = {each.path.name: each for each in migrate(find_files([written(tmp_path, cfg=ALL)]))}
    assert not reports["model.py"].is_changed
    assert reports["model.py"].verdict == "part of a config, runs as it is"
    (todo,) = reports["runtime.py"].todos
    assert todo.message.startswith("tta_model")
    assert reports["cfg.py"].todos == []
    assert "tta_model" not in reports["cfg.py"].new
    assert reports["cfg.py"].verdict == "config of MMEngine, converted; the new config runs"
    assert reports["schedule.py"].verdict == "config of MMEngine, converted; the new part of a config runs"


def test_grandchild(tmp_path: Path) -> None:
    """Each config of a chain inherits from the one before."""
    written(tmp_path, cfg=ALL, next="_base_ = './cfg.py'\noptim_wrapper = dict(optimizer=dict(lr=0.3))\n")
    reports = {each.path.name: each for each in migrate(find_files([tmp_path]), write=True)}
    assert reports["next.py"].new == "_base_ = './cfg.py'\n\noptimizer = dict(lr=0.3)\n"
    assert Config.fromfile(tmp_path / "next.py").optimizer.momentum == 0.9


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        ("_base_ = ['model.py', 'data.py', '../other.py']\n", "../other.py is not converted with it"),
        ("_base_ = ['runtime.py', 'more.py']\n", "two of them would set cudnn_benchmark"),
        ("import os\n_base_ = [os.path.join('.', 'schedule.py')]\n", "_base_ is computed"),
        ("_base_ = 'schedule.py'\nparam_scheduler = None\n", "the new base files set 'lr_config'"),
    ],
)
def test_flat(tmp_path: Path, child: str, reason: str) -> None:
    """Where the new bases would not give the same settings, these are in the file, and the reason is said."""
    folder = tmp_path / "configs"
    folder.mkdir()
    (tmp_path / "other.py").write_text("default_scope = 'mmdet'\nlog_level = 'INFO'\n")
    written(folder, cfg=child, more="cudnn_benchmark = True\nresume = True\n")
    reports = {each.path.name: each for each in migrate(find_files([folder]))}
    assert "_base_" not in reports["cfg.py"].new
    assert any(reason in note.message for note in reports["cfg.py"].notes)


def test_not_written_without_its_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config is not written if a base that it would inherit from cannot be written."""
    written(tmp_path, cfg=ALL)
    write = project.Source.write

    def fail(source: project.Source, text: str) -> None:
        if source.path.name == "schedule.py":
            raise MigrationError("schedule.py cannot be written.")
        write(source, text)

    monkeypatch.setattr(project.Source, "write", fail)
    reports = {each.path.name: each for each in migrate(find_files([tmp_path]), write=True)}
    assert reports["runtime.py"].written
    assert not reports["cfg.py"].written
    assert "would inherit from" in reports["cfg.py"].todos[-1].message
    assert (tmp_path / "cfg.py").read_text() == ALL


# Configs that import their bases

LAZY_BASE = """
from mmengine.dataset import DefaultSampler
from mmpretrain.datasets import Digits
from torch.optim import SGD
import mmengine.optim as schedules
lr = 0.1
optim_wrapper = dict(optimizer=dict(type=SGD, lr=lr))
param_scheduler = dict(type=schedules.MultiStepLR, milestones=[6, 8])
train_dataloader = dict(
    batch_size=8, dataset=dict(type=Digits, split='train', pipeline=[]), sampler=dict(type=DefaultSampler))
train_cfg = dict(by_epoch=True, max_epochs=10)
"""
READ = "from mmengine.config import read_base\nwith read_base():\n    from .base import *\n"


def test_read_base(tmp_path: Path) -> None:
    """Bases that are imported become ``_base_``, and classes their names."""
    (tmp_path / "base.py").write_text(LAZY_BASE)
    (tmp_path / "cfg.py").write_text(
        READ + "optim_wrapper.optimizer.lr = 0.5\ntrain_cfg.update(max_epochs=3)\n"
    )
    base, cfg = migrate(find_files([tmp_path]), write=True)
    assert base.todos == cfg.todos == []
    assert cfg.new == "_base_ = 'base.py'\n\noptimizer = dict(lr=0.5)\nrunner = dict(max_epochs=3)\n"
    merged = Config.fromfile(tmp_path / "cfg.py")
    assert merged.optimizer == {"type": "SGD", "lr": 0.5}
    assert merged.data.train_dataloader == {"batch_size": 8, "shuffle": True}
    assert merged.lr_config.step == [6, 8]


@pytest.mark.parametrize(
    "text",
    [
        READ.replace("*", "optim_wrapper, train_cfg as loop") + "train_cfg = loop\n",
        READ + "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n",
        "from mmengine.config import read_base\nwith read_base():\n    from .base import *\n    pass\n",
    ],
)
def test_read_base_alone(tmp_path: Path, text: str) -> None:
    """Without its base, and with names of it, a config has all settings."""
    (tmp_path / "base.py").write_text(LAZY_BASE)
    (tmp_path / "cfg.py").write_text(text)
    (report,) = migrate([tmp_path / "cfg.py"], write=True)
    assert report.todos == []
    cfg = Config.fromfile(tmp_path / "cfg.py")
    assert cfg.optimizer == {"type": "SGD", "lr": 0.1}
    assert cfg.runner.max_epochs == 10


def test_places(tmp_path: Path) -> None:
    """What has no counterpart is listed with its line, in the base too."""
    (tmp_path / "base.py").write_text(LAZY_BASE + "tta_model = dict(type=SGD)\n")
    (tmp_path / "cfg.py").write_text(
        READ
        + "optim_wrapper.update(dict(\n    loss_scale=2,\n    constructor=SGD))\nmodel = dict(type='X', dtype=SGD)\n"
    )
    base, cfg = migrate(find_files([tmp_path]))
    assert [(todo.line, todo.message.split()[0]) for todo in base.todos] == [(12, "tta_model")]
    assert [(todo.line, todo.message.split()[0]) for todo in cfg.todos] == [
        (6, "optim_wrapper.constructor"), (6, "optim_wrapper.constructor"), (7, "model.dtype"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (READ.replace("base ", "nothing "), "does not exist"),
        (READ.replace(".base", "no_such_package.base"), "not installed"),
        (READ.replace(".base", ".cfg"), "import each other in a cycle"),
        (READ.replace("*", "nothing"), "has no 'nothing', which line 3 imports"),
        (READ + "from torch import nn\nmodel = dict(type=nn.Conv2d(1, 1, 1))\n", "calls torch.nn.Conv2d"),
        (READ + "x = 1 / 0\n", "division by zero"),
        (READ + "from mmdet.models import *\n", "imports * outside"),
        (READ.replace("from .base import *", "x = 1"), "is not `from"),
    ],
)
def test_read_base_that_fails(tmp_path: Path, text: str, message: str) -> None:
    """A config that cannot be loaded is listed with the reason, and keeps its text."""
    (tmp_path / "base.py").write_text(LAZY_BASE)
    (tmp_path / "cfg.py").write_text(text)
    (report,) = migrate([tmp_path / "cfg.py"], write=True)
    assert message in report.todos[0].message
    assert not report.written


def test_nothing_is_imported(tmp_path: Path) -> None:
    """Packages that a config imports are not imported, and a name of one may be any of its attributes."""
    (tmp_path / "cfg.py").write_text(
        "from no_such.package import Thing\nimport no_such.more\nx = [Thing, no_such.more.Y]\n"
    )
    tree = load_lazy(str(tmp_path / "cfg.py")).settings()
    assert [each.path for each in tree["x"]] == ["no_such.package.Thing", "no_such.more.Y"]
    with pytest.raises(ConfigError, match=r"calls a\.b"):
        Named("a.b")()


def test_placeholders(tmp_path: Path) -> None:
    """A placeholder whose value is written is listed; a value of a base is not."""
    (tmp_path / "base.py").write_text("root = 'x'\n")
    (tmp_path / "cfg.py").write_text(
        "_base_ = 'base.py'\ndefault_scope = 'mmdet'  # x\n# {{ fileDirname }}\nwork_dir = '{{ fileDirname }}/run'\nname = '{{ _base_.root }}'\n"
    )
    (report,) = migrate([tmp_path / "cfg.py"])
    assert [(todo.line, todo.message) for todo in report.todos] == [
        (4, "{{ fileDirname }} is replaced by its present value.")
    ]


def test_base_with_classes_of_torch(tmp_path: Path) -> None:
    """A base that names classes of PyTorch only is read as the config that imports it."""
    (tmp_path / "base.py").write_text(
        "from torch.nn import GELU\nfrom mmcv.cnn import ConvModule\n"
        "act = dict(type=GELU)\nmodel = dict(type='Net', act=act, conv=dict(type=ConvModule))\n"
        "train_cfg = dict(by_epoch=True, max_epochs=10)\n"
    )
    (tmp_path / "cfg.py").write_text(READ + "model.depth = 3\n")
    base, cfg = migrate(find_files([tmp_path]), write=True)
    assert base.todos == cfg.todos == []
    assert Config.fromfile(tmp_path / "cfg.py").model == {
        "type": "Net", "act": {"type": "torch.nn.GELU"}, "conv": {"type": "ConvModule"}, "depth": 3,
    }  # fmt: skip


# Bases that are converted already

WHOLE = "".join(BASES.values()).replace("tta_model = dict(type='Tta')\n", "")
OF_WHOLE = "_base_ = 'whole.py'\n"
LATER = [
    "train_dataloader = dict(batch_size=64)\n",
    "train_dataloader = dict(dataset=dict(split='val'), num_workers=2)\nval_dataloader = dict(batch_size=4)\n",
    "optim_wrapper = dict(optimizer=dict(lr=0.5), clip_grad=dict(norm_type=1))\ntrain_cfg = dict(max_epochs=3)\n",
    "param_scheduler = [dict(type='CosineAnnealingLR', T_max=10)]\n",
    "default_hooks = dict(checkpoint=dict(max_keep_ckpts=2), logger=dict(interval=5))\n",
    "env_cfg = dict(cudnn_benchmark=False)\nmodel = dict(backbone=dict(num_classes=4))\n",
]


@pytest.mark.parametrize("settings", LATER)
def test_base_that_is_converted_already(tmp_path: Path, settings: str) -> None:
    """A config that is migrated after its bases has the settings that it has when it is migrated with them."""
    (tmp_path / "once").mkdir()
    migrate(
        find_files([written(tmp_path / "once", whole=WHOLE, cfg=OF_WHOLE + settings)]),
        write=True,
        check=False,
    )
    expected = plain(Config.fromfile(tmp_path / "once" / "cfg.py")._cfg_dict)
    later = tmp_path / "later"
    later.mkdir()
    migrate(find_files([written(later, whole=WHOLE)]), write=True, check=False)
    (later / "cfg.py").write_text(OF_WHOLE + settings)
    (report,) = migrate([later / "cfg.py"], write=True, check=False)
    assert report.todos == []
    assert same(plain(Config.fromfile(later / "cfg.py")._cfg_dict), expected)


@pytest.mark.parametrize(
    ("settings", "line", "message"),
    [
        (
            "param_scheduler = dict(type='MultiStepLR', milestones=[3])\n",
            2,
            "is merged with that of the base",
        ),
        ("val_evaluator = dict(type='Accuracy', topk=(1, 5))\n", 2, "is merged with that of the base"),
        (
            "\ntrain_dataloader = dict(_delete_=True, batch_size=4)\n",
            3,
            "train_dataloader replaces that of the base",
        ),
        ("train_dataloader = dict(sampler=dict(shuffle=False))\n", 2, "sampler"),
    ],
)
def test_what_is_not_known_of_a_converted_base(
    tmp_path: Path, settings: str, line: int, message: str
) -> None:
    """What depends on the settings that the base had before is listed."""
    migrate(find_files([written(tmp_path, whole=WHOLE)]), write=True, check=False)
    (tmp_path / "cfg.py").write_text(OF_WHOLE + settings)
    (report,) = migrate([tmp_path / "cfg.py"], check=False)
    (todo,) = report.todos
    assert todo.line == line
    assert message in todo.message
    assert "split='train'" in report.new


def test_bases_that_were_converted_without_a_config(tmp_path: Path) -> None:
    """Two bases that set the same key after they were converted are listed with what to do."""
    migrate(find_files([written(tmp_path)]), write=True, check=False)
    (tmp_path / "cfg.py").write_text(ALL + "train_dataloader = dict(batch_size=64)\n")
    (report,) = migrate([tmp_path / "cfg.py"], write=True, check=False)
    (todo,) = report.todos
    assert "Two bases define 'evaluation'" in todo.message
    assert "migrate all together" in todo.hint
    assert not report.written


# Values of bases in code


@pytest.mark.parametrize(
    "settings",
    [
        "train_dataloader = dict(batch_size=_base_.train_dataloader.batch_size * 2)\n",
        "é = _base_['train_dataloader']['batch_size'] ; train_dataloader = dict(batch_size=é * 2)\n",
        "size = {{ _base_.train_dataloader.batch_size }} * 2; train_dataloader = dict(batch_size=size)\n",
        "train_dataloader = dict(batch_size=_base_.train_dataloader.get('batch_size') * 2)\n",
        "train_dataloader = dict(batch_size=[16][len(_base_.pipeline[0:0])])\n",
        "train_dataloader = dict(batch_size=16 if _base_.pipeline[-1].type == 'Collect' else 0)\n",
    ],
)
def test_values_of_bases(tmp_path: Path, settings: str) -> None:
    """A value that the code takes from the base, as MMEngine allows, is that of the base, also in a grandchild."""
    child = written(
        tmp_path, cfg=ALL + settings, next="_base_ = 'cfg.py'\nb = _base_.train_dataloader.batch_size\n"
    )
    reports = {each.path.name: each for each in migrate(find_files([child]), write=True)}
    assert reports["cfg.py"].todos == reports["next.py"].todos == []
    assert Config.fromfile(tmp_path / "cfg.py").data.train_dataloader.batch_size == 16
    assert Config.fromfile(tmp_path / "next.py").b == 16


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ("_base_.train_dataloader.update(batch_size=4)\n", "as in train_dataloader = dict(...)"),
        ("_base_.train_dataloader.batch_size = 4\n", "as in train_dataloader = dict(...)"),
        ("name = f'{_base_.default_scope}_2'\n", "or a string"),
        ("every = list(_base_)\n", "Write the value"),
        ("name = _base_.model[\n    'type']\n", "on one line"),
    ],
)
def test_other_uses_of_bases(tmp_path: Path, settings: str, hint: str) -> None:
    """Other code that uses the base is listed with what to write, the config stays, and a config below says so."""
    written(tmp_path, cfg=ALL + settings, next="_base_ = 'cfg.py'\noptim_wrapper = dict(clip_grad=None)\n")
    reports = {each.path.name: each for each in migrate(find_files([tmp_path]), write=True)}
    above, here = reports["cfg.py"].todos
    assert "It is not converted, and inherits from what is: " in above.message
    assert here.line == 2
    assert hint in here.hint
    assert not reports["cfg.py"].is_changed
    assert not reports["next.py"].is_changed
    assert f"cfg.py:2: {'_base_'}" in reports["next.py"].todos[0].message


def test_value_of_a_base_that_is_no_config_of_mmengine(tmp_path: Path) -> None:
    """In a config of MMCV too, a value of the base in code is listed with the placeholder for it."""
    (tmp_path / "base.py").write_text("model = dict(type='Net', depth=3)\n")
    (tmp_path / "cfg.py").write_text("_base_ = 'base.py'\nmodel = dict(width=_base_.model.depth)\n")
    _, report = migrate(find_files([tmp_path]), check=False)
    assert [(todo.line, todo.hint) for todo in report.todos] == [(2, "Write {{ _base_.model.depth }}.")]


def test_config_that_is_left_behind(tmp_path: Path) -> None:
    """A config that cannot be loaded says that its base is rewritten."""
    written(tmp_path, cfg="_base_ = 'schedule.py'\nx = 1 / 0\n")
    reports = {each.path.name: each for each in migrate(find_files([tmp_path]), check=False)}
    assert reports["schedule.py"].is_changed
    (todo,) = reports["cfg.py"].todos
    assert todo.message == f"It is not converted, and inherits from what is: {tmp_path / 'schedule.py'}."


def test_imported_base_that_is_converted_already(tmp_path: Path) -> None:
    """With ``read_base``, what would replace a setting of a converted base, or needs the old one, is listed."""
    (tmp_path / "base.py").write_text(LAZY_BASE)
    migrate([tmp_path / "base.py"], write=True)
    (tmp_path / "cfg.py").write_text(READ + "train_dataloader = dict(batch_size=4)\n")
    (tmp_path / "next.py").write_text(READ + "train_dataloader.batch_size = 4\n")
    cfg, other = migrate([tmp_path / "cfg.py", tmp_path / "next.py"], check=False)
    assert [todo.line for todo in cfg.todos] == [4]
    assert "train_dataloader replaces that of the base" in cfg.todos[0].message
    assert "split='train'" in cfg.new
    assert "'train_dataloader' is not defined" in other.todos[0].message
    (tmp_path / "base.py").write_text(LAZY_BASE)
    (tmp_path / "next.py").write_text(READ + "x = 1 / 0\n")
    base, other = migrate([tmp_path / "base.py", tmp_path / "next.py"], check=False)
    assert base.is_changed
    assert "inherits from what is" in other.todos[0].message


def test_helper_variables(tmp_path: Path) -> None:
    """A variable that was unpacked is dropped; a number that stays is a note; what code does not read is kept."""
    (tmp_path / "cfg.py").write_text(
        "common = dict(batch_size=4, num_workers=0)\nclasses = 3\nmine = dict(a=1)\ndefault_scope = 'mmdet'\n"
        "train_dataloader = dict(**common, dataset=dict(type='Digits'))\n"
        "model = dict(type='Net', out=classes)\n"
    )
    (report,) = migrate([tmp_path / "cfg.py"], write=True, check=False)
    cfg = Config.fromfile(tmp_path / "cfg.py")
    assert "common" not in cfg
    assert (cfg.classes, cfg.mine) == (3, {"a": 1})
    notes = [note.message for note in report.notes]
    assert "The values of these variables are where they were used: common." in notes
    assert "These variables stay, and cfgtrain does not read them: classes." in notes
