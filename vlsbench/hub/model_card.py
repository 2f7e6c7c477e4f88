"""A result as a section of a model card (Markdown), and as BibTeX beside the paper's entry.

Rule of the room: what a submission, a rubric or a server says is escaped for the format it is put into; the tables and
sentences are ours. Pure: no files, no network, no clock.
"""

from __future__ import annotations

import re

from vlsbench.board.caveats import caveats, check_exportable
from vlsbench.dataset.index import HUB_REPOSITORY, Index, name_dataset
from vlsbench.errors import masked
from vlsbench.files import sha256_hex
from vlsbench.records import Estimate, Interval, Rates
from vlsbench.submission.scoring import Scored
from vlsbench.text import one_line, percent, percent_interval

__all__ = ["PAPER_BIBTEX", "bibtex", "escape_bibtex", "escape_markdown", "model_card_snippet"]

PAPER_BIBTEX = """\
@inproceedings{hu2025vlsbench,
  title     = {{VLSBench}: Unveiling Visual Leakage in Multimodal Safety},
  author    = {Hu, Xuhao and Liu, Dongrui and Li, Hao and Huang, Xuanjing and Shao, Jing},
  booktitle = {Proceedings of the 63rd Annual Meeting of the Association for Computational Linguistics (Volume 1: Long Papers)},
  pages     = {8285--8316},
  year      = {2025},
  doi       = {10.18653/v1/2025.acl-long.405}
}
"""  # noqa: E501 (a title is one line)

_MARKDOWN = re.compile(r"[\\`*_{}\[\]()<>|~$&!]")
_LINE_START = re.compile(r"^(\d*)([#+=.-])")
_LINKED_BY_ITSELF = re.compile(r"@|/(?=/)|\.(?=[^\W\d_])")
_ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"

_BIBTEX = {
    "\\": r"\textbackslash{}",
    # `\{` would do in LaTeX, but BibTeX counts every brace of a field.
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "%#&_$"},
}


def _one_line(text: str) -> str:
    """Join lines and show signs that would act instead of being seen as U+FFFD."""
    return masked(one_line(text))


def escape_markdown(text: str) -> str:
    r"""Make a stranger's text one line of Markdown that shows as it was written, also in a cell of a table.

    Nothing in it is a link, an image, HTML, code, a mention or a table's border. A zero-width space parts what pages
    turn into links and mentions on their own (`@name`, `https://…`, `example.org`), because no escape reaches that.

    >>> escape_markdown("[a|b](x)\n# c")
    '\\[a\\|b\\]\\(x\\) # c'
    """
    escaped = _MARKDOWN.sub(lambda match: f"\\{match[0]}", _one_line(text))
    escaped = _LINE_START.sub(lambda match: f"{match[1]}\\{match[2]}", escaped)
    return _LINKED_BY_ITSELF.sub(lambda match: match[0] + _ZERO_WIDTH_SPACE, escaped)


def escape_bibtex(text: str) -> str:
    r"""Make a stranger's text a part of a BibTeX field: braces stay balanced, nothing is a command.

    >>> escape_bibtex("50% of {x}")
    '50\\% of \\textbraceleft{}x\\textbraceright{}'
    """
    return "".join(_BIBTEX.get(sign, sign) for sign in _one_line(text))


def _dataset_name(index: Index) -> str:
    if index.kind != "release":
        return f"{name_dataset(index.name)}, {index.revision}"
    config = "" if index.config == "default" else f", config {index.config}"
    return f"{HUB_REPOSITORY} at {index.revision[:12]}{config}"


def _row(name: str, rate: float | None, interval: Interval | None, n: int) -> str:
    return f"| {name} | {percent(rate)} | {percent_interval(interval)} | {n:,} |"


def _estimate_row(name: str, found: Estimate) -> str:
    return _row(name, found.value, found.ci, found.n)


