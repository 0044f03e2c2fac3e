"""Non-local blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention

from cfgtrain.arguments import check_choice, check_integer
from cfgtrain.cnn.bricks.conv_module import ConvModule
from cfgtrain.cnn.init.functions import constant_init, normal_init
from cfgtrain.registries import PLUGIN_LAYERS

__all__ = ["NonLocal1d", "NonLocal2d", "NonLocal3d"]

Mode = Literal["gaussian", "embedded_gaussian", "dot_product", "concatenation"]
Cfg = Mapping[str, Any] | None


class _NonLocalNd(nn.Module):
    """A non-local block (Wang et al., "Non-local Neural Networks", 2018), of any number of dimensions.

    Position i of the input x gets ``x_i + conv_out(sum_j w_ij g(x_j))``. The weights w are, by ``mode``:

    - ``"gaussian"``: the softmax over j of x_i . x_j,
    - ``"embedded_gaussian"``: the softmax over j of theta(x_i) . phi(x_j), divided by the square root of the
      number of inner channels if ``use_scale``,
    - ``"dot_product"``: theta(x_i) . phi(x_j) / number of positions j,
    - ``"concatenation"``: relu(p . [theta(x_i), phi(x_j)]) / number of positions j, with a learned p.

    theta, phi, g and conv_out are convolutions with kernel size 1.

    Args:
        in_channels: C of the input and the output (N, C, ...).
        reduction: There are C // ``reduction`` inner channels, at least one.
        use_scale: Whether ``"embedded_gaussian"`` is scaled.
        conv_cfg: Config of the convolutions; None for ``Conv2d``.
        norm_cfg: Config of the normalization after ``conv_out``, or None.
        mode: See above.
        zeros_init: Whether the block returns its input at first.
        std: Standard deviation of the initial weights.

    Raises:
        ArgumentError: The mode is unknown, or ``reduction`` is not a positive int.
    """

    _abbr_ = "nonlocal_block"

    def __init__(
        self,
        in_channels: int,
        reduction: int = 2,
        use_scale: bool = True,
        conv_cfg: Cfg = None,
        norm_cfg: Cfg = None,
        mode: Mode = "embedded_gaussian",
        zeros_init: bool = True,
        std: float = 0.01,
    ) -> None:
        super().__init__()
        check_integer("reduction", reduction, 1)
        check_choice("mode", mode, ("gaussian", "embedded_gaussian", "dot_product", "concatenation"))
        self.in_channels = in_channels
        self.reduction = reduction
        self.use_scale = use_scale
        self.inter_channels = inner = max(in_channels // reduction, 1)
        self.mode = mode
        self.zeros_init = zeros_init
        self.std = std
        self.g: nn.Module = ConvModule(in_channels, inner, 1, conv_cfg=conv_cfg, act_cfg=None)
        self.conv_out = ConvModule(inner, in_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None)
        if mode != "gaussian":
            self.theta = ConvModule(in_channels, inner, 1, conv_cfg=conv_cfg, act_cfg=None)
            self.phi: nn.Module = ConvModule(in_channels, inner, 1, conv_cfg=conv_cfg, act_cfg=None)
        if mode == "concatenation":
            self.concat_project = ConvModule(2 * inner, 1, 1, bias=False, act_cfg={"type": "ReLU"})
        self.init_weights()

    def _sub_sample(self, pool: nn.Module) -> None:
        """Apply a pooling layer after g and phi, which reduces the number of positions j."""
        self.g = nn.Sequential(self.g, pool)
        self.phi = nn.Sequential(self.phi, pool) if self.mode != "gaussian" else pool

    def init_weights(self, std: float | None = None, zeros_init: bool | None = None) -> None:
        """Initialize the weights, in place.

        Args:
            std: Standard deviation of the weights; by default the argument of the class.
            zeros_init: Whether the block returns its input at first; by default likewise.
        """
        std = self.std if std is None else std
        zeros_init = self.zeros_init if zeros_init is None else zeros_init
        embeddings = [self.g] if self.mode == "gaussian" else [self.g, self.theta, self.phi]
        for embedding in embeddings:
            first: Any = embedding[0] if isinstance(embedding, nn.Sequential) else embedding
            normal_init(first.conv, std=std)
        last = self.conv_out.norm or self.conv_out.conv
        if zeros_init:
            constant_init(last, 0)
        else:
            normal_init(last, std=std)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, ...), the shape of ``x``."""
        g = self.g(x).flatten(2).transpose(1, 2)  # (N, J, inner)
        if self.mode == "gaussian":
            theta = x.flatten(2).transpose(1, 2)  # (N, I, C)
            sampled = self.phi(x) if hasattr(self, "phi") else x
            phi = sampled.flatten(2).transpose(1, 2)  # (N, J, C)
        else:
            theta = self.theta(x).flatten(2).transpose(1, 2)  # (N, I, inner)
            phi = self.phi(x).flatten(2).transpose(1, 2)  # (N, J, inner)
        y = getattr(self, self.mode)(theta, phi, g)  # (N, I, inner)
        y = y.transpose(1, 2).unflatten(2, x.shape[2:])  # (N, inner, ...)
        out: Tensor = x + self.conv_out(y)
        return out

    def gaussian(self, theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
        """Return the weighted sums (N, I, D) of g (N, J, D) for theta (N, I, E) and phi (N, J, E)."""
        return _attend(theta, phi, g, 1.0)

    def embedded_gaussian(self, theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
        """Return the weighted sums (N, I, D) of g (N, J, D) for theta (N, I, E) and phi (N, J, E)."""
        return _attend(theta, phi, g, 1 / math.sqrt(theta.shape[-1]) if self.use_scale else 1.0)

    def dot_product(self, theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
        """Return the weighted sums (N, I, D) of g (N, J, D) for theta (N, I, E) and phi (N, J, E)."""
        return theta @ (phi.transpose(1, 2) @ (g / phi.shape[1]))  # no matrix of I x J weights

    def concatenation(self, theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
        """Return the weighted sums (N, I, D) of g (N, J, D) for theta (N, I, E) and phi (N, J, E)."""
        projection: Any = self.concat_project.conv.weight
        of_theta, of_phi = projection.flatten(1).chunk(2, dim=1)  # (1, E): p . [a, b] = p1 . a + p2 . b
        pairs = theta @ of_theta.T + (phi @ of_phi.T).transpose(1, 2)  # (N, I, J)
        return relu(pairs) @ (g / phi.shape[1])


def _attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Return the attention with one head, (N, I, D)."""
    query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
    return scaled_dot_product_attention(query, key, value, scale=scale).squeeze(1)


@PLUGIN_LAYERS.register_module()
class NonLocal1d(_NonLocalNd):
    """A non-local block for (N, C, L) (Wang et al., "Non-local Neural Networks", 2018).

    Args:
        in_channels: C of the input and the output.
        sub_sample: Whether max pooling halves the length over which is summed.
        conv_cfg: Config of the convolutions; None for ``Conv1d``.
        **kwargs: The other arguments: ``reduction``, ``use_scale``, ``norm_cfg``, ``mode``, ``zeros_init`` and
            ``std``. The base class has their meaning and the formulas.
    """

    def __init__(
        self, in_channels: int, sub_sample: bool = False, conv_cfg: Cfg = None, **kwargs: Any
    ) -> None:
        super().__init__(in_channels, conv_cfg=conv_cfg or {"type": "Conv1d"}, **kwargs)
        self.sub_sample = sub_sample
        if sub_sample:
            self._sub_sample(nn.MaxPool1d(2))


@PLUGIN_LAYERS.register_module()
class NonLocal2d(_NonLocalNd):
    """A non-local block for (N, C, H, W) (Wang et al., "Non-local Neural Networks", 2018).

    Args:
        in_channels: C of the input and the output.
        sub_sample: Whether max pooling halves the height and the width over which is summed.
        conv_cfg: Config of the convolutions; None for ``Conv2d``.
        **kwargs: The other arguments: ``reduction``, ``use_scale``, ``norm_cfg``, ``mode``, ``zeros_init`` and
            ``std``. The base class has their meaning and the formulas.
    """

    def __init__(
        self, in_channels: int, sub_sample: bool = False, conv_cfg: Cfg = None, **kwargs: Any
    ) -> None:
        super().__init__(in_channels, conv_cfg=conv_cfg or {"type": "Conv2d"}, **kwargs)
        self.sub_sample = sub_sample
        if sub_sample:
            self._sub_sample(nn.MaxPool2d((2, 2)))


@PLUGIN_LAYERS.register_module()
class NonLocal3d(_NonLocalNd):
    """A non-local block for (N, C, T, H, W) (Wang et al., "Non-local Neural Networks", 2018).

    Args:
        in_channels: C of the input and the output.
        sub_sample: Whether max pooling halves the height and the width over which is summed.
        conv_cfg: Config of the convolutions; None for ``Conv3d``.
        **kwargs: The other arguments: ``reduction``, ``use_scale``, ``norm_cfg``, ``mode``, ``zeros_init`` and
            ``std``. The base class has their meaning and the formulas.
    """

    def __init__(
        self, in_channels: int, sub_sample: bool = False, conv_cfg: Cfg = None, **kwargs: Any
    ) -> None:
        super().__init__(in_channels, conv_cfg=conv_cfg or {"type": "Conv3d"}, **kwargs)
        self.sub_sample = sub_sample
        if sub_sample:
            self._sub_sample(nn.MaxPool3d((1, 2, 2)))
