"""The stages in order, over one folder.

    OUT/
      run.json            name, version, and the fingerprint that a resume is held against
      private/            queries.jsonl and calls.jsonl: never published
      rewritten.jsonl     stage 2
      images/ images.jsonl  stage 3
      filtered.jsonl      stage 4
      twins.jsonl         twins
      audit/              one JSON a batch and turn; report.json of the whole
      dataset/            what is published (`vlsbench.construct.publish`)

A stage takes what the one before it let through, asks what has no reply yet, and appends a record an item. What many
items decide together (a text told again, an image that looks like another, the audit) is decided when all of them are
there. The audit's turns are cycles: an item that is sent back has a record of its own for each, and the last one is
what the item is. A run that was killed goes on by doing all of this again, from the records and replies on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple, TypeVar

from pydantic import ValidationError

from vlsbench.construct.asking import AskJournal, OpenModels, open_models
from vlsbench.construct.chains import Chain, run_chains
from vlsbench.construct.chat import Purse, PursedMeter
from vlsbench.construct.config import Plan
from vlsbench.construct.gate import AuditedPair, BatchAudit, audit_batch, batches_of, keep_audit
from vlsbench.construct.harm import HarmGauge
from vlsbench.construct.journal import PRIVATE, Journal
from vlsbench.construct.records import (
    FilteredRecord,
    ImageRecord,
    Outcome,
    RewrittenRecord,
    SeedRecord,
    StageName,
    TwinRecord,
)
from vlsbench.construct.sameness import find_repeated_images, find_repeated_texts, picture_hash
from vlsbench.construct.stage_files import StageFile
from vlsbench.construct.stages import (
    Kit,
    Pair,
    element_chain,
    filter_chain,
    image_chain,
    photo_chain,
    photo_file,
    rewrite_chain,
    sibling_chain,
    twin_chain,
)
from vlsbench.cost import Prices
from vlsbench.dataset.pictures import Picture, mime_of, read_image
from vlsbench.errors import DataError, amount, numbered
from vlsbench.files import exclusive, read_regular, write_atomic
from vlsbench.records import Digest, Record
from vlsbench.text import OnProgress, Reached
from vlsbench.version import __version__

__all__ = ["Accepted", "Construction", "Done", "open_construction", "render_unreached"]

RecordT = TypeVar("RecordT", bound=Outcome)

Wanted = Iterable[tuple[tuple[str, int], Callable[[], Chain[RecordT]]]]
"""Key of a record, and how to begin the chain that makes it."""

_RUN: Final = "run.json"
_ORDER: Final[tuple[StageName, ...]] = ("1a", "1b", "siblings", "2", "3", "4", "twins")
_NEEDS: Final[Mapping[StageName, str]] = {
    "2": f"{PRIVATE}/queries.jsonl",
    "3": "rewritten.jsonl",
    "4": "images.jsonl",
    "twins": "filtered.jsonl",
}
"""File that a stage takes, made by the one before it."""


class _Run(Record):
    """`run.json`."""

    name: str
    version: str
    fingerprint: dict[str, Digest]


class Accepted(NamedTuple):
    """A pair that came through everything."""

    rewritten: RewrittenRecord
    image: ImageRecord
    filtered: FilteredRecord
    twin: TwinRecord | None


class Done(NamedTuple):
    """How a run ended."""

    unreached: Mapping[StageName, int]
    """Items that wait for a reply, by stage; the same command asks again."""
    audits: tuple[BatchAudit, ...]
    """Of the last turn, one a batch."""
    whole: BatchAudit | None
    """Of all accepted pairs together."""
    n_turns: int
    failed_batches: tuple[str, ...]
    """Batches that failed the audit for good; their pairs are not published."""
    is_whole: bool
    """Whether every stage is through for every item."""


def open_construction(
    plan: Plan,
    *,
    max_cost: float | None = None,
    preview: int | None = None,
    on_progress: OnProgress | None = None,
    on_stage: Callable[[str], None] | None = None,
    opener: OpenModels = open_models,
) -> Construction:
    """Open the folder of a run, new or begun.

    Args:
        plan: What is built.
        max_cost: Stop before this call costs more, in the money of the configured prices.
        preview: Only the first so many elements and so many images.
        on_progress: Told how far a stage is.
        on_stage: Told which stage begins.
        opener: Opens the models, here or on a cluster.

    Raises:
        DataError: If the folder was begun with another configuration, or holds what is none of ours.
    """
    _check_fingerprint(plan)
    return Construction(plan, Purse(max_cost), preview, on_progress, on_stage, opener)


def _check_fingerprint(plan: Plan) -> None:
    path = plan.out / _RUN
    new = _Run(name=plan.config.name, version=__version__, fingerprint=dict(plan.fingerprint))
    try:
        old = _Run.model_validate_json(read_regular(path))
    except FileNotFoundError:
        if plan.out.is_dir() and any(not entry.name.startswith(".") for entry in plan.out.iterdir()):
            raise DataError(
                f"{plan.out}: holds files and no {_RUN}, so it is not the folder of a run. Give another --out."
            ) from None
        write_atomic(path, new.model_dump_json(indent=2) + "\n")
        return
    except (OSError, ValidationError) as error:
        raise DataError(f"{path}: is no file of this package ({type(error).__name__}). Give another --out.") from None
    names = sorted(
        name for name in {*old.fingerprint, *new.fingerprint} if old.fingerprint.get(name) != new.fingerprint.get(name)
    )
    if names:
        raise DataError(
            f"{plan.out}: was begun with another configuration; changed since: {numbered(names)}. Take the change "
            "back, or give another --out. Nothing was asked, and nothing there was touched."
        )


class Construction:
    """One run over its folder. Made by `open_construction`."""

    def __init__(
        self,
        plan: Plan,
        purse: Purse,
        preview: int | None,
        on_progress: OnProgress | None,
        on_stage: Callable[[str], None] | None,
        opener: OpenModels,
    ) -> None:
        self.plan = plan
        self.preview = preview
        self.withhold: Callable[[Mapping[str, Accepted]], frozenset[str]] = lambda accepted: frozenset()
        """Tells the accepted items that people rejected or have not agreed on; set by `vlsbench.construct.review`."""
        self.journal = Journal(plan.out)
        price = None if plan.config.image is None else plan.config.image.price
        self.ask = AskJournal(self.journal, opener(plan, purse), price)
        judge = plan.config.audit.judge
        self._gauge = None if judge is None else HarmGauge(judge, plan.out, purse)
        self.kit = Kit(plan, self.journal)
        self.seeds = StageFile(plan.out / PRIVATE / "queries.jsonl", SeedRecord)
        self.rewritten = StageFile(plan.out / "rewritten.jsonl", RewrittenRecord)
        self.images = StageFile(plan.out / "images.jsonl", ImageRecord)
        self.filtered = StageFile(plan.out / "filtered.jsonl", FilteredRecord)
        self.twins = StageFile(plan.out / "twins.jsonl", TwinRecord)
        self._on_progress = on_progress or (lambda reached: None)
        self._on_stage = on_stage or (lambda name: None)
        # Prices of nothing: it shows what all models have spent.
        self._meter = PursedMeter(Prices(0.0, 0.0), purse)
        self._unreached: dict[StageName, int] = {}
        self._looks: dict[str, str] = {}
        self._turns: list[dict[str, int]] = [{}]
        """Cycle of every item that was sent back, by turn."""
        self._words: dict[tuple[str, int], tuple[str, ...]] = {}
        self._photos = {photo.item: photo for photo in plan.photos}
        self._elements = {element.item: element for element in plan.elements}

    # --- What is there ------------------------------------------------------------------------------------------

    def seed_items(self) -> list[str]:
        """Return the items of stage 1 that this call is about, elements first."""
        plan = self.plan
        return [one.item for part in (plan.elements, plan.photos, plan.known) for one in part[: self.preview]]

    def items(self) -> list[str]:
        """Return the items of stage 2 and on, in order."""
        return [f"{seed.item}-q{n + 1}" for seed in self._kept_seeds() for n in range(len(seed.queries))]

    def _kept_seeds(self) -> list[SeedRecord]:
        return [seed for seed in self.seeds.of((item, 0) for item in self.seed_items()) if seed.is_kept]

    @property
    def last_turn(self) -> int:
        """The turn of the audit that was reached, from 0."""
        return len(self._turns) - 1

    def cycle(self, item: str, turn: int) -> int:
        """Return how often an item was sent back up to a turn."""
        return self._turns[turn].get(item, 0)

    def now(self, file: StageFile[RecordT], turn: int) -> dict[str, RecordT]:
        """Return what an item is after a turn, by item, in order."""
        found = {}
        for item in self.items():
            record = file.at(item, self.cycle(item, turn))
            if record is not None:
                found[item] = record
        return found

    def accepted(self, turn: int | None = None) -> dict[str, Accepted]:
        """Return the pairs that came through all stages, by item, in order; without those that fail an audit."""
        turn = self.last_turn if turn is None else turn
        rewritten, images = self.now(self.rewritten, turn), self.now(self.images, turn)
        filtered, twins = self.now(self.filtered, turn), self.now(self.twins, turn)
        found = {}
        for item, record in filtered.items():
            before = (rewritten.get(item), images.get(item))
            if record.is_kept and all(one is not None and one.is_kept for one in before):
                twin = twins.get(item)
                found[item] = Accepted(
                    rewritten[item], images[item], record, twin if twin is not None and twin.is_kept else None
                )
        return found

    # --- One stage ------------------------------------------------------------------------------------------------

    def _walk(
        self,
        stage: StageName,
        file: StageFile[RecordT],
        chains: Wanted[RecordT],
        finish: Callable[[RecordT], RecordT] | None = None,
    ) -> None:
        """Run the chains whose item has no record yet.

        Args:
            finish: Completes a record before it is written.
        """
        wanted = list(chains)
        open_ = {key[0]: start() for key, start in wanted if key not in file}
        n_before = len(wanted) - len(open_)
        n_failed = sum(1 for record in file.of(key for key, _ in wanted) if not record.is_kept)

        def show(done: int, total: int) -> None:
            self._on_progress(Reached(n_before + done, n_before + total, n_failed, self._meter))

        def keep(records: Sequence[RecordT]) -> None:
            nonlocal n_failed
            file.add(records if finish is None else [finish(record) for record in records])
            n_failed += sum(not record.is_kept for record in records)

        self._on_stage(stage)
        walk = run_chains(open_, self.journal, self.ask, keep, on_step=show)
        if walk.unreached:
            self._unreached[stage] = self._unreached.get(stage, 0) + len(walk.unreached)
        self._drop_what_is_never_built()

    def _look_at(self, record: ImageRecord) -> ImageRecord:
        """Note what an image looks like, once a file."""
        if record.image is None or record.image_sha256 is None:
            return record
        if record.image_sha256 not in self._looks:
            data = (self.plan.out / record.image).read_bytes()
            self._looks[record.image_sha256] = f"{picture_hash(Picture(data, mime_of(data) or '')):064x}"
        return record.model_copy(update={"looks": self._looks[record.image_sha256]})

    def _drop_what_is_never_built(self) -> None:
        """Remove the images of items that were refused; done at every start, as a kill may come before it."""
        refused = {
            record.key for file in (self.images, self.filtered, self.twins) for record in file.lost("never_built")
        }
        if not refused:
            return
        for file in (self.images, self.twins):
            for record in file.read():
                if record.key in refused:
                    for note in record.calls:
                        if note.step in ("image", "twin_image"):
                            self.journal.drop_image(note.call)
                    photo = self._photos.get(record.item.split("-")[0])
                    if photo is not None:
                        (self.plan.out / photo_file(photo)).unlink(missing_ok=True)

    def _stage_1a(self, turn: int) -> None:
        elements = self.plan.elements[: self.preview]
        self._walk("1a", self.seeds, (((e.item, 0), partial(element_chain, self.kit, e)) for e in elements))

    def _stage_1b(self, turn: int) -> None:
        photos = self.plan.photos[: self.preview]
        self._walk("1b", self.seeds, (((p.item, 0), partial(photo_chain, self.kit, p)) for p in photos))

    def _stage_siblings(self, turn: int) -> None:
        known = self.plan.known[: self.preview]
        self._walk("siblings", self.seeds, (((k.item, 0), partial(sibling_chain, self.kit, k)) for k in known))

    def _stage_2(self, turn: int) -> None:
        def chains() -> Iterator[tuple[tuple[str, int], Callable[[], Chain[RewrittenRecord]]]]:
            for seed in self._kept_seeds():
                for n in range(len(seed.queries)):
                    item = f"{seed.item}-q{n + 1}"
                    cycle = self.cycle(item, turn)
                    words = self._words.get((item, cycle), ())
                    yield (
                        (item, cycle),
                        partial(rewrite_chain, self.kit, seed, n, cycle=cycle, words=words),
                    )

        self._walk("2", self.rewritten, chains())
        if "2" not in self._unreached:
            self._drop_repeated_texts(turn)

    def _drop_repeated_texts(self, turn: int) -> None:
        """Lose the texts that say what another one says; those of earlier turns are settled and go first."""
        kept = {item: record for item, record in self.now(self.rewritten, turn).items() if record.is_kept}
        ordered = sorted(kept.values(), key=lambda record: record.cycle == turn)
        # A sibling says what its pair says in other words, or it is none.
        known = [(f"pair {one.instruction_id}", one.text) for one in self.plan.known]
        told = [*known, *((record.item, record.query or "") for record in ordered)]
        repeats = {item: other for item, other in find_repeated_texts(told).items() if item in kept}
        self._lose_repeated(self.rewritten, [kept[item] for item in repeats], repeats, "text_repeats", "query")

    def _drop_repeated_images(self, turn: int) -> None:
        kept = {item: record for item, record in self.now(self.images, turn).items() if record.is_kept}
        ordered = sorted(kept.values(), key=lambda record: record.cycle == turn)
        repeats = find_repeated_images((r.item, r.image_sha256 or "", int(r.looks or "0", 16)) for r in ordered)
        self._lose_repeated(self.images, [kept[item] for item in repeats], repeats, "image_repeats", "image")

    @staticmethod
    def _lose_repeated(
        file: StageFile[RecordT],
        records: Sequence[RecordT],
        repeats: Mapping[str, str],
        loss: Literal["text_repeats", "image_repeats"],
        field: str,
    ) -> None:
        """Append records that say what was lost; their calls were counted with the records before."""
        lost = [
            type(record)(**{**dict(record), field: None, "loss": loss, "detail": f"like {repeats[record.item]}"})
            for record in records
        ]
        file.add(lost)

    def _stage_3(self, turn: int) -> None:
        rewritten = [record for record in self.now(self.rewritten, turn).values() if record.is_kept]
        self._copy_photos(rewritten)
        self._walk(
            "3",
            self.images,
            (
                (
                    record.key,
                    partial(
                        image_chain, self.kit, record, self._photos.get(record.seed), self._elements.get(record.seed)
                    ),
                )
                for record in rewritten
            ),
            self._look_at,
        )
        if "3" not in self._unreached:
            self._drop_repeated_images(turn)

    def _copy_photos(self, rewritten: Iterable[RewrittenRecord]) -> None:
        for seed in dict.fromkeys(record.seed for record in rewritten):
            photo = self._photos.get(seed)
            if photo is not None and not (path := self.plan.out / photo_file(photo)).exists():
                write_atomic(path, read_image(photo.path))

    def _pairs(self, turn: int) -> dict[str, Pair]:
        rewritten = self.now(self.rewritten, turn)
        return {
            item: Pair(rewritten[item], self.plan.out / str(image.image), image.image_sha256 or "")
            for item, image in self.now(self.images, turn).items()
            if image.is_kept and rewritten[item].is_kept
        }

    def _stage_4(self, turn: int) -> None:
        self._walk(
            "4",
            self.filtered,
            ((pair.rewritten.key, partial(filter_chain, self.kit, pair)) for pair in self._pairs(turn).values()),
        )

    def _stage_twins(self, turn: int) -> None:
        if not self.plan.config.twins.wanted:
            return
        pairs = self._pairs(turn)
        kept = {item: record for item, record in self.now(self.filtered, turn).items() if record.is_kept}
        self._walk(
            "twins",
            self.twins,
            (
                (
                    record.key,
                    partial(twin_chain, self.kit, pairs[item], record.category or ""),
                )
                for item, record in kept.items()
                if item in pairs
            ),
        )

    # --- All of them ------------------------------------------------------------------------------------------------

    def run_stage(self, stage: StageName) -> Done:
        """Run one stage on what the one before it let through, in the turn that the audits on disk have reached.

        Raises:
            DataError: If the stage before has not run.
        """
        needed = _NEEDS.get(stage)
        if needed is not None and not (self.plan.out / needed).exists():
            before = _ORDER[_ORDER.index(stage) - 1] if stage != "2" else "1a, 1b or siblings"
            raise DataError(f"{self.plan.out}: stage {stage} takes {needed}, which is not there. Run {before} first.")
        with self._held():
            self.replay_turns()
            self._run(stage, self.last_turn)
        return Done(dict(self._unreached), (), None, len(self._turns), (), False)

    def _run(self, stage: StageName, turn: int) -> None:
        runners = {
            "1a": self._stage_1a,
            "1b": self._stage_1b,
            "siblings": self._stage_siblings,
            "2": self._stage_2,
            "3": self._stage_3,
            "4": self._stage_4,
            "twins": self._stage_twins,
        }
        runners[stage](turn)

    def _held(self) -> Any:
        return exclusive(self.plan.out / _RUN)

    def run(self) -> Done:
        """Run all stages and the gate, to the end or as far as replies come."""
        with self._held():
            return self._run_all()

    def _run_all(self) -> Done:
        turn = 0
        most = 0 if self.preview is not None else self.plan.config.audit.max_returns
        while True:
            for stage in _ORDER:
                self._run(stage, turn)
                if self._unreached:
                    return Done(dict(self._unreached), (), None, turn + 1, (), False)
            if self.preview is not None:
                return Done({}, (), None, 1, (), False)
            self._on_stage("audit")
            audits = self._audit(turn)
            returned = [number for number, audit in enumerate(audits) if audit.is_returned]
            if not returned or turn == most:
                break
            turn = self._send_back(turn, audits)
        failed = tuple(audits[number].name for number in returned)
        whole = self._audit_whole(failed, audits) if audits else None
        return Done({}, tuple(audits), whole, turn + 1, failed, True)

    def _audit(self, turn: int) -> list[BatchAudit]:
        accepted = self.accepted(turn)
        return [
            self._audit_items(f"turn-{turn}-batch-{number}", [item for item in batch if item in accepted], accepted)
            for number, batch in enumerate(self._batches(), start=1)
        ]

    def _batches(self) -> list[tuple[str, ...]]:
        """Return the batches: of the pairs that were accepted in the first turn, whatever became of them since."""
        return batches_of(list(self.accepted(0)), self.plan.config.audit.batch)

    def _audit_items(self, name: str, items: Sequence[str], accepted: Mapping[str, Accepted]) -> BatchAudit:
        pairs = [
            AuditedPair(
                item,
                one.rewritten.query or "",
                one.image.image_sha256 or "",
                one.filtered.category or "",
                one.rewritten.origin,
                None if one.twin is None else one.twin.image_sha256,
                self.plan.out / str(one.image.image),
            )
            for item in items
            for one in (accepted[item],)
        ]
        audit = self.plan.config.audit
        return audit_batch(
            name,
            pairs,
            self.plan.out / "audit",
            harmless=self.plan.harmless,
            max_auc=audit.max_auc,
            smallest=audit.batch,
            seed=self.plan.config.seed,
            gauge=self._gauge,
        )

    def _audit_whole(self, failed: Sequence[str], audits: Sequence[BatchAudit]) -> BatchAudit:
        accepted = self.published(failed)
        if len(audits) == 1 and not failed:
            keep_audit(self.plan.out / "audit", "report", audits[0])
        return self._audit_items("report", list(accepted), accepted)

    def _send_back(self, turn: int, audits: Sequence[BatchAudit]) -> int:
        """Begin the next turn: the items of batches that failed go back to stage 2 with what gave them away."""
        cycles = dict(self._turns[turn])
        for audit, batch in zip(audits, self._batches(), strict=True):
            if not audit.is_returned:
                continue
            for item in batch:
                before = cycles.get(item, 0)
                cycles[item] = turn + 1
                known = self._words.get((item, before), ())
                self._words[item, turn + 1] = tuple(dict.fromkeys([*known, *audit.words]))
        self._turns[turn + 1 :] = [cycles]
        return turn + 1

    def replay_turns(self) -> None:
        """Find the turn that the audits on disk have reached: for a stage that is run by itself, and for reviews."""
        for turn in range(0 if self.preview is not None else self.plan.config.audit.max_returns):
            names = [f"turn-{turn}-batch-{n}.json" for n in range(1, len(self._batches()) + 1)]
            if not names or not all((self.plan.out / "audit" / name).is_file() for name in names):
                return
            audits = self._audit(turn)
            if not any(audit.is_returned for audit in audits):
                return
            self._send_back(turn, audits)

    def published(self, failed: Sequence[str]) -> dict[str, Accepted]:
        """Return the accepted pairs without those of batches that failed the audit for good, or are withheld.

        Args:
            failed: Names of the audits of the last turn that failed.
        """
        lost = {
            item
            for number, batch in enumerate(self._batches(), start=1)
            if f"turn-{self.last_turn}-batch-{number}" in failed
            for item in batch
        }
        accepted = self.accepted()
        lost |= self.withhold(accepted)
        return {item: one for item, one in accepted.items() if item not in lost}


def render_unreached(done: Done) -> str:
    """Say what waits for a reply."""
    waiting = ", ".join(f"{amount(n, 'item')} of stage {stage}" for stage, n in done.unreached.items())
    return f"no reply came for {waiting}; the same command asks again."
