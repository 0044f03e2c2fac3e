# The experiment of lenet5.py counted in iterations: 800 are 20 epochs of 40.
_base_ = "lenet5.py"

runner = dict(_delete_=True, type="IterBasedRunner", max_iters=800)
checkpoint_config = dict(interval=200)
evaluation = dict(interval=100)
