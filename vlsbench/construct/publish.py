"""The folder of a constructed dataset, ready for `--data`, `load_dataset` and the Hub.

    data/test-00000-of-00001.parquet     the risky pairs, images embedded
    data/twins-00000-of-00001.parquet    their harmless twins, where there are any
    images/                              the same images as files, by number
    index.csv, dataset.json              ids, categories, digests; the set's name and digest
    provenance.jsonl                     one line a pair: models, wordings' digests, seeds, rounds, costs; no text
    yields.json, audit.json              what came through and what it cost; what the texts give away
    licences.csv                         of every collected image
    siblings.jsonl                       of fresh siblings: instruction_id, and sibling_of, the known pair's
    README.md, croissant.json            the card, with the content notice

Rule of the room: a folder is there whole or not at all; nothing of `private/` gets in, and a text that is a query from
before rewriting is refused, whatever came before. The same records make the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from vlsbench.construct.gate import BatchAudit, render_harm_leak
from vlsbench.construct.journal import refuse_private
from vlsbench.construct.pipeline import Accepted, Construction, Done
from vlsbench.construct.records import CallNote, Outcome
from vlsbench.construct.yields import Yields, count_yields
from vlsbench.dataset.index import FIRST_CONSTRUCTED_ID, IndexRow, digest_of, write_set
from vlsbench.dataset.layout import COLUMNS
from vlsbench.dataset.pictures import Picture, mime_of, plain_picture
from vlsbench.errors import DataError, amount, numbered
from vlsbench.files import sha256_hex
from vlsbench.taxonomy import CATEGORIES, CATEGORY_NAMES, SUB_CATEGORY_NAMES
from vlsbench.version import __version__

__all__ = ["Published", "publish_set"]

_COLUMNS: Final = (*COLUMNS, "risk", "twin_id")
_ROWS_PER_GROUP: Final = 100

Describe = Callable[[Path, Sequence[IndexRow], str], str]
"""Writes a Croissant description of a folder: folder, risky rows, name of the set."""


class Published(NamedTuple):
    """What was written."""

    folder: Path
    name: str
    n_pairs: int
    n_twins: int
    digest: str


class _Row(NamedTuple):
    """One line of a Parquet file."""

    entry: IndexRow
    """As `index.csv` has it."""
    item: str
    text: str
    image: Path
    description: str
    reason: str | None


def publish_set(
    run: Construction, done: Done, *, out: Path | None = None, describe: Describe | None = None
) -> Published:
    """Write the dataset of a run that is through.

    Args:
        run: With its records.
        done: How it ended.
        out: Folder to make; absent or empty. None is `dataset/` in the run's folder, which is made anew.
        describe: Writes `croissant.json`; None leaves it out.

    Raises:
        DataError: If no pair was accepted, the folder cannot be written, or a text is one that is private.
    """
    accepted = run.published(done.failed_batches)
    if not accepted:
        raise DataError(
            f"{run.plan.out}: no pair came through, so there is nothing to publish; the table of yields says where "
            "they were lost."
        )
    place = (out or run.plan.out / "dataset").absolute()
    if out is not None and place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise DataError(f"{out}: is not an empty folder, and nothing is overwritten there. Give another.")
    rows = _rows(run, accepted)
    _refuse_private_texts(run, rows)
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        (temporary / "data").mkdir(parents=True)
        (temporary / "images").mkdir()
        _write(run, done, accepted, rows, temporary, describe)
        refuse_private(temporary)
        if place.exists():
            shutil.rmtree(place)
        temporary.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    risky = [row.entry for row in rows if row.entry.risk == "risky"]
    return Published(place, run.plan.config.name, len(risky), len(rows) - len(risky), digest_of(risky))


def _refuse_private_texts(run: Construction, rows: Sequence[_Row]) -> None:
    private = {_plain(query) for seed in run.seeds.read() for query in seed.queries}
    same = list(dict.fromkeys(row.item for row in rows if _plain(row.text) in private))
    if same:
        raise DataError(
            f"{run.plan.out}: the text of {numbered(same)} is a query from before rewriting, which is never published."
        )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _rows(run: Construction, accepted: Mapping[str, Accepted]) -> list[_Row]:
    """Number pairs and twins: ids from 200000, risky ones first; one number an image file."""
    n_risky = len(accepted)
    images: dict[str, int] = {}
    risky, benign = [], []
    n_twins = 0
    for step, (item, one) in enumerate(accepted.items()):
        number = FIRST_CONSTRUCTED_ID + step
        twin_id = None
        if one.twin is not None:
            twin_id = FIRST_CONSTRUCTED_ID + n_risky + n_twins
            n_twins += 1
        text = one.rewritten.query or ""
        digest = sha256_hex(text)
        category, sub = one.filtered.category or "", one.filtered.sub_category or ""
        image = images.setdefault(one.image.image_sha256 or "", FIRST_CONSTRUCTED_ID + len(images))
        risky.append(
            _Row(
                IndexRow(number, category, sub, one.rewritten.source, image, digest, "risky", twin_id),
                item,
                text,
                run.plan.out / str(one.image.image),
                one.rewritten.image_content or "",
                one.filtered.safety_reason,
            )
        )
        if one.twin is not None and twin_id is not None:
            image = images.setdefault(one.twin.image_sha256 or "", FIRST_CONSTRUCTED_ID + len(images))
            benign.append(
                _Row(
                    IndexRow(twin_id, category, sub, _twin_source(run), image, digest, "benign", number),
                    item,
                    text,
                    run.plan.out / str(one.twin.image),
                    one.twin.image_content or "",
                    None,
                )
            )
    return risky + benign


def _twin_source(run: Construction) -> str:
    from vlsbench.construct.config import GENERATION

    image = run.plan.config.image
    return "prepared" if image is not None and image.kind == "folder" else GENERATION


def _write(
    run: Construction,
    done: Done,
    accepted: Mapping[str, Accepted],
    rows: Sequence[_Row],
    folder: Path,
    describe: Describe | None,
) -> None:
    yields = count_yields(run, failed=done.failed_batches)
    risky = [row for row in rows if row.entry.risk == "risky"]
    benign = [row for row in rows if row.entry.risk == "benign"]
    _write_images(rows, folder / "images")
    _write_parquet(risky, folder / "data" / "test-00000-of-00001.parquet")
    if benign:
        _write_parquet(benign, folder / "data" / "twins-00000-of-00001.parquet")
    siblings = _siblings(run, accepted, rows)
    if siblings:
        (folder / "siblings.jsonl").write_text("".join(f"{line}\n" for line in siblings), encoding="utf-8")
    write_set(folder, run.plan.config.name, [row.entry for row in rows])
    provenance = "".join(f"{line}\n" for line in _provenance(run, accepted, rows))
    (folder / "provenance.jsonl").write_text(provenance, encoding="utf-8")
    (folder / "yields.json").write_text(yields.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if done.whole is not None:
        (folder / "audit.json").write_text(done.whole.model_dump_json(indent=2) + "\n", encoding="utf-8")
    licences = _licences(run, accepted)
    if licences:
        (folder / "licences.csv").write_text(_render_csv(("image", "file", "source", "licence"), licences), "utf-8")
    (folder / "README.md").write_text(_card(run, done, yields, rows, licences), encoding="utf-8")
    if describe is not None:
        (folder / "croissant.json").write_text(
            describe(folder, [row.entry for row in risky], run.plan.config.name), encoding="utf-8"
        )


def _render_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return out.getvalue()


def _file_of(row: _Row) -> str:
    suffix = {"image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp", "image/bmp": "bmp"}
    return f"{row.entry.image}.{suffix.get(mime_of(row.image.read_bytes()) or '', 'png')}"


def _write_images(rows: Iterable[_Row], folder: Path) -> None:
    seen: set[int] = set()
    for row in rows:
        if row.entry.image not in seen:
            seen.add(row.entry.image)
            shutil.copyfile(row.image, folder / _file_of(row))


def _features() -> dict[str, Any]:
    features: dict[str, Any] = {name: {"dtype": "string", "_type": "Value"} for name in _COLUMNS}
    features |= {name: {"dtype": "int64", "_type": "Value"} for name in ("instruction_id", "twin_id")}
    features["image"] = {"_type": "Image"}
    features["category"] = {"names": list(CATEGORY_NAMES), "_type": "ClassLabel"}
    features["sub_category"] = {"names": list(SUB_CATEGORY_NAMES), "_type": "ClassLabel"}
    return features


def _write_parquet(rows: Sequence[_Row], path: Path) -> None:
    """Write rows as the sample's Parquet has them, a hundred images in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = pa.int64()
    types = {
        "instruction_id": whole,
        "twin_id": whole,
        "category": whole,
        "sub_category": whole,
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    }
    schema = pa.schema(
        [pa.field(name, types.get(name, pa.string())) for name in _COLUMNS],
        metadata={"huggingface": json.dumps({"info": {"features": _features()}})},
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(rows), _ROWS_PER_GROUP):
            part = [_parquet_row(row) for row in rows[start : start + _ROWS_PER_GROUP]]
            writer.write_table(pa.Table.from_pylist(part, schema=schema))


