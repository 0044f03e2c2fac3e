import mmcv
from mmcv.utils import digit_version

from .version import __version__

mmcv_minimum_version = '1.3.8'
mmcv_maximum_version = '1.8.0'
mmcv_version = digit_version(mmcv.__version__)

assert (digit_version(mmcv_minimum_version) <= mmcv_version <= digit_version(mmcv_maximum_version)), \
    f'mmcv=={mmcv.__version__} is incompatible. Please install mmcv>={mmcv_minimum_version}, <={mmcv_maximum_version}.'

__all__ = ['__version__']
