import copy
import os.path as osp
from collections import OrderedDict

import mmcv
import numpy as np
from mmcv.utils import print_log
from torch.utils.data import Dataset

from ..core.evaluation import confusion, top_k_accuracy
from .builder import DATASETS
from .pipelines import Compose


@DATASETS.register_module()
class GlyphDataset(Dataset):
    """Images of glyphs and a text file with a line "<filename> <label>" for each.

    Args:
        ann_file (str): The text file.
        pipeline (list[dict | callable]): The transforms.
        data_root (str | None): Folder that relative paths are in.
        img_prefix (str): Folder of the images.
        test_mode (bool): Whether the labels are not loaded.
    """

    CLASSES = tuple('0123456789')

    def __init__(self, ann_file, pipeline, data_root=None, img_prefix='', classes=None, test_mode=False):
        self.ann_file = ann_file
        self.data_root = data_root
        self.img_prefix = img_prefix
        self.test_mode = test_mode
        if classes is not None:
            self.CLASSES = tuple(mmcv.list_from_file(classes)) if mmcv.is_str(classes) else tuple(classes)
        if self.data_root is not None:
            if not osp.isabs(self.ann_file):
                self.ann_file = osp.join(self.data_root, self.ann_file)
            if not (self.img_prefix is None or osp.isabs(self.img_prefix)):
                self.img_prefix = osp.join(self.data_root, self.img_prefix)
        mmcv.check_file_exist(self.ann_file, f'annotation file "{{}}" does not exist')
        self.data_infos = self.load_annotations(self.ann_file)
        if not self.test_mode:
            self._set_group_flag()
        self.pipeline = Compose(pipeline)

    def load_annotations(self, ann_file):
        data_infos = []
        for line in mmcv.list_from_file(ann_file):
            filename, label = line.split()
            data_infos.append(dict(filename=filename, label=np.array(label, dtype=np.int64)))
        return data_infos

    def _set_group_flag(self):
        self.flag = np.array([int(info['label'] >= 5) for info in self.data_infos], dtype=np.uint8)

    def get_gt_labels(self):
        return np.array([info['label'] for info in self.data_infos])

    def pre_pipeline(self, results):
        results['img_prefix'] = self.img_prefix

    def prepare_img(self, idx):
        info = copy.deepcopy(self.data_infos[idx])
        results = dict(img_info=info)
        if not self.test_mode:
            results['gt_label'] = info['label']
        self.pre_pipeline(results)
        return self.pipeline(results)

    def __len__(self):
        return len(self.data_infos)

    def __getitem__(self, idx):
        while True:
            data = self.prepare_img(idx)
            if data is None:
                idx = np.random.choice(len(self))
                continue
            return data

    def format_results(self, results, out_file):
        mmcv.dump([[round(float(x), 5) for x in each] for each in results], out_file)

    def evaluate(self, results, metric='accuracy', metric_options=dict(topk=(1, 2)), logger=None):
        metrics = [metric] if isinstance(metric, str) else metric
        allowed_metrics = ['accuracy', 'confusion']
        eval_results = OrderedDict()
        scores, labels = np.vstack(results), self.get_gt_labels()
        assert len(scores) == len(labels)
        for each in metrics:
            if each not in allowed_metrics:
                raise KeyError(f'metric {each} is not supported')
            msg = f'Evaluating {each}...'
            if logger is None:
                msg = '\n' + msg
            print_log(msg, logger=logger)
            if each == 'accuracy':
                topk = metric_options.get('topk', (1, 2))
                for k, acc in zip(topk, top_k_accuracy(scores, labels, topk)):
                    eval_results[f'accuracy_top-{k}'] = acc
            else:
                matrix = confusion(scores, labels, len(self.CLASSES))
                eval_results['mean_recall'] = float(np.mean(np.diag(matrix) / np.maximum(matrix.sum(1), 1)))
        return eval_results
