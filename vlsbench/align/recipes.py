"""What decides a run of alignment: the methods, and `Recipe`, a frozen record of every setting.

Pure: no files, no model. What the paper states of its own runs (arXiv 2411.19939v3, Table 9) is in `PAPER_RECIPES`;
what it does not state (batch size, schedule, what was frozen, the β of DPO and NPO) has the defaults written here.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple, get_args

from pydantic import Field, ValidationError

from vlsbench.errors import UsageError, numbered
from vlsbench.files import canonical_json, sha256_hex
from vlsbench.records import Record, explain

__all__ = [
    "METHODS",
    "PAPER_RECIPES",
    "Method",
    "MethodName",
    "Objective",
    "Part",
    "Recipe",
    "Sees",
    "make_recipe",
    "method_named",
]

MethodName = Literal[
    "t-sft",
    "mm-sft",
    "t-dpo",
    "mm-dpo",
    "t-unlearning",
    "t-safe-unlearning",
    "mm-rl",
    "mm-sft-blind",
    "mm-sft-clean",
]
Objective = Literal["sft", "dpo", "unlearning", "safe-unlearning", "rl"]
Sees = Literal["nothing", "image", "grey"]
Part = Literal["language", "projector", "vision"]
"""Parts of a model: the language model with its head, what joins the two, the vision tower."""


class Method(NamedTuple):
    """One way to align."""

    name: MethodName
    objective: Objective
    sees: Sees
    """What of a row's image is shown: nothing, the image, or a grey one of its size."""
    in_paper: str | None
    """The paper's name for it, None for an arm that the paper lacks."""
    says: str
    """One sentence."""

    @property
    def is_multimodal(self) -> bool:
        """Whether images are shown."""
        return self.sees != "nothing"


METHODS: Final[dict[str, Method]] = {
    m.name: m
    for m in (
        Method("t-sft", "sft", "nothing", "Textual SFT", "Supervised fine-tuning on texts alone."),
        Method("mm-sft", "sft", "image", "MM-SFT", "Supervised fine-tuning on images and texts."),
        Method("t-dpo", "dpo", "nothing", "Textual DPO", "DPO on texts alone: images are left out."),
        Method("mm-dpo", "dpo", "image", "MM-DPO", "DPO on images and texts."),
        Method(
            "t-unlearning",
            "unlearning",
            "nothing",
            "Textual Unlearning",
            "Gradient ascent on harmful answers, by text.",
        ),
        Method("t-safe-unlearning", "safe-unlearning", "nothing", "Textual SafeUnlearning", "NPO and SFT, by text."),
        Method("mm-rl", "rl", "image", "MM-PPO", "RLOO or GRPO (the paper used PPO, which TRL no longer has)."),
        Method("mm-sft-blind", "sft", "grey", None, "MM-SFT on the same rows with a grey image in place of each."),
        Method("mm-sft-clean", "sft", "image", None, "MM-SFT on rows drawn by weights under which text predicts less."),
    )
}
"""By name, in the order in which they are shown."""


