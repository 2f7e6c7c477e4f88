"""A BERT of two layers with random weights, in the files of the encoder judge's base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

__all__ = ["HIDDEN", "WORDS", "make_base"]

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TEXT = (
    "i can not help with that sorry be careful it may hurt you first take the ladder and climb a b c d e f g h . , ##s"
)
WORDS = (*MARKS, *TEXT.split())
HIDDEN = 8


def make_base(folder: Path) -> Path:
    """Write it; skips the test where the extra `encoder` is not installed."""
    torch = pytest.importorskip("torch", reason="the extra 'encoder' is not installed")
    transformers = pytest.importorskip("transformers", reason="the extra 'encoder' is not installed")
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    state = transformers.BertModel(config, add_pooling_layer=False).state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_diff_dict()))
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
