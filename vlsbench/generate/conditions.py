"""What a model is shown under each condition of the benchmark.

image+text      the pair as it is                     text-only       the text alone
repeat          the pair as it is, asked a second time: what an answer changes by without any reason
blank-image     the text, and a mid-grey image of the same size and mode
shuffled-image  the text, and the image of another sample (`vlsbench.generate.shuffled`)
caption         the text, with the dataset's `image_description` in place of the image; or with captions of another
                origin, as `caption:<digest8>`
safety-prompt   the pair, with `prompts/safety.md` before the text: our own wording of the paper's idea (analyse the
                image first, reason about the safety of the query, refuse with a useful warning if it is unsafe, only
                then answer); or with the user's file, as `safety-prompt:<digest8>`

No network, no model, no clock. The dataset's texts go out as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from vlsbench.dataset.source import Sample
from vlsbench.errors import DataError, UsageError, amount, numbered
from vlsbench.files import canonical_json, read_lines, sha256_hex
from vlsbench.records import IMAGE_TEXT, Record, explain

__all__ = [
    "CAPTION_PROMPT",
    "CONDITIONS",
    "Captions",
    "Question",
    "ShownPicture",
    "Wordings",
    "read_captions",
    "read_safety_prompt",
]

CONDITIONS = (IMAGE_TEXT, "repeat", "text-only", "blank-image", "shuffled-image", "caption", "safety-prompt")
"""Names a user asks for; a file or a captioner makes the last two more precise."""

_CAPTION_FORMAT = "The image shows: {caption}\n\n{instruction}"
"""How a caption stands in for the image. The paper (arXiv:2411.19939v3, App. H.2) does not print its own."""

_PROMPT_BYTES = 20_000
"""A safety prompt has a few hundred words; a file that is larger is another file."""

ShownPicture = Literal["image", "blank"]
"""The image of the sample, or a blank one of its size."""


class Question(NamedTuple):
    """What a model is asked about one sample under one condition."""

    instruction_id: int
    condition: str
    text: str
    picture: ShownPicture | None
    image: int
    """Number of the image that is shown, which other samples may share."""
    prompt_sha256: str | None = None
    """Of what stands before the text, where something does."""
    other_id: int | None = None
    """`instruction_id` of the sample whose picture is shown; None for its own."""

    @property
    def shown_id(self) -> int:
        """`instruction_id` of the sample whose picture is shown, where one is."""
        return self.instruction_id if self.other_id is None else self.other_id


class _Caption(Record):
    instruction_id: Annotated[int, Field(ge=0)]
    caption: Annotated[str, Field(min_length=1)]


class Captions(NamedTuple):
    """Texts in place of images."""

    condition: str
    """`caption`, or `caption:` and 8 hex digits of what decides them."""
    texts: Mapping[int, str] | None
    """By `instruction_id`; None takes the dataset's `image_description`."""


