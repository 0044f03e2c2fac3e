# LeNet-5 for ten classes; the images have shape (1, 32, 32).
model = dict(
    type="ImageClassifier",
    backbone=dict(type="LeNet5", num_classes=10),
    loss=dict(type="torch.nn.CrossEntropyLoss"),
)
