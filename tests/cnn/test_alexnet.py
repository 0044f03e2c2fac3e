from __future__ import annotations

import torch
from state_dicts import has_names_of, rows
from torch.nn import functional

from cfgtrain.cnn import MODELS, AlexNet


def test_state_dict_has_the_names_of_torchvision() -> None:
    """The state dict has the names and shapes of torchvision."""
    with torch.device("meta"):
        model = MODELS.build({"type": "AlexNet", "num_classes": 1000})
    assert has_names_of("alexnet", rows(model))


def test_outputs_are_those_of_a_forward_written_by_hand() -> None:
    """The features, and the scores of the classifier, are those of the formula."""
    torch.manual_seed(0)
    model = AlexNet(num_classes=3).eval()
    w = model.state_dict()
    x = images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        for i, stride, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
            x = functional.relu(
                functional.conv2d(x, w[f"features.{i}.weight"], w[f"features.{i}.bias"], stride, padding)
            )
            if i in (0, 3, 10):
                x = functional.max_pool2d(x, 3, 2)
        features = AlexNet().eval()
        features.load_state_dict({name: each for name, each in w.items() if "features" in name})
        torch.testing.assert_close(features(images), x)
        assert x.shape == (2, 256, 6, 6)
        x = x.flatten(1)
        for i in (1, 4, 6):
            x = functional.linear(
                x if i == 1 else functional.relu(x), w[f"classifier.{i}.weight"], w[f"classifier.{i}.bias"]
            )
        torch.testing.assert_close(model(images), x)


def test_compiled_and_exported() -> None:
    """The network compiles as one graph, and can be exported."""
    model, x = AlexNet().eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), model(x))
        torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), model(x))


def test_initial_weights_are_those_of_pytorch() -> None:
    """``init_weights`` changes nothing by default."""
    model = AlexNet()
    before = model.features[0].weight.clone()
    model.init_weights()
    assert torch.equal(model.features[0].weight, before)
    assert model.eval() is model
