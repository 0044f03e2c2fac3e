"""A small causal transformer for sequences of tokens."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from cfgtrain.arguments import check_divisor, check_integer, check_number, check_positive
from cfgtrain.cnn.module import BaseModule
from cfgtrain.cnn.tools.modes import eval_mode
from cfgtrain.errors import ArgumentError
from cfgtrain.registries import MODELS

__all__ = ["TinyTransformer"]


class _Block(nn.Module):
    """Causal self-attention and a feed-forward network, each with a residual connection after a layer norm."""

    def __init__(self, embed_dims: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.norm1 = nn.LayerNorm(embed_dims)
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.ffn = nn.Sequential(
            nn.Linear(embed_dims, 4 * embed_dims),
            nn.GELU(),
            nn.Linear(4 * embed_dims, embed_dims),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attention(self.norm1(x))  # (B, T, D)
        mixed: Tensor = self.ffn(self.norm2(x))
        return x + mixed

    def _attention(self, x: Tensor) -> Tensor:
        batch, length, dims = x.shape
        heads = self.qkv(x).view(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = heads  # (B, heads, T, D / heads) each
        p = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=p, is_causal=True)
        mixed = self.proj(mixed.transpose(1, 2).reshape(batch, length, dims))  # (B, T, D)
        return functional.dropout(mixed, self.dropout, self.training)


@MODELS.register_module()
class TinyTransformer(BaseModule):
    """A causal transformer that predicts the next token of a sequence, such as text of characters or bytes.

    A decoder with learned positions and layer norms before each block (Radford et al., "Language models are
    unsupervised multitask learners", 2019).

    Args:
        vocab_size: Number of different tokens.
        block_size: Greatest length of a sequence.
        embed_dims: Number of features per token.
        num_layers: Number of blocks.
        num_heads: Number of attention heads, which must divide ``embed_dims``.
        dropout: Probability, 0 to 1, of setting a feature to 0 during training.
        init_cfg: Config of the weight initialization; by default normal with a standard deviation of 0.02.

    Raises:
        ArgumentError: An argument is out of range.
    """

    # The three parts of qkv cannot be divided like one layer.
    tensor_parallel_plan: ClassVar[dict[str, str]] = {
        "blocks.*.ffn.0": "colwise",
        "blocks.*.ffn.2": "rowwise",
    }

    def __init__(
        self,
        vocab_size: int = 256,
        block_size: int = 128,
        embed_dims: int = 128,
        num_layers: int = 4,
        num_heads: int = 4,
        dropout: float = 0.0,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.vocab_size = check_integer("vocab_size", vocab_size, 1)
        self.block_size = check_integer("block_size", block_size, 1)
        check_integer("embed_dims", embed_dims, 1)
        check_integer("num_layers", num_layers, 1)
        check_integer("num_heads", num_heads, 1)
        check_divisor("num_heads", num_heads, embed_dims, f"the {embed_dims} embed_dims")
        check_number("dropout", dropout, 0, 1)
        self.tokens = nn.Embedding(vocab_size, embed_dims)
        self.positions = nn.Embedding(block_size, embed_dims)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(_Block(embed_dims, num_heads, dropout) for _ in range(num_layers)))
        self.norm = nn.LayerNorm(embed_dims)
        self.head = nn.Linear(embed_dims, vocab_size, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, inputs: Tensor, targets: Tensor | None = None, return_loss: bool = True) -> Any:
        """Compute the loss, or the probabilities of the next token at each position.

        Args:
            inputs: (B, T) int64 tokens, 0 to ``vocab_size - 1``, where T is at most ``block_size``.
            targets: (B, T) int64, the token after each of ``inputs``; required for the loss. -100 is left out.
            return_loss: Whether to return the loss instead of probabilities.

        Returns:
            With ``return_loss``, a dict with the scalar ``loss``, the cross entropy in nats per token. Otherwise
            (B, T, vocab_size) probabilities.

        Raises:
            ArgumentError: ``targets`` is missing although ``return_loss`` is True, the sequences are too long, or a
                token is not in the vocabulary.
        """
        scores = self.scores(inputs)
        if not return_loss:
            return scores.softmax(dim=-1)
        if targets is None:
            raise ArgumentError("The loss requires targets, the next token of each of the inputs.")
        return self._losses(scores, targets)

    def forward_with_loss(
        self, inputs: Tensor, targets: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the probabilities and the loss in one pass; see ``forward``.

        Returns:
            (B, T, vocab_size) probabilities, and a dict with ``loss``, empty without ``targets``.
        """
        scores = self.scores(inputs)
        return scores.softmax(dim=-1), {} if targets is None else self._losses(scores, targets)

    def train_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Compute the loss of a training batch. The optimizer hook runs the backward pass and the step.

        Args:
            data: The batch, a dict or tuple of the arguments of ``forward``.
            optimizer: Unused; part of MMCV's interface.
            kwargs: Unused.

        Returns:
            A dict with ``loss``, a scalar tensor with gradient.
        """
        losses: dict[str, Any] = self(**data) if isinstance(data, dict) else self(*data)
        return losses

    def val_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Compute the loss of a validation batch, for a ``('val', n)`` flow; see ``train_step``."""
        return self.train_step(data, optimizer, **kwargs)

    def scores(self, inputs: Tensor) -> Tensor:
        """Return the (B, T, vocab_size) scores before softmax of the token after each of the (B, T) inputs.

        Raises:
            ArgumentError: The sequences are too long, or a token is not in the vocabulary.
        """
        length = inputs.shape[1]
        if length > self.block_size:
            raise ArgumentError(
                f"The sequences have {length} tokens, more than the block_size of the model, {self.block_size}."
            )
        try:
            x = self.tokens(inputs)
        except (IndexError, RuntimeError):
            self._check_tokens(inputs)
            raise
        x = self.dropout(x + self.positions.weight[:length])  # (B, T, D)
        scores: Tensor = self.head(self.norm(self.blocks(x)))
        return scores

    @torch.no_grad()
    def generate(
        self,
        tokens: Tensor,
        length: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        vocab_size: int | None = None,
    ) -> Tensor:
        """Continue sequences by sampling one token after the other.

        Args:
            tokens: (T,) or (B, T) int64 tokens to continue, at least one; the model sees the last ``block_size``.
            length: Number of tokens to add.
            temperature: Greater values give more random tokens; towards 0 the most probable one is taken.
            generator: Random generator on the CPU; by default torch's global one.
            vocab_size: Only tokens less than this are added: the number of different tokens of the dataset, if the
                model has more.

        Returns:
            (T + length,) or (B, T + length) int64 tokens, those given first.

        Raises:
            ArgumentError: There are no tokens to continue, or an argument is out of range.
        """
        check_integer("length", length, 0)
        check_positive("temperature", temperature)
        known = check_integer("vocab_size", self.vocab_size if vocab_size is None else vocab_size, 1)
        if tokens.ndim not in (1, 2) or tokens.shape[-1] == 0:
            raise ArgumentError(
                f"tokens must be a sequence of at least one token, not of shape {tuple(tokens.shape)}.",
                argument="tokens",
            )
        device = self.tokens.weight.device
        sequence = tokens.to(device).reshape(-1, tokens.shape[-1])  # (B, T)
        with eval_mode(self):
            for _ in range(length):
                scores = self.scores(sequence[:, -self.block_size :])[:, -1, :known]  # (B, known)
                probabilities = (scores.double() / temperature).softmax(dim=-1).cpu()
                drawn = torch.multinomial(probabilities, 1, generator=generator).to(device)
                sequence = torch.cat([sequence, drawn], dim=1)
        return sequence.reshape(*tokens.shape[:-1], -1)

    def _losses(self, scores: Tensor, targets: Tensor) -> dict[str, Tensor]:
        try:
            return {"loss": functional.cross_entropy(scores.flatten(0, 1), targets.flatten())}
        except (IndexError, RuntimeError):
            self._check_tokens(targets[targets != -100])
            raise

    def _check_tokens(self, tokens: Tensor) -> None:
        """Raise if a token is not in the vocabulary."""
        wrong = tokens[(tokens < 0) | (tokens >= self.vocab_size)]
        if wrong.numel():
            raise ArgumentError(
                f"The token {int(wrong.flatten()[0])} is not in the vocabulary of the model, 0 to {self.vocab_size - 1}.",
                hint="Set vocab_size to the number of different tokens of the dataset.",
            )