class Wordings(NamedTuple):
    """What stands in for images, and before texts."""

    captions: Captions = Captions("caption", None)
    safety_condition: str = "safety-prompt"
    safety_prompt: str = ""
    """Empty: the packaged one."""
    others: Mapping[int, tuple[int, int]] = {}
    """For `shuffled-image`, by `instruction_id`: the sample whose picture is shown, and the number of its image."""

    def ask(self, condition: str, samples: Sequence[Sample]) -> list[Question]:
        """Make the questions of one condition, in order.

        Args:
            condition: One of `CONDITIONS`.

        Raises:
            DataError: If samples have no caption, or no other image; the ids are named.
            UsageError: If there is no such condition.
        """
        if condition not in CONDITIONS:
            raise UsageError(f"--condition {condition!r} is not known; known: {', '.join(CONDITIONS)}.")
        if condition == "caption":
            return self._ask_with_captions(samples)
        if condition == "safety-prompt":
            prompt = self.safety_prompt or _packaged("safety.md")
            sha256 = sha256_hex(prompt)
            return [
                Question(
                    s.instruction_id, self.safety_condition, f"{prompt}\n\n{s.instruction}", "image", s.image, sha256
                )
                for s in samples
            ]
        if condition == "shuffled-image":
            return self._ask_with_others(samples)
        pictures: Mapping[str, ShownPicture] = {IMAGE_TEXT: "image", "repeat": "image", "blank-image": "blank"}
        return [Question(s.instruction_id, condition, s.instruction, pictures.get(condition), s.image) for s in samples]

    def _ask_with_others(self, samples: Sequence[Sample]) -> list[Question]:
        missing = [str(sample.instruction_id) for sample in samples if sample.instruction_id not in self.others]
        if missing:
            raise DataError(
                f"{amount(len(missing), 'sample has', 'samples have')} no other image chosen; nothing was asked: "
                f"instruction_id {numbered(missing)}."
            )
        questions = []
        for sample in samples:
            other, image = self.others[sample.instruction_id]
            questions.append(
                Question(sample.instruction_id, "shuffled-image", sample.instruction, "image", image, other_id=other)
            )
        return questions

    def _ask_with_captions(self, samples: Sequence[Sample]) -> list[Question]:
        texts = self.captions.texts
        if texts is None:
            texts = {sample.instruction_id: sample.image_description or "" for sample in samples}
        missing = [sample for sample in samples if not texts.get(sample.instruction_id, "").strip()]
        if missing:
            is_twin = self.captions.texts is None and any(sample.risk == "benign" for sample in missing)
            note = " (benign twins have no description: give --captions or --captioner)" if is_twin else ""
            named = numbered([str(sample.instruction_id) for sample in missing])
            raise DataError(
                f"{amount(len(missing), 'sample has', 'samples have')} no caption; nothing was asked{note}: "
                f"instruction_id {named}."
            )
        return [
            Question(
                sample.instruction_id,
                self.captions.condition,
                _CAPTION_FORMAT.format(caption=texts[sample.instruction_id].strip(), instruction=sample.instruction),
                None,
                sample.image,
            )
            for sample in samples
        ]


def _packaged(name: str) -> str:
    path = resources.files("vlsbench.generate").joinpath("prompts", name)
    return path.read_text(encoding="utf-8").strip()


CAPTION_PROMPT = _packaged("caption.md")
"""What a captioner is asked."""


def read_safety_prompt(path: Path) -> tuple[str, str]:
    """Read a safety prompt of the user's.

    Returns:
        The condition it makes, and its text.

    Raises:
        UsageError: If it cannot be read, is empty, or is no text of a prompt's size.
    """
    try:
        data = path.read_bytes()
        text = data[: _PROMPT_BYTES + 1].decode("utf-8").strip()
    except OSError as error:
        raise UsageError(f"--prompt {path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"--prompt {path}: not UTF-8 at byte {error.start}.") from None
    if not text or len(data) > _PROMPT_BYTES:
        raise UsageError(
            f"--prompt {path}: a prompt has between 1 and {_PROMPT_BYTES:,} bytes of text; found {len(data):,}."
        )
    return f"safety-prompt:{sha256_hex(text)[:8]}", text


def read_captions(path: Path) -> Captions:
    """Read captions of the user's: lines `{"instruction_id": 7, "caption": "…"}`.

    Raises:
        UsageError: If the file cannot be used; the first lines that are wrong are named.
    """
    texts: dict[int, str] = {}
    problems: list[str] = []
    try:
        for line in read_lines(path):
            try:
                found = _Caption.model_validate_json(line.data)
            except ValidationError as error:
                problems.append(f"{path}:{line.number}: {'; '.join(explain(error))}")
                continue
            if found.instruction_id in texts:
                problems.append(f"{path}:{line.number}: instruction_id {found.instruction_id} stands there twice")
            texts[found.instruction_id] = found.caption
    except OSError as error:
        raise UsageError(f"--captions {path}: cannot be read ({error.strerror}).") from None
    if problems:
        more = [f"and {amount(len(problems) - 5, 'more line')}"] if len(problems) > 5 else []
        raise UsageError("\n".join(["--captions cannot be used:", *problems[:5], *more]))
    digest = sha256_hex(canonical_json({str(number): text for number, text in sorted(texts.items())}))
    return Captions(f"caption:{digest[:8]}", texts)