def _parquet_row(row: _Row) -> dict[str, Any]:
    index = row.entry
    data = row.image.read_bytes()
    return {
        "instruction_id": index.instruction_id,
        "instruction": row.text,
        "image": {"bytes": plain_picture(Picture(data, mime_of(data) or "")).data, "path": _file_of(row)},
        "image_path": f"imgs/{index.image}.png",
        "category": CATEGORY_NAMES.index(index.category),
        "sub_category": SUB_CATEGORY_NAMES.index(index.sub_category),
        "source": index.source,
        "image_description": row.description,
        "safety_reason": row.reason,
        "risk": index.risk,
        "twin_id": index.twin_id,
    }


# --- Where it comes from ------------------------------------------------------------------------------------


def _provenance(run: Construction, accepted: Mapping[str, Accepted], rows: Sequence[_Row]) -> Iterable[str]:
    """Yield a line a risky pair: who made it with what. Models, digests, seeds, rounds and costs; no text."""
    calls = _calls_of(run, set(accepted), {one.rewritten.seed for one in accepted.values()})
    for row in rows:
        if row.entry.risk != "risky":
            continue
        one = accepted[row.item]
        notes = [*calls.get(one.rewritten.seed, ()), *calls.get(row.item, ())]
        yield json.dumps(
            {
                "instruction_id": row.entry.instruction_id,
                "twin_id": row.entry.twin_id,
                "item": row.item,
                "origin": one.rewritten.origin,
                "source": one.rewritten.source,
                "cycle": one.rewritten.cycle,
                "n_rounds": {
                    "rewrite": one.rewritten.n_rounds,
                    "image": len(one.image.rounds),
                    "twin": None if one.twin is None else len(one.twin.rounds),
                },
                "words_avoided": list(one.rewritten.words_avoided),
                "original_sha256": one.rewritten.original_sha256,
                "image_sha256": one.image.image_sha256,
                "image_maker": one.image.maker,
                "calls": [note.model_dump(mode="json", exclude_none=True) for note in notes],
                "version": __version__,
            },
            ensure_ascii=False,
        )


