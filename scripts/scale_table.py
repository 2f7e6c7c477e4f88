"""Print the table of `docs/scale.md`: what 1, 100 and 10,000 models cost, from the figures of one call.

    python scripts/scale_table.py [--price-in 2.5 --price-out 10 --discount 1 …]

A model has 2,241 samples; each is one call of the model and one of every judge. Prices are examples and the user's to
change: money for a million tokens. What was measured, and where, stands beside each default.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, fields

__all__ = ["Call", "Scale", "main", "render"]

MODELS = (1, 100, 10_000)
SAMPLES = 2_241


@dataclass(frozen=True)
class Call:
    """One call, and what stands around it."""

    price_in: float = 2.50
    """Example, money for a million tokens in; November 2026. Look yours up."""
    price_out: float = 10.00
    """Example, money for a million tokens out."""
    discount: float = 1.0
    """0.5 with `--batch`."""
    tokens_in: int = 1_500
    """Of a judge's question: about 600 of text, 765 for an image of 1,024 px (OpenAI's tiles)."""
    tokens_out: int = 60
    """Of a judge's reply: a label and a sentence."""
    latency_seconds: float = 2.0
    """Of a judge's reply; an assumption."""
    concurrency: int = 64
    """Calls under way at once, on all machines together."""
    cpu_seconds: float = 0.0012
    """Measured, `benchmarks/judge_throughput.py`."""
    megabytes_sent: float = 1.6
    """An image of the release as a data URI (1.2 MB as PNG); with `--max-side 512` about 0.1."""
    tokens_a_minute: float = 2_000_000
    """An example of a provider's limit."""
    gpu_seconds: float = 0.16
    """Of a GPU behind vLLM for one answer of 128 tokens of 8 billion parameters; an assumption: 6 minutes a model."""
    gpu_hour: float = 5.0
    """Example: money for an hour of a large GPU."""
    megabytes_of_answers: float = 1.3
    """Of one submission: 2,241 answers of about 100 words, as `benchmarks/end_to_end.py` writes them."""
    megabytes_of_verdicts: float = 1.0
    """Of one model judge, with its replies; the offline judge's are 0.6."""


@dataclass(frozen=True)
class Scale:
    """What so many models, each judged once by so many judges, take."""

    n_models: int
    n_judges: int
    calls: int
    """Of judges."""
    money: float
    """For the judges."""
    hours_by_latency: float
    hours_by_limit: float
    """As the provider's tokens a minute allow."""
    hours_of_cpu: float
    hours_of_gpu: float
    """For the models' answers, on one GPU."""
    money_of_gpu: float
    terabytes_sent: float
    gigabytes_kept: float

    @classmethod
    def of(cls, n_models: int, n_judges: int, call: Call) -> Scale:
        """Multiply."""
        calls = n_models * n_judges * SAMPLES
        tokens = call.tokens_in + call.tokens_out
        gpu = n_models * SAMPLES * call.gpu_seconds / 3600
        price = (call.tokens_in * call.price_in + call.tokens_out * call.price_out) / 1e6
        return cls(
            n_models=n_models,
            n_judges=n_judges,
            calls=calls,
            money=calls * price * call.discount,
            hours_by_latency=math.ceil(calls / call.concurrency) * call.latency_seconds / 3600,
            hours_by_limit=calls * tokens / call.tokens_a_minute / 60,
            hours_of_cpu=calls * call.cpu_seconds / 3600,
            hours_of_gpu=gpu,
            money_of_gpu=gpu * call.gpu_hour,
            terabytes_sent=calls * call.megabytes_sent / 1e6,
            gigabytes_kept=n_models * (call.megabytes_of_answers + n_judges * call.megabytes_of_verdicts) / 1e3,
        )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def render(call: Call, *, n_judges: int = 1) -> str:
    """Render the table as Markdown.

    >>> render(Call()).splitlines()[2]
    '| calls of judges | 2,241 | 224,100 | 22,410,000 |'
    """
    scales = [Scale.of(n_models, n_judges, call) for n_models in MODELS]
    rows: list[tuple[str, list[float]]] = [
        ("calls of judges", [scale.calls for scale in scales]),
        ("money for judges", [scale.money for scale in scales]),
        ("hours, by latency", [scale.hours_by_latency for scale in scales]),
        ("hours, by the provider's limit", [scale.hours_by_limit for scale in scales]),
        ("hours of our CPU", [scale.hours_of_cpu for scale in scales]),
        ("hours of one GPU, for the answers", [scale.hours_of_gpu for scale in scales]),
        ("money for that GPU", [scale.money_of_gpu for scale in scales]),
        ("terabytes sent to judges", [scale.terabytes_sent for scale in scales]),
        ("gigabytes kept", [scale.gigabytes_kept for scale in scales]),
    ]
    head = "| | " + " | ".join(f"{n:,} model{'s' if n > 1 else ''}" for n in MODELS) + " |"
    lines = [head, "|---" * (len(MODELS) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(_short(value) for value in values) + " |" for name, values in rows]
    return "\n".join(lines)


def main() -> None:
    """Read the figures of a call, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judges", type=int, default=1)
    for field in fields(Call):
        kind = int if isinstance(field.default, int) else float
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    arguments = vars(parser.parse_args())
    n_judges = arguments.pop("judges")
    print(render(Call(**arguments), n_judges=n_judges))


if __name__ == "__main__":
    main()
