import argparse
import os
import os.path as osp

import mmcv
import torch
from mmcv import Config, DictAction
from mmcv.cnn import fuse_conv_bn
from mmcv.parallel import MMDataParallel, MMDistributedDataParallel
from mmcv.runner import get_dist_info, init_dist, load_checkpoint, wrap_fp16_model

from platereader.apis import multi_gpu_test, single_gpu_test
from platereader.datasets import build_dataloader, build_dataset
from platereader.models import build_reader


def parse_args():
    parser = argparse.ArgumentParser(description='Test (and eval) a reader')
    parser.add_argument('config', help='test config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='output result file')
    parser.add_argument('--fuse-conv-bn', action='store_true', help='Whether to fuse conv and bn')
    parser.add_argument('--metrics', type=str, nargs='+', help='evaluation metrics, such as "accuracy"')
    parser.add_argument('--show-dir', help='directory where painted images will be saved')
    parser.add_argument('--tmpdir', help='tmp directory used for collecting results from multiple workers')
    parser.add_argument('--gpu-collect', action='store_true', help='whether to use gpu to collect results.')
    parser.add_argument('--device', default='cpu', help='device used for testing')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    parser.add_argument('--metric-options', nargs='+', action=DictAction, default={})
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if 'LOCAL_RANK' not in os.environ:
        os.environ['LOCAL_RANK'] = str(args.local_rank)
    return args


def main():
    args = parse_args()
    assert args.out or args.metrics or args.show_dir, 'Please specify at least one operation'
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle', '.json')):
        raise ValueError('The output file must be a pkl or json file.')

    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    cfg.model.pretrained = None
    cfg.data.test.test_mode = True

    if args.launcher == 'none':
        distributed = False
    else:
        distributed = True
        init_dist(args.launcher, backend='gloo')

    dataset = build_dataset(cfg.data.test)
    data_loader = build_dataloader(
        dataset,
        samples_per_gpu=cfg.data.samples_per_gpu,
        workers_per_gpu=cfg.data.workers_per_gpu,
        dist=distributed,
        shuffle=False)

    cfg.model.train_cfg = None
    model = build_reader(cfg.model)
    if cfg.get('fp16', None) is not None:
        wrap_fp16_model(model)
    checkpoint = load_checkpoint(model, args.checkpoint, map_location='cpu')
    if args.fuse_conv_bn:
        model = fuse_conv_bn(model)
    model.CLASSES = checkpoint.get('meta', {}).get('CLASSES', dataset.CLASSES)

    if not distributed:
        model = MMDataParallel(model, device_ids=[-1] if args.device == 'cpu' else [0])
        outputs = single_gpu_test(model, data_loader, args.show_dir)
    else:
        model = MMDistributedDataParallel(
            model if args.device == 'cpu' else model.cuda(),
            device_ids=None if args.device == 'cpu' else [torch.cuda.current_device()],
            broadcast_buffers=False)
        outputs = multi_gpu_test(model, data_loader, args.tmpdir, args.gpu_collect)

    rank, _ = get_dist_info()
    if rank == 0:
        results = {}
        if args.metrics:
            results.update(dataset.evaluate(outputs, args.metrics, **args.metric_options))
            for k, v in results.items():
                print(f'\n{k} : {v:.2f}')
        if args.out:
            names = [dataset.CLASSES[int(scores.argmax())] for scores in mmcv.track_iter_progress(outputs)]
            mmcv.mkdir_or_exist(osp.dirname(osp.abspath(args.out)))
            print(f'\ndumping results to {args.out}')
            mmcv.dump(dict(pred_class=names, **results), args.out)


if __name__ == '__main__':
    main()
