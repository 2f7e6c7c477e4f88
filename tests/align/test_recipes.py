"""Recipes: the paper's table, the origins' defaults, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from vlsbench.align.recipes import METHODS, PAPER_RECIPES, make_recipe
from vlsbench.errors import UsageError


@pytest.mark.parametrize("name", PAPER_RECIPES)
def test_every_recipe_of_the_paper_is_a_recipe(name: str) -> None:
    method = str(PAPER_RECIPES[name]["method"])
    assert make_recipe(method, name).method == method


@pytest.mark.parametrize(
    ("name", "learning_rate", "epochs", "max_length"),
    [  # Table 9
        ("llava-1.5-7b/t-sft", 2e-5, 2, 2048),
        ("llava-1.5-7b/t-unlearning", 2e-5, 3, 2048),
        ("llava-1.5-13b/t-sft", 2e-5, 2, 2048),
        ("qwen2-vl-7b/t-sft", 1e-5, 2, 1024),
        ("qwen2-vl-7b/mm-sft", 1e-5, 3, 1024),
    ],
)
def test_table_9_is_what_the_paper_prints(name: str, learning_rate: float, epochs: float, max_length: int) -> None:
    recipe = make_recipe(str(PAPER_RECIPES[name]["method"]), name)
    assert (recipe.learning_rate, recipe.epochs, recipe.max_length) == (learning_rate, epochs, max_length)
    assert recipe.lora_rank is None, "the paper trained all weights"


def test_safe_unlearning_has_its_origins_defaults_and_the_papers_by_name() -> None:
    origin = make_recipe("t-safe-unlearning")
    assert (origin.alpha, origin.beta, origin.gamma, origin.log_prob) == (0.3, 1.0, 0.5, "mean")
    paper = make_recipe("t-safe-unlearning", "llava-1.5-7b/t-safe-unlearning")
    assert (paper.alpha, paper.gamma, paper.log_prob) == (0.3, 0.3, "sum")
    assert (lambda r: (r.alpha, r.gamma, r.utility))(make_recipe("t-unlearning")) == (0.5, 1.0, 1.0)


def test_a_text_method_trains_nothing_but_the_language_model() -> None:
    for name, how in METHODS.items():
        assert how.is_multimodal is not name.startswith("t-")
        if not how.is_multimodal:
            assert make_recipe(name, trains=("language", "projector", "vision")).parts == ("language",)


@pytest.mark.parametrize(
    ("method", "paper", "changes", "said"),
    [
        ("mm-ppo", None, {}, "no method"),
        ("t-sft", "llama/t-sft", {}, "no recipe of the paper"),
        ("mm-sft", "qwen2-vl-7b/t-sft", {}, "is of t-sft"),
        ("t-sft", None, {"learning_rate": 0}, "learning_rate"),
        ("t-sft", None, {"learningrate": 1e-5}, "learningrate"),
        ("t-sft", None, {"epochs": -1}, "epochs"),
        ("t-sft", None, {"log_prob": "median"}, "log_prob"),
        ("mm-rl", None, {"n_answers": 1}, "n_answers"),  # one answer has no other to be compared with
    ],
)
def test_what_is_no_recipe_is_a_sentence(method: str, paper: str | None, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_recipe(method, paper, **changes)


def test_a_recipes_digest_covers_every_field() -> None:
    base = make_recipe("t-sft")
    assert base.digest == make_recipe("t-sft").digest
    assert len({base.digest, make_recipe("t-sft", seed=1).digest, make_recipe("t-sft", beta=0.2).digest}) == 3
