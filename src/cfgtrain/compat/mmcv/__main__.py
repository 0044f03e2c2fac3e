"""``python -m cfgtrain.compat.mmcv script.py ...``: run a script whose ``import mmcv`` imports cfgtrain."""

import sys

from cfgtrain.compat.mmcv.script import run

if __name__ == "__main__":
    run(sys.argv[1:])
