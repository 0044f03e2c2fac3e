"""The Vision Transformer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from cfgtrain.arguments import check_choice, check_integer, check_number
from cfgtrain.cnn.bricks.norm import build_norm_layer
from cfgtrain.cnn.bricks.transformer.adaptive_padding import Size2d, positive_pair
from cfgtrain.cnn.bricks.transformer.attention import check_heads
from cfgtrain.cnn.bricks.transformer.builders import build_transformer_layer_sequence
from cfgtrain.cnn.bricks.transformer.patch_embed import PatchEmbed
from cfgtrain.cnn.network import Network
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.registries import MODELS
from cfgtrain.suggestions import one_of

__all__ = ["VisionTransformer"]

Output = Literal["cls_token", "avg_featmap", "featmap", "raw"]
_OUTPUTS = ("cls_token", "avg_featmap", "featmap", "raw")
_INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
_DIMS = ("embed_dims", "num_layers", "num_heads", "feedforward_channels")
_LN = {"type": "LN", "eps": 1e-6}
_GELU = {"type": "GELU"}
_INIT = (
    {"type": "TruncNormal", "std": 0.02, "layer": "Linear"},
    {"type": "Xavier", "distribution": "uniform", "layer": "Conv2d"},
)


@MODELS.register_module()
class VisionTransformer(Network):
    """A transformer whose input is the patches of an image.

    From Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", 2020; the
    sizes ``"tiny"`` and ``"small"`` from Touvron et al., "Training data-efficient image transformers", 2021.

    Images may have another size than ``img_size``: the position embedding is interpolated, both in ``forward`` and
    when weights that were trained with another size are loaded.

    The parameters are ``cls_token`` (1, 1, C), ``pos_embed`` (1, 1 + H' * W', C), ``patch_embed.projection.*``,
    for each layer ``encoder.layers.<i>.`` and ``attentions.0.attn.in_proj_weight``,
    ``attentions.0.attn.in_proj_bias``, ``attentions.0.attn.out_proj.*``, ``ffns.0.layers.0.0.*``,
    ``ffns.0.layers.1.*``, ``norms.0.*`` and ``norms.1.*``; ``norm.*``, and with a classifier ``head.*``.

    Args:
        arch: ``"tiny"``, ``"small"``, ``"base"`` or ``"large"``, or a dict with ``embed_dims``, ``num_layers``,
            ``num_heads`` and ``feedforward_channels``.
        img_size: H and W of the images in pixels, an int or a pair.
        patch_size: Size of the patches in pixels, an int or a pair. Images are padded to a multiple of it.
        in_channels: Number of channels of the images.
        num_classes: Number of classes. With -1, the network has no classifier and returns features.
        out_type: What the classifier gets, or without classifier what is returned: ``"cls_token"`` the vector of
            the class token, ``"avg_featmap"`` the mean of those of the patches; and only without classifier:
            ``"featmap"`` an image of the vectors of the patches, ``"raw"`` all vectors. None: ``"cls_token"``, or
            ``"avg_featmap"`` if there is no class token.
        with_cls_token: Whether there is a class token.
        drop_rate: Probability of setting an element to zero, in the embeddings and after each linear layer.
        attn_drop_rate: Probability of setting an attention weight to zero.
        drop_path_rate: Probability of dropping a sample in the last layer; it increases linearly from 0 in the first.
        qkv_bias: Whether the linear layers of the attentions have a bias.
        norm_cfg: Config of the normalizations.
        act_cfg: Config of the activation.
        interpolate_mode: How the position embedding is interpolated: ``"nearest"``, ``"nearest-exact"``,
            ``"bilinear"``, ``"bicubic"`` or ``"area"``, as by ``torch.nn.functional.interpolate``.
        init_cfg: Config of the weight initialization; by default a normal distribution with a standard deviation of
            0.02 for linear layers.

    Raises:
        ArgumentError: An argument is invalid, or ``num_heads`` does not divide ``embed_dims``.
    """

    arch_settings: ClassVar[dict[str, tuple[int, int, int, int]]] = {  # in the order of _DIMS
        "tiny": (192, 12, 3, 768),
        "small": (384, 12, 6, 1536),
        "base": (768, 12, 12, 3072),
        "large": (1024, 24, 16, 4096),
    }

    def __init__(
        self,
        arch: str | Mapping[str, int] = "base",
        img_size: Size2d = 224,
        patch_size: Size2d = 16,
        in_channels: int = 3,
        num_classes: int = -1,
        out_type: Output | None = None,
        with_cls_token: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        qkv_bias: bool = True,
        norm_cfg: Mapping[str, Any] = _LN,
        act_cfg: Mapping[str, Any] = _GELU,
        interpolate_mode: str = "bicubic",
        *,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(list(_INIT) if init_cfg is None else init_cfg)
        self.embed_dims, self.num_layers, num_heads, feedforward_channels = self._dims(arch)
        self.num_classes = num_classes
        self.out_type = _output(out_type, with_cls_token, num_classes > 0)
        self.with_cls_token = with_cls_token
        check_choice("interpolate_mode", interpolate_mode, _INTERPOLATIONS)
        self.interpolate_mode = interpolate_mode
        self.img_size = positive_pair("img_size", img_size)
        patch = positive_pair("patch_size", patch_size)
        rates = {"drop_rate": drop_rate, "attn_drop_rate": attn_drop_rate, "drop_path_rate": drop_path_rate}
        for name, rate in rates.items():
            check_number(name, rate, 0, 1)

        self.patch_embed = PatchEmbed(
            in_channels, self.embed_dims, kernel_size=patch, stride=patch, input_size=self.img_size
        )
        # The numbers of rows and columns of patches of an image of img_size.
        rows, columns = self.grid = self.patch_embed.init_out_size or (0, 0)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims)) if with_cls_token else None
        length = rows * columns + int(with_cls_token)
        self.pos_embed = nn.Parameter(torch.zeros(1, length, self.embed_dims))
        self.drop_after_pos = nn.Dropout(drop_rate)
        attention = {
            "type": "MultiheadAttention",
            "embed_dims": self.embed_dims,
            "num_heads": num_heads,
            "attn_drop": attn_drop_rate,
            "proj_drop": drop_rate,
            "bias": qkv_bias,
        }
        ffn = {
            "type": "FFN",
            "embed_dims": self.embed_dims,
            "feedforward_channels": feedforward_channels,
            "ffn_drop": drop_rate,
            "act_cfg": act_cfg,
        }
        layers: list[dict[str, Any]] = []
        for i in range(self.num_layers):
            rate = drop_path_rate * i / max(self.num_layers - 1, 1)
            drop_path = {"type": "DropPath", "drop_prob": rate} if rate else None
            layers.append(
                {
                    "type": "BaseTransformerLayer",
                    "attn_cfgs": {**attention, "dropout_layer": drop_path},
                    "ffn_cfgs": {**ffn, "dropout_layer": drop_path},
                    "operation_order": ("norm", "self_attn", "norm", "ffn"),
                    "norm_cfg": norm_cfg,
                    "batch_first": True,
                }
            )
        self.encoder = build_transformer_layer_sequence(
            {"type": "TransformerLayerSequence", "transformerlayers": layers, "num_layers": self.num_layers}
        )
        self.norm = build_norm_layer(norm_cfg, self.embed_dims)[1]
        if num_classes > 0:
            self.head = nn.Linear(self.embed_dims, num_classes)
        for parameter in (self.pos_embed, self.cls_token):
            if parameter is not None:
                nn.init.trunc_normal_(parameter, std=0.02)

    def _dims(self, arch: Any) -> tuple[int, int, int, int]:
        if isinstance(arch, str):
            check_choice("arch", arch, self.arch_settings)
            return self.arch_settings[arch]
        if not isinstance(arch, Mapping):
            raise ArgumentTypeError(
                f"arch must be {one_of(tuple(self.arch_settings))}, or a dict with {', '.join(_DIMS)}, not {arch!r}.",
                argument="arch",
            )
        missing = [name for name in _DIMS if name not in arch]
        unknown = [name for name in arch if name not in _DIMS]
        if missing or unknown:
            wrong = f"has no {missing[0]!r}" if missing else f"has an unknown {unknown[0]!r}"
            near = (str(unknown[0]), _DIMS) if unknown else None
            message = f"arch must have {', '.join(_DIMS)}; it {wrong}."
            raise ArgumentError(message, near=near, argument=("arch", *unknown[:1]))
        embed_dims, num_layers, num_heads, feedforward_channels = (arch[name] for name in _DIMS)
        check_heads(embed_dims, num_heads, "arch")
        check_integer("num_layers", num_layers, 1)
        return embed_dims, num_layers, num_heads, feedforward_channels

    def forward(self, x: Tensor) -> Tensor:
        """Compute class scores, or features.

        Args:
            x: (B, in_channels, H, W) float images.

        Returns:
            (B, num_classes) scores before softmax; or without classifier, by ``out_type``: (B, C) for
            ``"cls_token"`` and ``"avg_featmap"``, (B, C, H', W') for ``"featmap"``, or
            (B, 1 + H' * W', C) for ``"raw"``, in which the class token is first.
        """
        x, grid = self.patch_embed(x)  # (B, H' * W', C)
        position = self._position(grid)
        if self.cls_token is not None:
            x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1)  # (B, 1 + H' * W', C)
        x = self.drop_after_pos(x + position)
        x = self._select(self.norm(self.encoder(x)), grid)
        return self.head(x) if self.num_classes > 0 else x

    def _select(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the part of all vectors that ``out_type`` asks for."""
        if self.out_type == "raw":
            return x
        if self.out_type == "cls_token":
            return x[:, 0]
        patches = x[:, 1:] if self.with_cls_token else x  # (B, H' * W', C)
        if self.out_type == "avg_featmap":
            return patches.mean(dim=1)
        return patches.transpose(1, 2).reshape(x.shape[0], self.embed_dims, *grid)

    def _position(self, grid: tuple[int, int]) -> Tensor:
        """Return the position embedding for a number of rows and columns of patches."""
        if grid == self.grid:
            return self.pos_embed
        return self._resized(self.pos_embed, self.grid, grid)

    def _resized(self, embedding: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
        """Return a position embedding interpolated from one number of rows and columns to another."""
        extra = int(self.with_cls_token)
        grid = embedding[:, extra:].transpose(1, 2).reshape(1, self.embed_dims, *old)  # (1, C, H', W')
        corners = False if self.interpolate_mode in ("bilinear", "bicubic") else None
        grid = nn.functional.interpolate(
            grid.float(), new, mode=self.interpolate_mode, align_corners=corners
        ).to(embedding.dtype)
        return torch.cat((embedding[:, :extra], grid.flatten(2).transpose(1, 2)), dim=1)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        """Load weights; a position embedding of another image size is interpolated, if the images were square."""
        name = f"{prefix}pos_embed"
        given = state_dict.get(name)
        if isinstance(given, Tensor) and given.ndim == 3 and given.shape != self.pos_embed.shape:
            patches = given.shape[1] - int(self.with_cls_token)
            side = math.isqrt(max(patches, 0))
            if side and side * side == patches and given.shape[2] == self.embed_dims:
                state_dict = {**state_dict, name: self._resized(given, (side, side), self.grid)}
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _output(out_type: Any, with_cls_token: bool, classifier: bool) -> str:
    """Return ``out_type``, or its default."""
    if out_type is None:
        return "cls_token" if with_cls_token else "avg_featmap"
    check_choice("out_type", out_type, _OUTPUTS)
    if out_type == "cls_token" and not with_cls_token:
        raise ArgumentError(
            "out_type='cls_token' needs a class token, with_cls_token=True.", argument="out_type"
        )
    if classifier and out_type in ("featmap", "raw"):
        raise ArgumentError(
            f"out_type must be 'cls_token' or 'avg_featmap' for a classifier, not {out_type!r}.",
            argument="out_type",
        )
    return str(out_type)
