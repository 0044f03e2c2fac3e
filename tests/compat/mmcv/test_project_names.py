"""A project for MMCV whose classes have names of cfgtrain's runs with the commands of cfgtrain."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cfgtrain.compat.mmcv.alias import install
from cfgtrain.registries import DATASETS, MODELS
from cfgtrain.registry.registry import known_registries

PROJECT = """
import os

import mmcv
import numpy as np
import torch
from mmcv.cnn import MODELS as MMCV_MODELS
from mmcv.parallel import DataContainer
from mmcv.runner import BaseModule
from mmcv.utils import Registry, build_from_cfg

MODELS = Registry('models', parent=MMCV_MODELS)
DATASETS = Registry('dataset')
PIPELINES = Registry('pipeline')


@MODELS.register_module()
class CrossEntropyLoss(torch.nn.Module):
    def __init__(self, loss_weight=1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, scores, labels, avg_factor=None):
        return self.loss_weight * torch.nn.functional.cross_entropy(scores, labels)


@MODELS.register_module()
class LinearClsHead(BaseModule):
    def __init__(self, num_classes, in_channels, loss, cal_acc=False):
        super().__init__()
        self.fc = torch.nn.Linear(in_channels, num_classes)
        self.compute_loss = MODELS.build(loss)
        self.cal_acc = cal_acc


@MODELS.register_module()
class Mean(BaseModule):
    def forward(self, img):
        return img.mean((2, 3))


@MODELS.register_module()
class ImageClassifier(BaseModule):
    def __init__(self, backbone, head, pretrained=None, init_cfg=None):
        super().__init__(init_cfg)
        self.backbone, self.head = MODELS.build(backbone), MODELS.build(head)

    def forward(self, img, img_metas=None, gt_label=None, return_loss=True):
        scores = self.head.fc(self.backbone(img))
        if return_loss:
            return dict(loss=self.head.compute_loss(scores, gt_label))
        return list(scores.softmax(1).detach().numpy())

    def train_step(self, data, optimizer=None):
        loss = self(**data)['loss']
        return dict(loss=loss, log_vars=dict(loss=loss.item()), num_samples=len(data['img']))


@DATASETS.register_module()
class CIFAR10(torch.utils.data.Dataset):
    CLASSES = ['dark', 'light']

    def __init__(self, data_prefix, pipeline, test_mode=False):
        self.data_prefix = data_prefix
        self.names = sorted(os.listdir(data_prefix))
        self.pipeline = [build_from_cfg(step, PIPELINES) for step in pipeline]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        name = self.names[index]
        label = np.array(name.startswith('light'), dtype=np.int64)
        results = dict(img_prefix=self.data_prefix, img_info=dict(filename=name), gt_label=label)
        for step in self.pipeline:
            results = step(results)
        return results

    def evaluate(self, results, metric='accuracy', logger=None):
        labels = [name.startswith('light') for name in self.names]
        return {'top-1': float((np.vstack(results).argmax(1) == labels).mean())}


@DATASETS.register_module()
class RepeatDataset:
    def __init__(self, dataset, times):
        self.dataset, self.times, self.CLASSES = dataset, times, dataset.CLASSES

    def __len__(self):
        return self.times * len(self.dataset)

    def __getitem__(self, index):
        return self.dataset[index % len(self.dataset)]


@PIPELINES.register_module()
class LoadImageFromFile:
    def __call__(self, results):
        results['filename'] = os.path.join(results['img_prefix'] or '', results['img_info']['filename'])
        results['img'] = mmcv.imread(results['filename'])
        return results


@PIPELINES.register_module()
class Resize:
    def __init__(self, size):
        self.size = size

    def __call__(self, results):
        results['img'] = mmcv.imresize(results['img'], self.size) / np.float32(255)
        return results


@PIPELINES.register_module()
class Collect:
    def __init__(self, keys):
        self.keys = keys

    def __call__(self, results):
        found = {key: results[key] for key in self.keys}
        img = torch.from_numpy(found.pop('img').transpose(2, 0, 1).copy())
        metas = DataContainer(dict(filename=results['filename']), cpu_only=True)
        return dict(img=DataContainer(img, stack=True), img_metas=metas, **found)
