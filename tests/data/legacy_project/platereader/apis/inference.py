import warnings

import mmcv
import numpy as np
import torch
from mmcv.parallel import collate, scatter
from mmcv.runner import load_checkpoint

from ..datasets.pipelines import Compose
from ..models import build_reader


def init_reader(config, checkpoint=None, device='cuda:0', options=None):
    """Build a reader from a config file, and load its weights."""
    if isinstance(config, str):
        config = mmcv.Config.fromfile(config)
    elif not isinstance(config, mmcv.Config):
        raise TypeError(f'config must be a filename or Config object, but got {type(config)}')
    if options is not None:
        config.merge_from_dict(options)
    config.model.pretrained = None
    model = build_reader(config.model)
    if checkpoint is not None:
        checkpoint = load_checkpoint(model, checkpoint, map_location='cpu')
        if 'CLASSES' in checkpoint.get('meta', {}):
            model.CLASSES = checkpoint['meta']['CLASSES']
        else:
            warnings.simplefilter('once')
            warnings.warn('Class names are not saved in the checkpoint.')
            model.CLASSES = tuple('0123456789')
    model.cfg = config
    model.to(device)
    model.eval()
    return model


def inference_reader(model, img):
    """The class name and score of one image, a file name."""
    cfg = model.cfg
    device = next(model.parameters()).device
    pipeline = Compose(cfg.data.test.pipeline)
    data = pipeline(dict(img_info=dict(filename=img), img_prefix=None))
    data = collate([data], samples_per_gpu=1)
    if next(model.parameters()).is_cuda:
        data = scatter(data, [device])[0]
    else:
        data['img_metas'] = data['img_metas'].data[0]
        data['img'] = data['img'].data[0] if hasattr(data['img'], 'data') and isinstance(data['img'].data, list) \
            else data['img']
    with torch.no_grad():
        scores = model(return_loss=False, **data)[0]
    best = int(np.argmax(scores))
    return dict(pred_label=best, pred_score=float(scores[best]), pred_class=model.CLASSES[best])
