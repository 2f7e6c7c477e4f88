"""Textual and multimodal alignment as recipes on TRL's trainers, and what shows whether the image had a part in it.

    recipes.py          METHODS and `Recipe`: all that decides a run, frozen; the paper's Table 9 by name
    rows.py             the training file → rows, their digests, what is wrong with them
    readers.py          VLGuard, SPA-VL, PKU-SafeRLHF, BeaverTails-V → rows; the paper's selection
    draw.py             mm-sft-clean: rows drawn in proportion to weights of `vlsbench leakage --reweight`
    audit.py            what the texts of the rows give away; rows that are VLSBench's
    parts.py            a model folder → model and processor; its parts, what is frozen, digests of weights
    tokens.py           how many tokens a row takes, its image among them
    plan.py             rows, tokens, memory, steps; every reason not to begin
    losses.py           the two unlearning losses, pure functions of log-probabilities
    unlearning.py       the trainer that lowers them
    trainers.py         rows and recipe → the trainer that runs
    shuffle.py          the image-shuffle test: loss with right against permuted images
    training.py         `train`: everything above, in order
    capsule.py          what a run was made of and what came of it, on disk; replay.py: made again, compared

The seam, for whoever trains from Python:

* **A training file** is JSON Lines, images beside it: each line is a `TrainingRow` with `prompt` and any of `image`
  (path relative to the file; null or absent: text only), `response` (what should be said; `chosen` is the same),
  `rejected` (what should not be said), `kind` (`harmful` or `benign`), `id` (default: the line's number). SFT needs
  `response`; DPO `response` and `rejected` on every row; unlearning `kind`, `response`, and `rejected` on harmful rows;
  RL only `prompt`. So one file serves every method: text methods leave the images out. `read_rows(path)` reads it,
  `TrainingData(rows, folder)` is the same without a file.
* **`make_recipe(method, **changes)`** → `Recipe`, a frozen record: `method`, `learning_rate`, `epochs`,
  `batch_size`, `beta`, `seed`, `lora_rank`, `max_length`, `precision`, …
* **`train(recipe, model, data, out, *, reward=None, on_step=None)`** → `Run` (`run.model` is the folder of the aligned
  model, which `transformers:FOLDER` reads; `run.capsule` what was made). A reward is a callable
  `(rows, answers) -> floats`, None for an answer that could not be judged.
* **The command**: `vlsbench align METHOD --model DIR --data FILE --out DIR`.

May import `dataset`, `generate`, `judge`, `leakage` and `metrics`; nothing above. torch, transformers, trl and peft are
imported inside functions.
"""