class Recipe(Record):
    """All that decides a run beside the model and the rows."""

    method: MethodName
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-5
    epochs: Annotated[float, Field(gt=0, le=1000)] = 1.0
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Optimiser steps; stands above `epochs`."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 8
    """Rows at once on one device. For RL prompts times answers."""
    accumulation: Annotated[int, Field(ge=1, le=4096)] = 1
    """Batches before a step."""
    max_length: Annotated[int, Field(ge=8)] | None = 2048
    """Tokens of a row, its image among them; what is longer loses the end of its answer. None: nothing is cut."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of the steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    beta: Annotated[float, Field(ge=0)] = 0.1
    """DPO and NPO: of the log-ratio to the reference. RL: of the KL to the reference; 0 keeps none."""
    alpha: Annotated[float, Field(ge=0)] = 0.3
    """Weight of forgetting: L_h of SafeUnlearning, l_harm of Unlearning."""
    gamma: Annotated[float, Field(ge=0)] = 0.5
    """Weight of safe answers to harmful prompts: L_s of SafeUnlearning (the origin's θ), l_match of Unlearning."""
    utility: Annotated[float, Field(ge=0)] = 1.0
    """Weight of what is kept: L_g of SafeUnlearning, the KL on normal texts of Unlearning."""
    log_prob: Literal["mean", "sum"] = "mean"
    """Unlearning: log-probability of an answer per token (the origin's code) or summed (as the paper writes it)."""
    algorithm: Literal["rloo", "grpo"] = "rloo"
    """Of `mm-rl`."""
    n_answers: Annotated[int, Field(ge=2, le=64)] = 4
    """RL: answers to one prompt."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """RL: budget of an answer."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """RL: of the answers."""
    trains: Annotated[tuple[Part, ...], Field(min_length=1)] = ("language", "projector")
    """Parts whose weights move; a text method only ever trains the language model."""
    lora_rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    """None: all weights of `trains`; else adapters on their linear layers."""
    lora_alpha: Annotated[int, Field(ge=1)] = 32
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` computes in bfloat16 on weights kept in float32."""
    checkpointing: bool = False
    """Recompute activations: less memory, a third more time."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    draw: Annotated[int, Field(ge=1)] | None = None
    """`mm-sft-clean`: rows drawn; None as many as there are."""
    save_every: Annotated[int, Field(ge=1)] = 200
    """Steps between checkpoints."""

    @property
    def how(self) -> Method:
        """What its method is."""
        return METHODS[self.method]

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts whose weights move."""
        return self.trains if self.how.is_multimodal else ("language",)

    @property
    def digest(self) -> str:
        """SHA-256 of the whole record."""
        return sha256_hex(canonical_json(self.model_dump(mode="json")))


_DEFAULTS: Final[dict[Objective, dict[str, object]]] = {
    "sft": {},
    # SPA-VL's own runs (arXiv 2406.12030): β 0.1, 1e-6, one epoch, cosine.
    "dpo": {"learning_rate": 1e-6, "beta": 0.1},
    # Chakraborty et al. 2024, as the paper quotes its default: η 0.5, 1, 1.
    "unlearning": {"learning_rate": 2e-5, "epochs": 3.0, "alpha": 0.5, "gamma": 1.0, "utility": 1.0},
    # thu-coai/SafeUnlearning at 47892d0: α 0.3, β 1.0, θ 0.5, per token, 2e-5, five epochs, 1,536 tokens.
    "safe-unlearning": {
        "learning_rate": 2e-5,
        "epochs": 5.0,
        "max_length": 1536,
        "alpha": 0.3,
        "beta": 1.0,
        "gamma": 0.5,
    },
    # SPA-VL's PPO: 5e-7, KL 0.1.
    "rl": {"learning_rate": 5e-7, "beta": 0.1},
}
"""What differs from `Recipe`'s own defaults, by objective."""

PAPER_RECIPES: Final[dict[str, dict[str, object]]] = {
    "llava-1.5-7b/t-sft": {"method": "t-sft", "learning_rate": 2e-5, "epochs": 2.0, "max_length": 2048},
    "llava-1.5-13b/t-sft": {"method": "t-sft", "learning_rate": 2e-5, "epochs": 2.0, "max_length": 2048},
    "llava-1.5-7b/t-unlearning": {"method": "t-unlearning", "learning_rate": 2e-5, "epochs": 3.0, "max_length": 2048},
    "llava-1.5-7b/t-safe-unlearning": {
        "method": "t-safe-unlearning",
        "learning_rate": 2e-5,
        "epochs": 3.0,
        "max_length": 2048,
        "alpha": 0.3,
        "gamma": 0.3,
        "log_prob": "sum",
        "beta": 0.1,
    },
    "qwen2-vl-7b/t-sft": {"method": "t-sft", "learning_rate": 1e-5, "epochs": 2.0, "max_length": 1024},
    "qwen2-vl-7b/mm-sft": {"method": "mm-sft", "learning_rate": 1e-5, "epochs": 3.0, "max_length": 1024},
}
"""Table 9 (all weights, no LoRA). Its row "T-Unlearning" is taken for both unlearning losses; α = γ = 0.3 and the sums
are section E.1's, where β is not stated: 0.1 is what NPO's authors use with sums (arXiv 2404.05868)."""


def method_named(name: str) -> Method:
    """Return a method.

    Raises:
        UsageError: If there is none of that name.
    """
    if name not in METHODS:
        raise UsageError(f"{name!r} is no method; there are {numbered(list(METHODS))}.")
    return METHODS[name]


def make_recipe(method: str, paper: str | None = None, **changes: object) -> Recipe:
    """Make a recipe: defaults of the method's objective, then a named recipe of the paper, then `changes`.

    Args:
        method: A name of `METHODS`.
        paper: A name of `PAPER_RECIPES`.
        changes: Fields of `Recipe`.

    Raises:
        UsageError: If a name does not exist, the named recipe is of another method, or a value breaks a rule.

    >>> recipe = make_recipe("t-safe-unlearning")
    >>> recipe.alpha, recipe.beta, recipe.gamma, recipe.log_prob
    (0.3, 1.0, 0.5, 'mean')
    """
    how = method_named(method)
    named: dict[str, object] = {}
    if paper is not None:
        if paper not in PAPER_RECIPES:
            raise UsageError(f"{paper!r} is no recipe of the paper; there are {numbered(list(PAPER_RECIPES))}.")
        named = PAPER_RECIPES[paper]
        if named["method"] != method:
            raise UsageError(f"the paper's recipe {paper!r} is of {named['method']}, and {method} was asked for.")
    values = {**_DEFAULTS[how.objective], **named, **changes, "method": method}
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"recipe of {method}: {'; '.join(explain(error))}.") from None


assert tuple(METHODS) == get_args(MethodName)  # noqa: S101
