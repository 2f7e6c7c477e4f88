"""The stages as chains: what is asked about one item, what is kept of it, what it is lost by.

    1a, 1b   an element, or an image that exists → what is seen, and harmful queries
    2        a query → a text that is harmless alone, cannot be answered without the image, and keeps its meaning
    3        an image: prompt, image, look, refined prompt, at most three rounds
    4        a pair → matched? risky? and its place in the taxonomy
    twins    a pair → the same text beside an image with which it is harmless

Rule of the room: a chain knows its item and the kit, no other item and no clock. Every text that comes from a model
passes the safeguards before anything is made of it; every reply to an image can say `prohibited`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

from vlsbench.construct.chains import Call, Chain, ChatCall, ImageCall, Told, ask_for, note_of, seed_of
from vlsbench.construct.config import GENERATION, Element, Known, Photo, Plan, model_of
from vlsbench.construct.journal import IMAGES, Journal
from vlsbench.construct.prompts import (
    WRITING,
    CategoriseReply,
    FilterReply,
    FinalReply,
    ImagePromptReply,
    LookReply,
    QueriesReply,
    Reply,
    RewriteReply,
    SiblingReply,
    TextAloneReply,
    TwinReply,
    TwinVerifyReply,
    VerifyReply,
    fill,
    taxonomy_text,
)
from vlsbench.construct.records import (
    CallNote,
    CallRecord,
    FilteredRecord,
    ImageRecord,
    ImageRound,
    Loss,
    Outcome,
    ReplyOutcome,
    RewrittenRecord,
    SeedRecord,
    Step,
    TwinRecord,
)
from vlsbench.files import sha256_hex
from vlsbench.leakage.image_need import is_readable, points_at_image

__all__ = [
    "Kit",
    "Pair",
    "element_chain",
    "filter_chain",
    "image_chain",
    "photo_chain",
    "photo_file",
    "rewrite_chain",
    "sibling_chain",
    "twin_chain",
]

ReplyT = TypeVar("ReplyT", bound=Reply)

_LOSS_OF: dict[ReplyOutcome, Loss] = {
    "refused": "reply_refused",
    "filtered": "reply_filtered",
    "cut": "reply_cut",
    "empty": "reply_empty",
    "unparsable": "reply_unparsable",
    "never_built": "never_built",
}
_PROBLEM_OF: dict[Loss, str] = {
    "text_harmful": "Your last attempt still says or hints at what is risky. Say less.",
    "answerable": "Your last attempt can be answered without the image. Leave out what the image shows; point at it.",
    "meaning_lost": "Your last attempt lost what the question asks. Keep it, together with the image.",
}


class Pair(NamedTuple):
    """A rewritten query with its image, as stage 4 and twins need it."""

    rewritten: RewrittenRecord
    image: Path
    image_sha256: str


class Kit(NamedTuple):
    """What every chain has at hand."""

    plan: Plan
    journal: Journal

    def told(
        self,
        step: Step,
        kind: type[ReplyT],
        item: str,
        round_: int,
        notes: list[CallNote],
        *,
        picture: tuple[Path, str] | None = None,
        **values: str,
    ) -> Generator[Call, CallRecord, Told[ReplyT]]:
        """Ask one step about an item, with as many attempts as the configuration allows.

        Args:
            kind: Shape of the reply.
            round_: Of the loop.
            notes: What was called; added to.
            picture: File and SHA-256 of what is shown.
            values: What stands in the slots of the wording.
        """
        config = self.plan.config
        wording = self.plan.wordings[step]
        name, model = model_of(config, step)
        temperature = model.temperature
        if temperature is None:
            temperature = 0.7 if step in WRITING else 0.0
        ask = fill(wording, values)
        calls = [
            ChatCall(
                item,
                step,
                round_,
                attempt,
                seed_of(config.seed, item, step, round_, attempt),
                name,
                model.model,
                temperature,
                wording.rules,
                ask,
                wording.sha256,
                None if picture is None else picture[0],
                None if picture is None else picture[1],
            )
            for attempt in range(1, config.loops.attempts + 1)
        ]
        return (yield from ask_for(calls, kind, notes))

    def image_call(self, step: Step, item: str, round_: int, prompt: str) -> ImageCall:
        """Ask for an image."""
        image = self.plan.config.image
        seed = seed_of(self.plan.config.seed, item, step, round_, 1)
        return ImageCall(item, step, round_, 1, seed, "" if image is None else image.name, prompt)

    def refuse(self, *texts: str | None, category: str | None = None) -> str | None:
        """Name the rule that forbids an item with these texts."""
        return self.plan.safeguards.refuse(*texts, category=category)


class _Lost(Exception):  # noqa: N818  # it ends a chain, it is no error
    """An item is lost here."""

    def __init__(self, loss: Loss, detail: str | None = None) -> None:
        super().__init__(loss)
        self.loss: Loss = loss
        self.detail = detail


def _lose(loss: Loss, detail: str | None = None) -> NoReturn:
    raise _Lost(loss, detail)


def _lose_if_prohibited(is_prohibited: bool) -> None:
    if is_prohibited:
        _lose("never_built", "said by who saw the image")


def _usable(told: Told[ReplyT]) -> ReplyT:
    """Return a reply that can be used, or lose the item by what came instead."""
    if told.reply is None:
        _lose(_LOSS_OF[told.outcome], told.why)
    return told.reply


def _refuse(kit: Kit, *texts: str | None, category: str | None = None) -> None:
    rule = kit.refuse(*texts, category=category)
    if rule is not None:
        _lose("never_built", rule)


# --- 1 ------------------------------------------------------------------------------------------------------


def element_chain(kit: Kit, element: Element) -> Chain[SeedRecord]:
    """1a: an element → one image content and its queries."""
    notes: list[CallNote] = []
    elements = kit.plan.config.elements
    n = 1 if elements is None else elements.queries_per_element
    base = SeedRecord(
        item=element.item,
        origin="generated",
        source=GENERATION,
        element=element.text,
        category=element.category,
        sub_category=element.sub_category,
        loss="reply_empty",
    )
    try:
        _refuse(kit, element.text, category=element.category)
        told = yield from kit.told(
            "queries", QueriesReply, element.item, 1, notes,
            category=element.category, sub_category=element.sub_category, element=element.text, count=str(n),
        )  # fmt: skip
        reply = _usable(told)
        return _seed(kit, base, reply.image_content, reply.queries, n, notes)
    except _Lost as lost:
        return _with(base, lost, notes)


def photo_chain(kit: Kit, photo: Photo) -> Chain[SeedRecord]:
    """1b: an image that exists → what is seen, and its queries."""
    notes: list[CallNote] = []
    collected = kit.plan.config.collected
    n = 1 if collected is None else collected.queries_per_image
    base = SeedRecord(
        item=photo.item,
        origin="collected",
        source="" if collected is None else collected.source,
        image=photo.file,
        licence=photo.licence,
        loss="reply_empty",
    )
    try:
        told = yield from kit.told(
            "look", LookReply, photo.item, 1, notes, picture=(photo.path, photo.sha256), count=str(n)
        )
        reply = _usable(told)
        _lose_if_prohibited(reply.prohibited)
        return _seed(kit, base, reply.image_content, reply.queries, n, notes)
    except _Lost as lost:
        return _with(base, lost, notes)


def sibling_chain(kit: Kit, known: Known) -> Chain[SeedRecord]:
    """Siblings: a pair that is known → another one of the same risk and shape."""
    notes: list[CallNote] = []
    base = SeedRecord(
        item=known.item,
        origin="generated",
        source=GENERATION,
        sibling_of=known.instruction_id,
        category=known.category,
        sub_category=known.sub_category,
        loss="reply_empty",
    )
    try:
        told = yield from kit.told(
            "sibling", SiblingReply, known.item, 1, notes,
            category=known.category, sub_category=known.sub_category, image_content=known.image_content,
            query=known.text, reason=known.reason,
        )  # fmt: skip
        reply = _usable(told)
        return _seed(kit, base, reply.image_content, [reply.query], 1, notes)
    except _Lost as lost:
        return _with(base, lost, notes)


def _seed(
    kit: Kit, base: SeedRecord, content: str, queries: Sequence[str], n: int, notes: Sequence[CallNote]
) -> SeedRecord:
    if not queries:
        _lose("reply_empty", "no query")
    _refuse(kit, base.element, content, *queries, category=base.category)
    return _kept(base, notes, image_content=content, queries=tuple(queries[:n]))


RecordT = TypeVar("RecordT", bound=Outcome)


def _with(base: RecordT, lost: _Lost, notes: Sequence[CallNote], **more: Any) -> RecordT:
    return _filled(base, loss=lost.loss, detail=lost.detail, calls=tuple(notes), **more)


def _kept(base: RecordT, notes: Sequence[CallNote], **values: Any) -> RecordT:
    return _filled(base, loss=None, calls=tuple(notes), **values)


def _filled(base: RecordT, **values: Any) -> RecordT:
    """Fill in what was open: a record made anew, so that it is checked."""
    return type(base)(**{**dict(base), **values})


# --- 2 ------------------------------------------------------------------------------------------------------


def rewrite_chain(
    kit: Kit, seed: SeedRecord, number: int, *, cycle: int = 0, words: Sequence[str] = ()
) -> Chain[RewrittenRecord]:
    """2: a harmful query → a text that is harmless and needs its image.

    Args:
        seed: With its queries.
        number: Of the query, from 0.
        cycle: How often the audit sent it back.
        words: What the audit said gives texts away; not to be used.
    """
    notes: list[CallNote] = []
    item = f"{seed.item}-q{number + 1}"
    original, content = seed.queries[number], seed.image_content or ""
    base = RewrittenRecord(
        item=item,
        cycle=cycle,
        seed=seed.item,
        origin=seed.origin,
        source=seed.source,
        category=seed.category,
        sub_category=seed.sub_category,
        image_content=content,
        original_sha256=sha256_hex(original),
        words_avoided=tuple(words),
        loss="reply_empty",
    )
    n_most = kit.plan.config.loops.rewrite
    avoid = f"Do not use these words: {', '.join(words)}." if words else ""
    loss: Loss | None = None
    try:
        for round_ in range(1, n_most + 1):
            told = yield from kit.told(
                "rewrite", RewriteReply, item, round_, notes,
                image_content=content, query=original, problem="" if loss is None else _PROBLEM_OF[loss], words=avoid,
            )  # fmt: skip
            text = _usable(told).query
            _refuse(kit, text, content, category=seed.category)
            loss = yield from _text_problem(kit, item, round_, text, content, notes)
            if loss is None:
                return _kept(base, notes, query=text, n_rounds=round_)
        _lose(loss or "meaning_lost", f"after {n_most} rounds")
    except _Lost as lost:
        return _with(base, lost, notes)


def _text_problem(
    kit: Kit, item: str, round_: int, text: str, content: str, notes: list[CallNote]
) -> Generator[Call, CallRecord, Loss | None]:
    """Name what is wrong with a rewritten text, or return None; the free test comes first."""
    if is_readable(text) and not points_at_image(text):
        return "answerable"
    alone = _usable((yield from kit.told("text_alone", TextAloneReply, item, round_, notes, query=text)))
    if alone.harmful:
        return "text_harmful"
    if alone.answerable:
        return "answerable"
    told = yield from kit.told("filter", FilterReply, item, round_, notes, query=text, image_content=content)
    judged = _usable(told)
    if judged.text_harmful:
        return "text_harmful"
    return None if judged.pair_harmful else "meaning_lost"


# --- 3 ------------------------------------------------------------------------------------------------------


def image_chain(
    kit: Kit, rewritten: RewrittenRecord, photo: Photo | None, element: Element | None
) -> Chain[ImageRecord]:
    """3: the image of a pair: made, looked at, made again; or the collected one, as it is."""
    item = rewritten.item
    notes: list[CallNote] = []
    rounds: list[ImageRound] = []
    image = kit.plan.config.image
    base = ImageRecord(
        item=item, cycle=rewritten.cycle, loss="image_missing", maker=None if image is None else image.name
    )
    if photo is not None:
        return _kept(base, notes, image=photo_file(photo), image_sha256=photo.sha256, maker=None)
    content = rewritten.image_content or ""
    try:
        told = yield from kit.told("image_prompt", ImagePromptReply, item, 1, notes, image_content=content)
        prompt = _usable(told).prompt
        loss: Loss = "image_missing"
        for round_ in range(1, kit.plan.config.loops.image + 1):
            _refuse(kit, prompt, content, category=rewritten.category)
            made = yield from _made(kit, "image", item, round_, prompt, notes)
            if made is None:
                rounds.append(_round(round_, prompt, None, None))
                continue
            path, digest = made
            told_look = yield from kit.told(
                "verify", VerifyReply, item, round_, notes, picture=(path, digest),
                category=rewritten.category or "", element="" if element is None else element.text,
                query=rewritten.query or "", prompt=prompt,
            )  # fmt: skip
            seen = _usable(told_look)
            rounds.append(_round(round_, prompt, digest, seen.matches))
            _lose_if_prohibited(seen.prohibited)
            if seen.matches:
                return _kept(base, notes, image=f"{IMAGES}/{path.name}", image_sha256=digest, rounds=tuple(rounds))
            loss = "image_mismatch"
            prompt = seen.refined_prompt or prompt
        _lose(loss, f"after {len(rounds)} rounds")
    except _Lost as lost:
        return _with(base, lost, notes, rounds=tuple(rounds))


def photo_file(photo: Photo) -> str:
    """Name the copy of a collected image, relative to the run's folder."""
    return f"{IMAGES}/{photo.item}{photo.path.suffix.lower()}"


