# Level 2: the model and the data.
_base_ = [
    "schedule.py",
    "../_base_/models/lenet5.py",
    "../_base_/datasets/digits.py",
    "../_base_/default_runtime.py",
]
