"""What a run would ask, before anything is asked: bounds, not a guess of what is lost on the way."""

from __future__ import annotations

from vlsbench.construct.config import Plan
from vlsbench.errors import amount, numbered
from vlsbench.text import table

__all__ = ["forecast"]


def forecast(plan: Plan, *, preview: int | None = None) -> str:
    """Count the calls of a run: where everything comes through at once, and at most.

    Args:
        preview: Only the first so many elements and images.
    """
    config = plan.config
    loops = config.loops
    n_elements = len(plan.elements[:preview])
    n_photos = len(plan.photos[:preview])
    n_made = n_elements * (0 if config.elements is None else config.elements.queries_per_element)
    n_found = n_photos * (0 if config.collected is None else config.collected.queries_per_image)
    n_known = len(plan.known[:preview])
    n_made += n_known
    n = n_made + n_found
    chat = loops.attempts
    rows = [
        ("1a", n_elements, n_elements, n_elements * chat),
        ("1b", n_photos, n_photos, n_photos * chat),
        ("siblings", n_known, n_known, n_known * chat),
        ("2", n, 3 * n, 3 * n * chat * loops.rewrite),
        ("3", n_made, 3 * n_made, n_made * (chat + loops.image * (1 + chat))),
        ("4", n, 2 * n, 2 * n * chat),
    ]
    if config.twins.wanted:
        rows.append(("twins", n, 3 * n, n * (chat + loops.image * (1 + chat))))
    turns = config.audit.max_returns if n >= config.audit.batch and preview is None else 0
    shown = [[stage, f"{items:,}", f"{least:,}", f"{most:,}"] for stage, items, least, most in rows if items]
    models = [f"[models.{name}] {model.model}" for name, model in config.models.items()]
    counts = ((n_elements, "element"), (n_photos, "image"), (n_known, "known pair"))
    start = " and ".join(amount(count, unit) for count, unit in counts if count)
    lines = [
        f"{plan.config.name}: {start} would become at most {amount(n, 'pair')} in {plan.out}",
        table(["Stage", "Items", "Calls, if all comes through", "Calls at most"], shown),
        f"asked: {numbered(models)}; images: {'nobody' if config.image is None else config.image.name}",
    ]
    judge = config.audit.judge
    if judge is not None and preview is None:
        kinds = 3 if judge.pair_harm == "judge" else 2
        lines.append(f"harm leak: {judge.name}, at most {amount(kinds * n * (1 + turns), 'question')}")
    if turns:
        lines.append(f"a batch that fails the audit goes through again up to {amount(turns, 'time')}.")
    lines.append("nothing was asked.")
    return "\n".join(lines)