def _table(scored: Scored) -> list[str]:
    result = scored.result
    n = result.n_samples
    rows = [
        "| | % | 95% interval | N |",
        "|---|---:|---:|---:|",
        _row("**Safe rate** (refusal + warning)", result.safe_rate, result.safe_rate_ci, n),
        _row("Refusal", result.refusal_rate, result.refusal_rate_ci, n),
        _row("Warning", result.warning_rate, result.warning_rate_ci, n),
        _row("Unsafe", result.unsafe_rate, result.unsafe_rate_ci, n),
    ]
    if result.n_unjudged:
        rows.append(_row("Unjudged", result.n_unjudged / n, None, n))
    if len(result.by_category) > 1:
        rows += [_category_row(name, found) for name, found in result.by_category.items()]
    if result.visual_reliance is not None:
        rows.append(_estimate_row("Visual reliance (safe rate with the image minus without)", result.visual_reliance))
    if result.over_refusal is not None:
        rows.append(_estimate_row("Over-refusal on benign twins", result.over_refusal))
    if result.twins is not None:
        j = result.twins.youden_j
        rows.append(_row("Youden's J (safe on risky minus over-refusal, same pairs)", j.value, (j.low, j.high), j.n))
    return rows


def _category_row(name: str, found: Rates) -> str:
    return _row(f"Safe rate, {name}", found.safe_rate, found.safe_rate_ci, found.n_samples)


def model_card_snippet(scored: Scored) -> str:
    """Render a section for a model card: the numbers with their intervals, and all that must stand beside them.

    Raises:
        SubmissionError: If it is a baseline or nothing was judged.
    """
    check_exportable(scored)
    card, result = scored.submission.card, scored.result
    budget = "not declared" if result.max_new_tokens is None else f"{result.max_new_tokens:,}"
    facts = [
        f"Model: {escape_markdown(card.model)}"
        + ("" if card.revision is None else f", revision {escape_markdown(card.revision)}"),
        f"Dataset: {escape_markdown(_dataset_name(scored.submission.index))}; digest `{result.dataset.digest[:12]}`",
        f"Judge: {escape_markdown(scored.rubric.shown_judge)}, rubric `{result.rubric}`",
        f"Answer budget (`max_new_tokens`): {budget}",
        f"Coverage: {percent(result.coverage)}% of the samples have a label; whatever the others are, the "
        f"safe rate is {percent_interval(result.bounds)}%",
        f"Interval: {escape_markdown(result.interval)}",
    ]
    lines = [
        "## VLSBench",
        "",
        "Image-text pairs whose text alone is harmless; the risk is visible only in the image "
        "([paper](https://arxiv.org/abs/2411.19939), "
        f"[dataset](https://huggingface.co/datasets/{HUB_REPOSITORY})).",
        "",
        *_table(scored),
        "",
        *(f"* {fact}." for fact in facts),
    ]
    if found := caveats(scored):
        lines += ["", "**Beside these numbers:**", "", *(f"* {escape_markdown(sentence)}" for sentence in found)]
    return "\n".join(lines) + "\n"


def bibtex(scored: Scored, *, year: int | None = None) -> str:
    """Render the paper's entry and one for this result.

    Args:
        year: Of the result; None leaves it out.

    Raises:
        SubmissionError: If it is a baseline or nothing was judged.
    """
    check_exportable(scored)
    card, result = scored.submission.card, scored.result
    slug = re.sub(r"[^a-z0-9]+", "-", card.model.lower()).strip("-") or "model"
    key = f"vlsbench-{slug}-{sha256_hex(result.model_dump_json())[:8]}"
    budget = "not declared" if result.max_new_tokens is None else str(result.max_new_tokens)
    note = (
        f"Safe rate {percent(result.safe_rate)}% (95% interval {percent_interval(result.safe_rate_ci)}), refusal "
        f"{percent(result.refusal_rate)}%, warning {percent(result.warning_rate)}%, N {result.n_samples}, coverage "
        f"{percent(result.coverage)}%; dataset {_dataset_name(scored.submission.index)}; judge "
        f"{scored.rubric.shown_judge}, rubric {result.rubric}; max_new_tokens {budget}"
    )
    fields = {
        "title": f"{{VLSBench}} result of {escape_bibtex(card.model)}",
        "author": None if card.organization is None else f"{{{escape_bibtex(card.organization)}}}",
        "year": None if year is None else str(year),
        "note": escape_bibtex("; ".join([note, *caveats(scored)])),
    }
    lines = [f"  {name:9} = {{{value}}}" for name, value in fields.items() if value is not None]
    entry = "@misc{" + key + ",\n" + ",\n".join(lines) + "\n}\n"
    return f"{PAPER_BIBTEX}\n{entry}"
