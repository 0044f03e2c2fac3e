from mmcv.utils import collect_env as collect_base_env
from mmcv.utils import get_git_hash

import platereader


def collect_env():
    env_info = collect_base_env()
    env_info['PlateReader'] = platereader.__version__ + '+' + get_git_hash()[:7]
    return env_info
