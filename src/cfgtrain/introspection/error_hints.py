"""What to do about common errors of PyTorch and of Python that a model or its data causes."""

from __future__ import annotations

import re

__all__ = [
    "error_text",
    "is_out_of_memory",
    "out_of_memory_text",
    "torch_error_hint",
    "unexpected_argument_hint",
]

_CPU_MEMORY = re.compile(
    r"DefaultCPUAllocator: (?:can't allocate|not enough) memory.*?(?:allocate )?(\d{4,}) bytes"
)
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")

_UNEXPECTED_ARGUMENT = r"got an unexpected keyword argument '(?!return_loss)(\w+)'"
_LEAVE_OUT = (
    "A model is called with the keys of the batch: add the argument {1!r}, or leave {1!r} out with "
    "dict(type='Collect', keys=[...]) at the end of the pipeline."
)

# What the text of an exception contains, and what to do; {1} is the first group.
_HINTS: list[tuple[str, str]] = [
    (
        r"expected input\[1, \d\d+, \d+, \d+\] to have \d channels",
        "The images have no dimension of channels: add dict(type='ImageToTensor', keys=['img']) before Collect.",
    ),
    (
        r"to have (\d+) channels, but got (\d+) channels",
        "Build the layer for {2} channel(s) with in_channels={2}, or load images with {1}: LoadImageFromFile has "
        "color_type='color' (3) and 'grayscale' (1).",
    ),
    (
        r"cross_entropy_loss\(\): argument 'target' .* must be Tensor",
        "Labels of classes are ints: convert texts in the dataset, such as with classes.index(text).",
    ),
    (
        r"Input type \((?:unsigned char|torch\.ByteTensor|c10::Byte|Byte)\)",
        "Images are uint8 until Normalize converts them: add it to the pipeline, before ImageToTensor.",
    ),
    (
        r"mat1 and mat2 shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)",
        "The layer is built for {2} features, and gets {1}. For a Linear, set in_features={1}.",
    ),
    (
        r"(?:same dtype|expected scalar type).*(?:Double|double)",
        "A model computes in float32: convert NumPy's float64 in the dataset with .astype(np.float32).",
    ),
    (
        r"(?:expected target dtype to be Long|expected scalar type Long but found|\"nll_loss[^\"]*\" not implemented for)",
        "Labels of classes are ints, such as int(label) in the dataset. For numbers as targets, use MSELoss or L1Loss.",
    ),
    (
        r"Target (-?\d+) is out of bounds",
        "The label {1} is not one of the classes of the model: labels are 0 to the number of classes - 1.",
    ),
    (
        r"index out of range in self",
        "An index is not less than num_embeddings of the Embedding (vocab_size of a text model), or is negative.",
    ),
    (
        r"argument after \*\* must be a mapping, not (\w+)",
        "The dataset returns tuples, so that a batch is a {1}: call self(*batch), or return dicts from the dataset.",
    ),
    (
        _UNEXPECTED_ARGUMENT,
        _LEAVE_OUT,
    ),
    (
        r"does not require grad and does not have a grad_fn",
        "The loss has no gradient: compute it without .item(), .detach() and torch.no_grad().",
    ),
    (
        r"grad can be implicitly created only for scalar",
        "The loss must be a tensor of one number, such as its mean().",
    ),
    (
        r"cannot assign (?:module|parameter|parameters|buffer).* before Module\.__init__\(\) call",
        "Call super().__init__() first in __init__ of the model.",
    ),
    (
        r"Expected more than 1 value per channel when training",
        "BatchNorm needs several samples in a batch: use data.samples_per_gpu=2 or more, and "
        "data.train_dataloader.drop_last=True for the last batch.",
    ),
    (
        r"Trying to create tensor with negative dimension (-\d+)",
        "A size is {1}, and must be positive.",
    ),
    (
        r"must be tuple of ints, but found element of type (\w+)",
        "A size is a {1}, and must be an int.",
    ),
    (
        r"Given input size: .*Output size is too small",
        "The images are too small for this model: enlarge them.",
    ),
    (
        r"Kernel size can't be greater than actual input size",
        "The images are too small for this model: enlarge them.",
    ),
]


def torch_error_hint(error: BaseException) -> str:
    """Return what to do about an exception of torch, or of a call in a model; ``""`` for any other."""
    text = str(error)
    if is_out_of_memory(error):
        return "Use smaller sizes in the model or, if it fits, smaller batches (data.samples_per_gpu)."
    if not isinstance(error, RuntimeError | IndexError | TypeError | ValueError | AttributeError):
        return ""
    for pattern, hint in _HINTS:
        found = re.search(pattern, text, re.DOTALL)
        if found is not None:
            return hint.format(found[0], *found.groups())
    return ""


def unexpected_argument_hint(text: str) -> str:
    """Return what to do about a value of a batch for which a model has no argument; ``""`` for any other text."""
    found = re.search(_UNEXPECTED_ARGUMENT, text)
    return "" if found is None else _LEAVE_OUT.format(found[0], *found.groups())


def error_text(error: BaseException) -> str:
    """Return the text of an exception, in which a module that is printed with all its layers has only its name."""
    return re.sub(r"^(\w+)\(\n  \(.*\n\)(?= )", r"\1", str(error).strip(), flags=re.DOTALL)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that memory could not be allocated, on the CPU or on another device."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error))
    )


def out_of_memory_text(error: BaseException) -> str:
    """Return the text of an exception for which ``is_out_of_memory`` holds, with the size in readable units."""
    found = _CPU_MEMORY.search(str(error))
    if found is None:
        lines = str(error).strip().splitlines()
        return f"Out of memory: {lines[0]}" if lines else "Out of memory."
    size, unit = float(found[1]), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"Out of memory: a tensor of {size:.3g} {_UNITS[unit]} cannot be allocated."
