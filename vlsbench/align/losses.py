"""The two unlearning losses, as functions of log-probabilities. Pure: tensors in, a scalar out.

`sums` are log P(answer | prompt) summed over the answer's tokens, `lengths` how many tokens that are. What a
log-probability is, per token or summed, changes a loss by the length of the answers: `log_prob` says which.

Textual Unlearning (Chakraborty et al. 2024, arXiv 2406.02575; arXiv 2411.19939v3, E.1), l the cross-entropy:

    -η_harm · l(x_harm, y_harm) + η_match · l(x_harm, y_helpful) + η_utility · KL(F_φ0(x_normal) ‖ F_φt(x_normal))

SafeUnlearning (Zhang et al. 2024, thu-coai/SafeUnlearning at 47892d0; the same E.1), with NPO's L_h:

    L_g + γ · L_s + α · L_h,   L_h = mean of -log σ(-β · log P_θ(y_h|x) / P_ref(y_h|x)),   L_s, L_g = mean of -log P_θ

There is no factor 2/β before L_h, as in both sources and unlike in NPO's own paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import torch

__all__ = ["Parts", "Said", "divergence", "safe_unlearning_loss", "unlearning_loss"]

LogProb = Literal["mean", "sum"]


class Said(NamedTuple):
    """Answers, and how likely a model finds them."""

    sums: torch.Tensor
    """log P(answer | prompt), shape (n,)."""
    lengths: torch.Tensor
    """Tokens of the answers, shape (n,), at least 1."""

    def log_probs(self, form: LogProb) -> torch.Tensor:
        """Return them per token, or summed."""
        return self.sums / self.lengths if form == "mean" else self.sums


class Parts(NamedTuple):
    """A loss and what it is made of, unweighted."""

    loss: torch.Tensor
    forget: torch.Tensor
    """l_harm of Unlearning, L_h of SafeUnlearning."""
    safe: torch.Tensor
    keep: torch.Tensor


def divergence(reference: torch.Tensor, model: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """KL(reference ‖ model) of the next token, averaged over the positions of `mask`.

    Args:
        reference: Logits, shape (n, tokens, vocabulary).
        model: The same of the model.
        mask: 1 where a position counts, shape (n, tokens).
    """
    expected = reference.float().log_softmax(-1)
    found = model.float().log_softmax(-1)
    by_position = (expected.exp() * (expected - found)).sum(-1)
    return (by_position * mask).sum() / mask.sum().clamp(min=1)


def unlearning_loss(
    harmful: Said, safe: Said, kept: torch.Tensor, *, alpha: float, gamma: float, utility: float, log_prob: LogProb
) -> Parts:
    """Return the loss of Textual Unlearning.

    Args:
        harmful: Harmful answers to harmful prompts; unlikely is better.
        safe: Safe answers to them.
        kept: The divergence on normal texts.
        alpha: η_harm.
        gamma: η_match.
        utility: η_utility.
        log_prob: Whether l is per token or summed.
    """
    forget, match = -harmful.log_probs(log_prob).mean(), -safe.log_probs(log_prob).mean()
    return Parts(-alpha * forget + gamma * match + utility * kept, forget, match, kept)


def safe_unlearning_loss(
    harmful: Said,
    reference: Said,
    safe: Said,
    kept: Said,
    *,
    alpha: float,
    beta: float,
    gamma: float,
    utility: float = 1.0,
    log_prob: LogProb,
) -> Parts:
    """Return the loss of SafeUnlearning.

    Args:
        harmful: Harmful answers to harmful prompts, as the model finds them.
        reference: The same, as the model before training found them.
        safe: Safe answers to harmful prompts.
        kept: Answers to normal prompts.
        alpha: Weight of L_h.
        beta: Of the log-ratio.
        gamma: Weight of L_s; the origin calls it θ.
        utility: Weight of L_g; both sources have 1.
        log_prob: Whether log-probabilities are per token or summed, in all three.
    """
    import torch

    ratio = harmful.log_probs(log_prob) - reference.log_probs(log_prob)
    forget = -torch.nn.functional.logsigmoid(-beta * ratio).mean()
    say, keep = -safe.log_probs(log_prob).mean(), -kept.log_probs(log_prob).mean()
    return Parts(utility * keep + gamma * say + alpha * forget, forget, say, keep)
