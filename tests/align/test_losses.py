"""The unlearning losses against numbers worked out by hand, and their gradients against finite differences."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'align'")

from vlsbench.align.losses import Said, divergence, safe_unlearning_loss, unlearning_loss  # noqa: E402


def said(sums: list[float], lengths: list[int]) -> Said:
    return Said(torch.tensor(sums, dtype=torch.float64), torch.tensor(lengths))


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


# Two rows: answers of 2 and 4 tokens. -log σ(-βr) = log(1 + e^(βr)).
HARMFUL, REFERENCE = said([-2.0, -8.0], [2, 4]), said([-3.0, -4.0], [2, 4])
SAFE, KEPT = said([-6.0, -2.0], [3, 1]), said([-4.0, -9.0], [4, 3])


def test_safe_unlearning_per_token_is_what_is_worked_out_by_hand() -> None:
    # Per token: log-ratios (-1 + 1.5, -2 + 1) = (0.5, -1); L_s = (2 + 2) / 2; L_g = (1 + 3) / 2.
    forget = (softplus(0.5) + softplus(-1.0)) / 2
    got = safe_unlearning_loss(HARMFUL, REFERENCE, SAFE, KEPT, alpha=0.3, beta=1.0, gamma=0.5, log_prob="mean")
    assert float(got.forget) == pytest.approx(forget)
    assert float(got.loss) == pytest.approx(2.0 + 0.5 * 2.0 + 0.3 * forget)


def test_safe_unlearning_summed_is_the_papers() -> None:
    # Summed: log-ratios (1, -4); L_s = (6 + 2) / 2; L_g = (4 + 9) / 2; α = γ = 0.3, β 0.1.
    forget = (softplus(0.1) + softplus(-0.4)) / 2
    got = safe_unlearning_loss(HARMFUL, REFERENCE, SAFE, KEPT, alpha=0.3, beta=0.1, gamma=0.3, log_prob="sum")
    assert float(got.loss) == pytest.approx(6.5 + 0.3 * 4.0 + 0.3 * forget)


def test_before_training_npo_is_log_2_without_the_factor_2_over_beta() -> None:
    got = safe_unlearning_loss(HARMFUL, HARMFUL, SAFE, KEPT, alpha=1, beta=0.1, gamma=1, log_prob="mean")
    assert float(got.forget) == pytest.approx(math.log(2))


def test_unlearning_is_what_is_worked_out_by_hand() -> None:
    kept = torch.tensor(0.25, dtype=torch.float64)
    weights: Any = {"alpha": 0.5, "gamma": 1.0, "utility": 2.0}
    mean = unlearning_loss(HARMFUL, SAFE, kept, **weights, log_prob="mean")
    assert float(mean.loss) == pytest.approx(-0.5 * 1.5 + 2.0 + 2.0 * 0.25)
    summed = unlearning_loss(HARMFUL, SAFE, kept, **weights, log_prob="sum")
    assert float(summed.loss) == pytest.approx(-0.5 * 5.0 + 4.0 + 2.0 * 0.25)


def test_divergence_is_kl_from_reference_to_model_over_the_masked_positions() -> None:
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    reference, model = torch.stack([p.log(), q.log()])[None], torch.stack([q.log(), p.log()])[None]
    forward = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    backward = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert float(divergence(reference, model, torch.tensor([[1, 0]]))) == pytest.approx(forward, rel=1e-5)
    both = float(divergence(reference, model, torch.tensor([[1, 1]])))
    assert both == pytest.approx((forward + backward) / 2, rel=1e-5)


@pytest.mark.parametrize("log_prob", ["mean", "sum"])
def test_gradients_are_finite_differences(log_prob: Any) -> None:
    def safe(h: Any, s: Any, k: Any) -> Any:
        kinds = (Said(h, HARMFUL.lengths), REFERENCE, Said(s, SAFE.lengths), Said(k, KEPT.lengths))
        return safe_unlearning_loss(*kinds, alpha=0.3, beta=0.7, gamma=0.4, utility=0.9, log_prob=log_prob).loss

    def plain(h: Any, s: Any, k: Any) -> Any:
        kinds = (Said(h, HARMFUL.lengths), Said(s, SAFE.lengths), (k**2).sum())
        return unlearning_loss(*kinds, alpha=0.5, gamma=1.0, utility=0.8, log_prob=log_prob).loss

    for function in (safe, plain):
        at = [kind.sums.clone().requires_grad_() for kind in (HARMFUL, SAFE, KEPT)]
        function(*at).backward()
        for which, values in enumerate(at):
            for place in range(2):
                step = torch.zeros(2, dtype=torch.float64)
                step[place] = 1e-6
                moved = [[v.detach() + sign * step * (i == which) for i, v in enumerate(at)] for sign in (1, -1)]
                slope = (float(function(*moved[0])) - float(function(*moved[1]))) / 2e-6
                assert float(values.grad[place]) == pytest.approx(slope, abs=1e-7)


def test_harmful_answers_become_less_likely_and_safe_ones_more() -> None:
    at = [kind.sums.clone().requires_grad_() for kind in (HARMFUL, SAFE)]
    kinds = (Said(at[0], HARMFUL.lengths), REFERENCE, Said(at[1], SAFE.lengths), KEPT)
    safe_unlearning_loss(*kinds, alpha=0.3, beta=1.0, gamma=0.5, log_prob="mean").loss.backward()
    assert (at[0].grad > 0).all()
    assert (at[1].grad < 0).all()
