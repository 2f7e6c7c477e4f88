"""The unlearning losses against numbers worked out by hand, and their gradients against finite differences."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
from needed import needs

from vlsbench.align.losses import Said, divergence, safe_unlearning_loss, unlearning_loss

pytestmark = needs("torch", extra="align")


def said(sums: list[float], lengths: list[int]) -> Said:
    import torch

    return Said(torch.tensor(sums, dtype=torch.float64), torch.tensor(lengths))


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


class Rows(NamedTuple):
    """Two rows: answers of 2 and 4 tokens. -log σ(-βr) = log(1 + e^(βr))."""

    harmful: Said
    reference: Said
    safe: Said
    kept: Said


@pytest.fixture
def rows() -> Rows:
    return Rows(
        harmful=said([-2.0, -8.0], [2, 4]),
        reference=said([-3.0, -4.0], [2, 4]),
        safe=said([-6.0, -2.0], [3, 1]),
        kept=said([-4.0, -9.0], [4, 3]),
    )


def test_safe_unlearning_per_token_is_what_is_worked_out_by_hand(rows: Rows) -> None:
    # Per token: log-ratios (-1 + 1.5, -2 + 1) = (0.5, -1); L_s = (2 + 2) / 2; L_g = (1 + 3) / 2.
    forget = (softplus(0.5) + softplus(-1.0)) / 2
    got = safe_unlearning_loss(
        rows.harmful, rows.reference, rows.safe, rows.kept, alpha=0.3, beta=1.0, gamma=0.5, log_prob="mean"
    )
    assert float(got.forget) == pytest.approx(forget)
    assert float(got.loss) == pytest.approx(2.0 + 0.5 * 2.0 + 0.3 * forget)


def test_safe_unlearning_summed_is_the_papers(rows: Rows) -> None:
    # Summed: log-ratios (1, -4); L_s = (6 + 2) / 2; L_g = (4 + 9) / 2; α = γ = 0.3, β 0.1.
    forget = (softplus(0.1) + softplus(-0.4)) / 2
    got = safe_unlearning_loss(
        rows.harmful, rows.reference, rows.safe, rows.kept, alpha=0.3, beta=0.1, gamma=0.3, log_prob="sum"
    )
    assert float(got.loss) == pytest.approx(6.5 + 0.3 * 4.0 + 0.3 * forget)


def test_before_training_npo_is_log_2_without_the_factor_2_over_beta(rows: Rows) -> None:
    got = safe_unlearning_loss(
        rows.harmful, rows.harmful, rows.safe, rows.kept, alpha=1, beta=0.1, gamma=1, log_prob="mean"
    )
    assert float(got.forget) == pytest.approx(math.log(2))


def test_unlearning_is_what_is_worked_out_by_hand(rows: Rows) -> None:
    import torch

    kept = torch.tensor(0.25, dtype=torch.float64)
    weights: Any = {"alpha": 0.5, "gamma": 1.0, "utility": 2.0}
    mean = unlearning_loss(rows.harmful, rows.safe, kept, **weights, log_prob="mean")
    assert float(mean.loss) == pytest.approx(-0.5 * 1.5 + 2.0 + 2.0 * 0.25)
    summed = unlearning_loss(rows.harmful, rows.safe, kept, **weights, log_prob="sum")
    assert float(summed.loss) == pytest.approx(-0.5 * 5.0 + 4.0 + 2.0 * 0.25)


def test_divergence_is_kl_from_reference_to_model_over_the_masked_positions() -> None:
    import torch

    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    reference, model = torch.stack([p.log(), q.log()])[None], torch.stack([q.log(), p.log()])[None]
    forward = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    backward = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert float(divergence(reference, model, torch.tensor([[1, 0]]))) == pytest.approx(forward, rel=1e-5)
    both = float(divergence(reference, model, torch.tensor([[1, 1]])))
    assert both == pytest.approx((forward + backward) / 2, rel=1e-5)


@pytest.mark.parametrize("log_prob", ["mean", "sum"])
def test_gradients_are_finite_differences(rows: Rows, log_prob: Any) -> None:
    import torch

    def safe(h: Any, s: Any, k: Any) -> Any:
        kinds = (Said(h, rows.harmful.lengths), rows.reference, Said(s, rows.safe.lengths), Said(k, rows.kept.lengths))
        return safe_unlearning_loss(*kinds, alpha=0.3, beta=0.7, gamma=0.4, utility=0.9, log_prob=log_prob).loss

    def plain(h: Any, s: Any, k: Any) -> Any:
        kinds = (Said(h, rows.harmful.lengths), Said(s, rows.safe.lengths), (k**2).sum())
        return unlearning_loss(*kinds, alpha=0.5, gamma=1.0, utility=0.8, log_prob=log_prob).loss

    for function in (safe, plain):
        at: list[Any] = [kind.sums.clone().requires_grad_() for kind in (rows.harmful, rows.safe, rows.kept)]
        function(*at).backward()
        for which, values in enumerate(at):
            for place in range(2):
                step = torch.zeros(2, dtype=torch.float64)
                step[place] = 1e-6
                moved = [[v.detach() + sign * step * (i == which) for i, v in enumerate(at)] for sign in (1, -1)]
                slope = (float(function(*moved[0])) - float(function(*moved[1]))) / 2e-6
                assert float(values.grad[place]) == pytest.approx(slope, abs=1e-7)


def test_harmful_answers_become_less_likely_and_safe_ones_more(rows: Rows) -> None:
    at: list[Any] = [kind.sums.clone().requires_grad_() for kind in (rows.harmful, rows.safe)]
    kinds = (Said(at[0], rows.harmful.lengths), rows.reference, Said(at[1], rows.safe.lengths), rows.kept)
    loss: Any = safe_unlearning_loss(*kinds, alpha=0.3, beta=1.0, gamma=0.5, log_prob="mean").loss
    loss.backward()
    assert (at[0].grad > 0).all()
    assert (at[1].grad < 0).all()