def _siblings(run: Construction, accepted: Mapping[str, Accepted], rows: Sequence[_Row]) -> list[str]:
    """Say of which known pair each fresh one is a sibling, as `vlsbench score --fresh` reads it."""
    known = {one.item: one.instruction_id for one in run.plan.known}
    return [
        json.dumps({"instruction_id": row.entry.instruction_id, "sibling_of": known[seed]})
        for row in rows
        for seed in (accepted[row.item].rewritten.seed,)
        if row.entry.risk == "risky" and seed in known
    ]


def _calls_of(run: Construction, items: set[str], seeds: set[str]) -> dict[str, list[CallNote]]:
    """Collect the calls of items from the files of all stages, each call once."""
    found: dict[str, dict[str, CallNote]] = {}

    def collect(records: Iterable[Outcome], wanted: set[str]) -> None:
        for record in records:
            if record.item in wanted:
                found.setdefault(record.item, {}).update({note.call: note for note in record.calls})

    collect(run.seeds.read(), seeds)
    for file in (run.rewritten, run.images, run.filtered, run.twins):
        collect(file.read(), items)
    return {item: list(notes.values()) for item, notes in found.items()}


def _licences(run: Construction, accepted: Mapping[str, Accepted]) -> list[tuple[str, str, str, str]]:
    """List the collected images that got in, each once, with its licence."""
    photos = {photo.item: photo for photo in run.plan.photos}
    collected = run.plan.config.collected
    found = {}
    for one in accepted.values():
        photo = photos.get(one.rewritten.seed)
        if photo is not None and collected is not None:
            found[photo.item] = (photo.sha256[:16], photo.file, collected.source, photo.licence)
    return list(found.values())


# --- The card -----------------------------------------------------------------------------------------------

_RELEASE_AUC: Final = {"generated or collected": 0.992, "category": 0.916}
"""Of the 2,240 texts of the official release, by this version's `vlsbench leakage data.json`."""
_RELEASE_POINTING: Final = 0.683
"""Share of them that point at an image."""


def _card(
    run: Construction, done: Done, yields: Yields, rows: Sequence[_Row], licences: Sequence[tuple[str, str, str, str]]
) -> str:
    name = run.plan.config.name
    has_twins = any(row.entry.risk == "benign" for row in rows)
    configs: list[dict[str, Any]] = [
        {"config_name": "default", "default": True, "data_files": _data_files("data/test-*.parquet")}
    ]
    if has_twins:
        both = ["data/test-*.parquet", "data/twins-*.parquet"]
        configs.append({"config_name": "twins", "data_files": _data_files(both)})
    head = {
        "pretty_name": name,
        "language": ["en"],
        "tags": ["safety", "multimodal", "vlsbench-constructed", "not-for-all-audiences"],
        "configs": configs,
    }
    return f"---\n{json.dumps(head, indent=2)}\n---\n\n{_card_text(run, done, yields, rows, licences)}"


