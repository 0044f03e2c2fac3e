# The experiment of lenet5.py with its length in iterations; an epoch has 17.
_base_ = "lenet5.py"

runner = dict(_delete_=True, type="IterBasedRunner", max_iters=255)
checkpoint_config = dict(interval=85)
evaluation = dict(interval=51)
log_config = dict(interval=17)
