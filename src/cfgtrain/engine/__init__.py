"""The names that MMCV 1.x has in ``mmcv.engine``; they are defined in ``cfgtrain.evaluation``."""

import typing

from cfgtrain.evaluation.collect import collect_results_cpu as collect_results_cpu
from cfgtrain.evaluation.collect import collect_results_gpu as collect_results_gpu
from cfgtrain.evaluation.inference import multi_gpu_test as multi_gpu_test
from cfgtrain.evaluation.inference import single_gpu_test as single_gpu_test
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
