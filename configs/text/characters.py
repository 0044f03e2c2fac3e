# A language model of the characters of a text.
corpus = dict(type="TextFile", path="data/text.txt", block_size=128)
data = dict(
    batch_size=32,
    train=dict(**corpus, split="train", stream=True),
    val=dict(**corpus, split="val"),
    test=dict(**corpus, split="test"),
)
model = dict(type="TinyTransformer", block_size=128)
optimizer = dict(type="AdamW", lr=0.001)
runner = dict(type="IterBasedRunner", max_iters=2000)
evaluation = dict(interval=500, by_epoch=False, metrics=["Perplexity"], save_best="perplexity")
