from mmengine.config import read_base
with read_base():
    from .lenet5_digits import model, train_dataloader, optim_wrapper
train_cfg = dict(by_epoch=True, max_epochs=3)