def _data_files(path: str | list[str]) -> list[dict[str, Any]]:
    return [{"split": "test", "path": path}]


def _card_text(
    run: Construction, done: Done, yields: Yields, rows: Sequence[_Row], licences: Sequence[tuple[str, str, str, str]]
) -> str:
    risky = [row.entry for row in rows if row.entry.risk == "risky"]
    counts = Counter(row.sub_category for row in risky)
    lines = [
        f"# {run.plan.config.name}",
        "",
        "> **Content notice.** The pairs are made to be risky: the images may show, and the questions may be about, "
        "violence, crime, self-harm, sexuality, hatred or the loss of privacy. They are for testing and improving the "
        "safety of models, for nothing else.",
        "",
        f"{amount(len(risky), 'pair')} of a harmless text and an image that makes it risky"
        f"{f', {yields.n_twins:,} of them with a harmless twin of the same text' if yields.n_twins else ''}, made by "
        f"`vlsbench construct` {__version__} after the four steps of VLSBench (arXiv 2411.19939). `dataset.name`: "
        f"`{run.plan.config.name}`, digest `{digest_of(risky)}`.",
        "",
        "| Category | Sub-category | Pairs |",
        "|---|---|---:|",
        *(
            f"| {category.name} | {sub.name} | {counts[sub.name]} |"
            for category in CATEGORIES
            for sub in category.sub_categories
            if counts[sub.name]
        ),
        "",
        "## Sources and licences",
        "",
        *_licence_lines(run, licences, risky),
        "",
        "## Who made it",
        "",
        *(f"- `[models.{name}]`: {_shown(model.model)}" for name, model in run.plan.config.models.items()),
        *([f"- images: {_shown(run.plan.config.image.name)}"] if run.plan.config.image is not None else []),
        "- `provenance.jsonl` has models, wordings' digests, seeds, rounds and costs of every pair.",
        "",
        "## What came through",
        "",
        "| Stage | In | Kept | Lost by |",
        "|---|---:|---:|---|",
        *(
            f"| {stage.stage} ({stage.unit}) | {stage.n_in:,} | {stage.n_kept:,} | "
            f"{', '.join(f'{loss} {n}' for loss, n in stage.losses.items()) or '-'} |"
            for stage in yields.stages
        ),
        "",
        "## What the texts give away",
        "",
        *_audit_lines(done),
        "",
    ]
    return "\n".join(lines)


def _shown(text: str) -> str:
    return f"`{text.replace('`', '')}`"


def _licence_lines(
    run: Construction, licences: Sequence[tuple[str, str, str, str]], rows: Sequence[IndexRow]
) -> list[str]:
    n_made = sum(row.source == "generation" for row in rows)
    lines = []
    if n_made:
        maker = "nobody" if run.plan.config.image is None else _shown(run.plan.config.image.name)
        lines.append(f"- {amount(n_made, 'pair')} with images made by {maker}: under the terms of that model.")
    for (source, licence), n in Counter((source, licence) for _, _, source, licence in licences).items():
        lines.append(f"- {amount(n, 'image')} of {source}: {licence} (each in `licences.csv`).")
    return lines


def _audit_lines(done: Done) -> list[str]:
    """Set the audit of the set beside that of the release."""
    whole = done.whole
    if whole is None:
        return ["Not audited."]
    if not whole.auc and whole.points_at_image is None:
        return [f"Not measured: {' '.join(whole.notes) or 'too few texts'}", "", _harm_line(whole)]
    lines = ["| Text alone tells | AUC here (95% interval) | VLSBench release |", "|---|---|---|"]
    for target, auc in whole.auc.items():
        release = _RELEASE_AUC.get(target)
        shown = "all its pairs are harmful" if target == "harm" else "-" if release is None else f"{release:.3f}"
        lines.append(f"| {target} | {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}) | {shown} |")
    if whole.points_at_image is not None:
        share = whole.points_at_image
        lines.append(
            f"| (texts that point at an image) | {share.value:.1%} ({share.low:.1%} to {share.high:.1%}) | "
            f"{_RELEASE_POINTING:.1%} |"
        )
    gated = "" if whole.is_gated else f" Fewer than {amount(200, 'pair')}: reported, not gated."
    return [*lines, "", _harm_line(whole), "", f"Gate: lower end of the interval at most {whole.max_auc:g}.{gated}"]


def _harm_line(audit: BatchAudit) -> str:
    said = render_harm_leak(audit).replace("`", "")
    return f"{said[0].upper()}{said[1:]}."