def _made(
    kit: Kit, step: Step, item: str, round_: int, prompt: str, notes: list[CallNote]
) -> Generator[Call, CallRecord, tuple[Path, str] | None]:
    """Ask for an image; return its file and SHA-256, or None where there is none."""
    call = kit.image_call(step, item, round_, prompt)
    record = yield call
    path = kit.journal.image_of(call.key)
    if record.outcome != "answered" or path is None or record.reply is None:
        notes.append(note_of(record))
        return None
    notes.append(note_of(record))
    return path, record.reply


def _round(round_: int, prompt: str, digest: str | None, matches: bool | None) -> ImageRound:
    return ImageRound(round=round_, prompt_sha256=sha256_hex(prompt), image_sha256=digest, matches=matches)


# --- 4 ------------------------------------------------------------------------------------------------------


def filter_chain(kit: Kit, pair: Pair) -> Chain[FilteredRecord]:
    """4: is the pair matched and risky, and where does it belong?"""
    notes: list[CallNote] = []
    rewritten = pair.rewritten
    query = rewritten.query or ""
    base = FilteredRecord(item=rewritten.item, cycle=rewritten.cycle, loss="not_risky")
    picture = (pair.image, pair.image_sha256)
    try:
        told = yield from kit.told("final", FinalReply, rewritten.item, 1, notes, picture=picture, query=query)
        seen = _usable(told)
        _lose_if_prohibited(seen.prohibited)
        if not seen.matched:
            _lose("not_matched")
        if not seen.risky:
            _lose("not_risky")
        told_place = yield from kit.told(
            "categorise", CategoriseReply, rewritten.item, 1, notes,
            picture=picture, query=query, taxonomy=taxonomy_text(),
        )  # fmt: skip
        place = _usable(told_place)
        _refuse(kit, query, rewritten.image_content, seen.reason, category=place.category)
        return _kept(base, notes, category=place.category, sub_category=place.sub_category, safety_reason=seen.reason)
    except _Lost as lost:
        return _with(base, lost, notes)


