_base_ = [
    "../_base_/models/lenet5.py",
    "../_base_/datasets/digits.py",
    "../_base_/schedules/sgd_cosine_15e.py",
    "../_base_/default_runtime.py",
]