"""

CONFIG = """
custom_imports = dict(imports=['petals'], allow_failed_imports=False)
model = dict(
    type='ImageClassifier', backbone=dict(type='Mean'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=3, cal_acc=True,
              loss=dict(type='CrossEntropyLoss', loss_weight=2.0)))
load = [dict(type='LoadImageFromFile'), dict(type='Resize', size=(4, 4))]
train = dict(type='CIFAR10', data_prefix='images', pipeline=load + [dict(type='Collect', keys=['img', 'gt_label'])])
test = dict(type='CIFAR10', data_prefix='images', pipeline=load + [dict(type='Collect', keys=['img'])])
data = dict(samples_per_gpu=4, workers_per_gpu=0, train=dict(type='RepeatDataset', times=40, dataset=train),
            val=test, test=test)
optimizer = dict(type='SGD', lr=1.0)
optimizer_config = dict(grad_clip=None)
total_epochs = 1
evaluation = dict(interval=1, metric='accuracy')
device = 'cpu'
work_dir = 'work'
"""
ALIAS = ("--compat", "mmcv")


@pytest.fixture
def project(write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the project and its images; return the path of its config."""
    install()
    write("petals.py", PROJECT)
    Path("images").mkdir()
    for i in range(8):
        name = "light" if i % 2 else "dark"
        cv2.imwrite(f"images/{name}{i}.png", np.full((6 + i, 5, 3), 10 * i + 150 * (i % 2), np.uint8))
    monkeypatch.syspath_prepend(".")
    yield write("petals_cfg.py", CONFIG)
    for registry in known_registries():
        if registry.scope == "petals":
            registry.module_dict.clear()
    sys.modules.pop("petals", None)


def test_the_alias_prefers_the_models_and_datasets_of_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other registries are those of MMCV, so their names stay as they are."""
    install()
    assert [each for each in known_registries() if each.projects_first] == [DATASETS, MODELS]


def test_a_project_is_trained_tested_and_predicts(project: Path, run: Callable[..., Any]) -> None:
    """With its bare names: the model, the datasets and their wrapper, and the transforms."""
    ran = run("train", project, *ALIAS)
    assert ran.code == 0, ran.err
    assert "cfgtrain's" not in ran.err
    ran = run("test", project, "work/latest.pth", *ALIAS, "--out", "scores.json")
    assert ran.code == 0, ran.err
    assert json.loads(Path("scores.json").read_text())["scores"] == {"top-1": 1.0}
    ran = run("predict", project, "work/latest.pth", "images", *ALIAS, "--out", "found")
    assert ran.code == 0, ran.err
    found = json.loads(Path("found/predictions.json").read_text())["predictions"]
    assert len(found) == 8
    assert all(Path(each["input"]).name.startswith(each["class"]) for each in found)


def test_a_wrong_argument_says_which_class_was_used(project: Path, run: Callable[..., Any]) -> None:
    """The message has the file of the project, and the name of cfgtrain's class."""
    ran = run("check", project, *ALIAS, "--cfg-options", "+model.head.num_class=3", "--json")
    [problem] = [each for each in json.loads(ran.out) if "num_class" in each["message"]]
    assert "type='LinearClsHead' is LinearClsHead at" in problem["hint"]
    assert "petals.py" in problem["hint"]
    assert "type='cfgtrain.LinearClsHead' is LinearClsHead at" in problem["hint"]


def test_without_the_preference_a_warning_names_the_project(
    project: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names are cfgtrain's then, and the messages say how to write those of the project."""
    for registry in (MODELS, DATASETS):
        monkeypatch.setattr(registry, "projects_first", False)
    ran = run("check", project)
    text = " ".join((ran.out + ran.err).split())
    assert "type='petals.ImageClassifier' is ImageClassifier at" in text
    assert "With --compat mmcv, the name alone is the class of the project." in text
    assert ran.code != 0
    scoped = CONFIG.replace("type='ImageC", "type='petals.ImageC")
    for name in ("CIFAR10", "RepeatDataset"):
        scoped = scoped.replace(f"type='{name}'", f"type='petals.{name}'")
    project.write_text(scoped.replace("type='petals.RepeatDataset', times=40, dataset=train", "**train"))
    ran = run("check", project)
    assert ran.code == 0, ran.out + ran.err