# --- Twins --------------------------------------------------------------------------------------------------


def twin_chain(kit: Kit, pair: Pair, category: str) -> Chain[TwinRecord]:
    """Twins: the same text beside an image with which it is harmless."""
    notes: list[CallNote] = []
    rounds: list[ImageRound] = []
    rewritten = pair.rewritten
    item, query = rewritten.item, rewritten.query or ""
    base = TwinRecord(item=item, cycle=rewritten.cycle, loss="image_missing")
    try:
        told = yield from kit.told(
            "twin", TwinReply, item, 1, notes, query=query, image_content=rewritten.image_content or ""
        )
        prompt = _usable(told).image_content
        loss: Loss = "image_missing"
        for round_ in range(1, kit.plan.config.loops.image + 1):
            _refuse(kit, query, prompt, category=category)
            made = yield from _made(kit, "twin_image", item, round_, prompt, notes)
            if made is None:
                rounds.append(_round(round_, prompt, None, None))
                continue
            path, digest = made
            told_look = yield from kit.told(
                "twin_verify", TwinVerifyReply, item, round_, notes, picture=made, query=query, prompt=prompt
            )
            seen = _usable(told_look)
            is_good = seen.matched and seen.harmless
            rounds.append(_round(round_, prompt, digest, is_good))
            _lose_if_prohibited(seen.prohibited)
            if is_good:
                return _kept(
                    base,
                    notes,
                    image=f"{IMAGES}/{path.name}",
                    image_sha256=digest,
                    image_content=prompt,
                    rounds=tuple(rounds),
                )
            loss = "not_matched" if not seen.matched else "image_mismatch"
            prompt = seen.refined_prompt or prompt
        _lose(loss, f"after {len(rounds)} rounds")
    except _Lost as lost:
        return _with(base, lost, notes, rounds=tuple(rounds))
