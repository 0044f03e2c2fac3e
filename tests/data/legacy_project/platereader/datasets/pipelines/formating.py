from collections.abc import Sequence

import mmcv
import numpy as np
import torch
from mmcv.parallel import DataContainer as DC

from ..builder import PIPELINES


def to_tensor(data):
    if isinstance(data, torch.Tensor):
        return data
    if isinstance(data, np.ndarray):
        return torch.from_numpy(data)
    if isinstance(data, Sequence) and not mmcv.is_str(data):
        return torch.tensor(data)
    if isinstance(data, int):
        return torch.LongTensor([data])
    if isinstance(data, float):
        return torch.FloatTensor([data])
    raise TypeError(f'type {type(data)} cannot be converted to tensor.')


def _to_chw(img):
    if img.ndim < 3:
        img = np.expand_dims(img, -1)
    return to_tensor(np.ascontiguousarray(img.transpose(2, 0, 1)))


@PIPELINES.register_module()
class ImageToTensor(object):

    def __init__(self, keys):
        self.keys = keys

    def __call__(self, results):
        for key in self.keys:
            results[key] = _to_chw(results[key])
        return results


@PIPELINES.register_module()
class DefaultFormatBundle(object):
    """Image: to tensor, to DataContainer, stacked; label: to tensor."""

    def __call__(self, results):
        results['img'] = DC(_to_chw(results['img']), stack=True)
        if 'gt_label' in results:
            results['gt_label'] = torch.tensor(int(results['gt_label']))
        return results


@PIPELINES.register_module()
class Collect(object):
    """Collect data from the loader relevant to the task."""

    def __init__(self, keys, meta_keys=('filename', 'ori_filename', 'ori_shape', 'img_shape', 'scale_factor', 'flip',
                                        'img_norm_cfg')):
        self.keys = keys
        self.meta_keys = meta_keys

    def __call__(self, results):
        data = {}
        img_meta = {key: results[key] for key in self.meta_keys if key in results}
        data['img_metas'] = DC(img_meta, cpu_only=True)
        for key in self.keys:
            data[key] = results[key]
        return data

    def __repr__(self):
        return self.__class__.__name__ + f'(keys={self.keys}, meta_keys={self.meta_keys})'
