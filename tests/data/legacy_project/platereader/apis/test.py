import time

import mmcv
import torch
from mmcv.engine import collect_results_cpu, collect_results_gpu
from mmcv.runner import get_dist_info


def single_gpu_test(model, data_loader, out_dir=None):
    """Test with one process, and save the images with their predictions to a folder if there is one."""
    model.eval()
    results = []
    dataset = data_loader.dataset
    prog_bar = mmcv.ProgressBar(len(dataset))
    for data in data_loader:
        with torch.no_grad():
            result = model(return_loss=False, **data)
        results.extend(result)
        if out_dir:
            for meta, scores in zip(data['img_metas'].data[0], result):
                img = mmcv.imread(meta['filename'])
                img = mmcv.imresize(img, (32, 32), interpolation='nearest')
                mmcv.imwrite(img, f'{out_dir}/{scores.argmax()}_{meta["ori_filename"]}')
        for _ in range(len(result)):
            prog_bar.update()
    return results


def multi_gpu_test(model, data_loader, tmpdir=None, gpu_collect=False):
    """Test with several processes; the results are in the first one."""
    model.eval()
    results = []
    dataset = data_loader.dataset
    rank, world_size = get_dist_info()
    if rank == 0:
        prog_bar = mmcv.ProgressBar(len(dataset))
    time.sleep(0.1)
    for data in data_loader:
        with torch.no_grad():
            result = model(return_loss=False, **data)
        results.extend(result)
        if rank == 0:
            for _ in range(len(result) * world_size):
                prog_bar.update()
    if gpu_collect:
        return collect_results_gpu(results, len(dataset))
    return collect_results_cpu(results, len(dataset), tmpdir)
