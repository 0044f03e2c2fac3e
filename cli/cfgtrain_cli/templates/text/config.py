_base_ = "cfgtrain::_base_/default_runtime.py"

block_size = 64  # characters that the model sees
model = dict(
    type="TinyTransformer", vocab_size=256, block_size=block_size, embed_dims=64, num_layers=2, num_heads=4
)

dataset = dict(
    type="TextFile",
    path="data/text.txt",
    block_size=block_size,
    fractions=dict(train=0.8, val=0.1, test=0.1),  # of the text
)
data = dict(
    samples_per_gpu=16,
    workers_per_gpu=0,
    train=dict(**dataset, split="train"),
    val=dict(**dataset, split="val"),
    test=dict(**dataset, split="test"),
)
evaluation = dict(interval=100, metrics=[dict(type="Perplexity")], save_best="perplexity")

optimizer = dict(type="AdamW", lr=0.003)
optimizer_config = dict(grad_clip=dict(max_norm=1))
lr_config = dict(
    policy="CosineAnnealing", min_lr=0, by_epoch=False, warmup="linear", warmup_iters=50, warmup_ratio=0.1
)
runner = dict(type="IterBasedRunner", max_iters=500)
checkpoint_config = dict(interval=100, max_keep_ckpts=3)
