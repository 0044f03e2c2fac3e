from .inference import inference_reader, init_reader
from .test import multi_gpu_test, single_gpu_test
from .train import init_random_seed, set_random_seed, train_reader

__all__ = [
    'inference_reader', 'init_reader', 'init_random_seed', 'multi_gpu_test', 'set_random_seed', 'single_gpu_test',
    'train_reader'
]
