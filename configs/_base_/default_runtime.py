# The settings of a run that do not depend on its runner: they suit epochs and iterations.
log_config = dict(interval=8, hooks=[dict(type="TextLoggerHook")])
workflow = [("train", 1)]
custom_hooks = []
custom_imports = None
load_from = None
resume_from = None
work_dir = None  # default: work_dirs/<name of the config>
log_level = "INFO"
seed = 0
deterministic = False
device = None  # default: CUDA if it is available, else the CPU
