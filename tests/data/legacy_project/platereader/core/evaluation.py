import numpy as np


def top_k_accuracy(scores, labels, topk=(1, )):
    """Percentage of samples whose label is among the k greatest scores, for each k."""
    order = np.argsort(scores, axis=1)[:, ::-1]
    return [float(100 * np.any(order[:, :k] == labels[:, None], axis=1).mean()) for k in topk]


def confusion(scores, labels, num_classes):
    """Matrix of the number of samples by label (row) and prediction (column)."""
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (labels, scores.argmax(1)), 1)
    return matrix
