"""Open a judge by its name, or ask what it is.

offline              the packaged weights
offline:FOLDER       weights of one's own (calibrate)
openai:MODEL         an OpenAI-compatible endpoint
decisions:MODEL      OpenAI's endpoint of choices
transformers:MODEL   a folder or a Hub id, run on this machine
world-rule           the written rule of the drawn world, for its sets only

A new judge is a module with a `KIND` and one line here; what its kind does not say, nobody outside this room knows.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from vlsbench.errors import UsageError
from vlsbench.judge.kinds import JudgeKind, JudgeListing, ModelOptions, Opening
from vlsbench.judge.run import OpenJudge
from vlsbench.records import Rubric

__all__ = [
    "JudgeKind",
    "ModelOptions",
    "find_kind",
    "kind_of",
    "list_judges",
    "list_kinds",
    "open_judge",
    "render_judges",
]

_MODULES: Final[Mapping[str, str]] = {
    "offline": "vlsbench.judge.offline.judge",
    "openai": "vlsbench.judge.openai_judge",
    "transformers": "vlsbench.judge.local",
    "decisions": "vlsbench.judge.decisions",
    "world-rule": "vlsbench.judge.world_rule",
}
"""Where the kind of a judge is, by what stands before the colon. Imported when it is asked for: a command that judges
offline starts without the rest."""


def _load(backend: str) -> JudgeKind:
    kind: JudgeKind = importlib.import_module(_MODULES[backend]).KIND
    return kind


def list_kinds() -> list[JudgeKind]:
    """List the kinds of judges there are."""
    return [_load(backend) for backend in _MODULES]


def find_kind(name: str) -> JudgeKind:
    """Return the kind of the judge of this name; opens nothing.

    Raises:
        UsageError: If there is no such judge.
    """
    backend, colon, rest = name.partition(":")
    if backend in _MODULES:
        kind = _load(backend)
        if rest or (not colon and kind.may_stand_alone):
            return kind
    *forms, last = [repr(form) for kind in list_kinds() for form in kind.forms]
    raise UsageError(f"--judge is {', '.join(forms)} or {last}; found {name!r}")


def kind_of(rubric: Rubric) -> JudgeKind | None:
    """Return the kind of judge that a rubric is of; None for one that this version does not have."""
    backend = rubric.judge.partition(":")[0]
    return _load(backend) if backend in _MODULES else None


def open_judge(
    name: str,
    *,
    protocol: str | None = None,
    dataset: str = "release",
    data: Path | None = None,
    concurrency: int = 16,
    base_url: str | None = None,
    options: ModelOptions = ModelOptions(),  # noqa: B008  # frozen
    is_dry: bool = False,
) -> OpenJudge:
    """Open a judge.

    Args:
        name: See the module; `openai` alone under the protocol `paper` is the paper's GPT-4o.
        protocol: How it judges; None is the judge's own first choice.
        dataset: Which dataset the responses answer; a model judge sees its images and texts.
        data: Folder of that dataset; None for the packaged sample.
        concurrency: Requests of a model judge in flight at once.
        base_url: Endpoint of a model judge; None for `OPENAI_BASE_URL` or OpenAI's own.
        options: More about a model judge.
        is_dry: Nothing will be asked, so no key is needed.

    Raises:
        UsageError: If there is no such judge or protocol.
        DataError: If the judge needs the dataset and it is not there.
        JudgeError: If the judge cannot be set up (no key).
    """
    kind = find_kind(name)
    if is_dry and not kind.opens_dry:
        raise UsageError(f"--dry-run says what 'openai:MODEL' costs, not {name!r}.")
    kind.refuse_options(name, options)
    return kind.open(Opening(name, protocol, dataset, data, concurrency, base_url, options, is_dry))


def list_judges() -> list[JudgeListing]:
    """List the judges and protocols there are."""
    return [listing for kind in list_kinds() for listing in kind.listings()]


def render_judges(listings: Sequence[JudgeListing]) -> str:
    """Render the list for people."""
    lines = []
    for listing in listings:
        budget = "" if listing.max_tokens is None else f", replies of at most {listing.max_tokens} tokens"
        lines.append(f"--judge {listing.judge} --protocol {listing.protocol}{budget}")
        lines.append(f"    needs {listing.needs}")
        lines += [f"    {digest[:16]}  {name}" for name, digest in listing.digests.items()]
    lines.append(
        "The digests are of the weights, or of the prompt for each --evidence; --prompt FILE is another rubric."
    )
    return "\n".join(lines)
