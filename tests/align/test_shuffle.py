"""The image-shuffle test: its arithmetic, and the silent faults that it was made for, made again here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.align.shuffle import compare_losses, paired_interval, permuted


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=40), st.integers(0, 99))
def test_a_permutation_shows_each_image_as_often_and_its_own_to_none_where_that_can_be(
    keys: list[str], seed: int
) -> None:
    shown = permuted(keys, seed)
    assert Counter(shown) == Counter(range(len(keys)))
    most = max(Counter(keys).values())
    same = sum(keys[row] == keys[other] for row, other in enumerate(shown))
    assert same == max(0, 2 * most - len(keys)), "only what the commonest image makes unavoidable"


def test_the_interval_is_students_where_every_row_has_an_image_of_its_own() -> None:
    from scipy import stats

    pairs = [(1.0, 1.3), (2.0, 1.9), (0.5, 1.5), (1.2, 1.3), (0.7, 0.8)]
    mean, low, high = paired_interval(pairs, list("abcde"))
    expected = stats.ttest_rel([b for _, b in pairs], [a for a, _ in pairs]).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert mean == pytest.approx(0.28)


def test_rows_that_share_an_image_are_not_independent() -> None:
    pairs = [(1.0, 1.5), (1.0, 1.5), (2.0, 1.8), (2.0, 1.8)]
    _, low, high = paired_interval(pairs, ["a", "a", "b", "b"])
    # Two clusters: sums 1.0 and -0.4, mean 0.15; t(1) = 12.706; half = 12.706 * sqrt(2 * (0.7² + 0.7²)) / 4
    assert high - low == pytest.approx(2 * 12.7062 * math.sqrt(2 * 0.98) / 4, rel=1e-4)
    assert paired_interval(pairs, ["a"] * 4)[1:] == (-1e308, 1e308)


def test_what_is_found_is_permuted_minus_right() -> None:
    found = compare_losses([(1.0, 1.5), (2.0, 1.9)], ["a", "b"])
    assert (found.loss_right, found.loss_permuted) == pytest.approx((1.5, 1.7))
    assert (found.difference, found.largest) == pytest.approx((0.2, 0.5))


# --- Silent faults, in the trainer's own collator ------------------------------------------------------------------


@pytest.fixture
def trained(tiny_model: Callable[..., Path], rows: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Make a trainer and test it, after somebody has spoiled it."""
    from vlsbench.align.parts import load
    from vlsbench.align.recipes import make_recipe
    from vlsbench.align.shuffle import shuffle_test
    from vlsbench.align.trainers import make_trainer, shown_images
    from vlsbench.align.training import _quiet

    def test(
        spoil: Callable[[Any, Any], None], *, method: str = "mm-sft", family: str = "llava", **changes: Any
    ) -> Any:
        with _quiet():
            loaded = load(tiny_model(family))
            recipe = make_recipe(method, batch_size=2)
            data = rows(6)
            images = shown_images(data, "image", tmp_path / "pictures")
            trainer = make_trainer(loaded, recipe, data, images, base=tiny_model(family), out=tmp_path / "run")
            spoil(trainer, loaded)
            return shuffle_test(trainer, loaded, recipe, data, images)

    return test


def nothing(trainer: Any, loaded: Any) -> None:
    pass


@pytest.mark.parametrize(("method", "family"), [("mm-sft", "qwen2_vl"), ("mm-dpo", "llava")])
def test_a_sound_trainer_sees_its_images(trained: Callable[..., Any], method: str, family: str) -> None:
    found, why = trained(nothing, method=method, family=family)
    assert why is None
    assert found.largest > 1e-5
    assert (found.n, found.n_images) == (5, 4)


def test_images_that_never_reach_the_batch_are_caught(trained: Callable[..., Any]) -> None:
    def drop_images(trainer: Any, loaded: Any) -> None:
        whole = trainer.data_collator
        trainer.data_collator = lambda lines: whole([{**line, "images": []} for line in lines])

    found, why = trained(drop_images)
    assert found.largest == 0
    assert "the batch holds no pixels" in why


def test_image_tokens_that_truncation_cut_are_caught(trained: Callable[..., Any]) -> None:
    """As `keep_end` did: the answer is trained on, the loss falls, and no image token is left."""
    import torch

    def keep_end(trainer: Any, loaded: Any) -> None:
        whole = trainer.data_collator
        token = loaded.model.config.image_token_id

        def cut(lines: Any) -> Any:
            batch = dict(whole(lines))
            last = int((batch["input_ids"][0] == token).nonzero().max())
            for name in ("input_ids", "attention_mask", "labels"):
                batch[name] = batch[name][:, last + 1 :]
            return batch

        trainer.data_collator = cut
        forward = loaded.model.forward  # older families took pixels without image tokens in silence

        def lenient(**inputs: Any) -> Any:
            if not torch.any(inputs["input_ids"] == token):
                inputs.pop("pixel_values", None)
            return forward(**inputs)

        loaded.model.forward = lenient

    found, why = trained(keep_end)
    assert found.largest == 0
    assert "no image token: they were cut" in why


def test_a_vision_tower_that_says_nothing_is_caught(trained: Callable[..., Any]) -> None:
    def mute(trainer: Any, loaded: Any) -> None:
        for weight in loaded.model.model.multi_modal_projector.parameters():
            weight.data.zero_()

    found, why = trained(mute)
    assert found.largest == 0
    assert "what the vision tower says is the same for every image" in why


def test_a_run_in_which_the_image_has_no_part_ends_before_it_begins(
    tiny_model: Callable[..., Path], rows: Callable[..., Any], tmp_path: Path
) -> None:
    from vlsbench.align.audit import DataAudit
    from vlsbench.align.recipes import make_recipe
    from vlsbench.align.training import train
    from vlsbench.errors import ModelError

    no = DataAudit(auc=None, cue=None, cue_accuracy=None, majority=None, points_at_image=None)
    with pytest.raises(ModelError, match=r"before training.*all 8 rows show one image"):
        train(make_recipe("mm-sft"), tiny_model("llava"), rows(image="img/0.png"), tmp_path / "run", audit=no)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
