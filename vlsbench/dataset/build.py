"""What is published, and whether it is right: `build` writes Parquet with a card, `verify` compares it.

Rule of the room: no network, no `datasets`; memory holds one row group (at most 32 MiB of images), not the
dataset; a build is there whole or not at all. Numbers on the card are counted from the rows written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from vlsbench.dataset.constructed import compare_rows, open_set_layout, set_problems
from vlsbench.dataset.index import (
    HUB_REPOSITORY,
    RELEASE_DIGEST,
    RELEASE_REVISION,
    Index,
    IndexRow,
    digest_of,
    index_of_records,
    is_constructed,
    kind_of_name,
    load_index,
    read_set,
    render_index,
    write_set,
)
from vlsbench.dataset.layout import (
    COLUMNS,
    Layout,
    ReleaseRecord,
    open_layout,
    parse_release_json,
)
from vlsbench.dataset.pictures import Picture, image_problem, mime_of, plain_picture
from vlsbench.errors import DataError, amount, bounded, numbered, plural
from vlsbench.taxonomy import CATEGORIES, CATEGORY_NAMES, CONFIG_NAMES, SUB_CATEGORIES, SUB_CATEGORY_NAMES

__all__ = [
    "BuildReport",
    "ExtraConfig",
    "VerifyReport",
    "build",
    "card_template",
    "card_values",
    "fill",
    "known_faults",
    "make_index",
    "render_card",
    "render_set_card",
    "text_bytes",
    "verify",
]

SET_COLUMNS = (*COLUMNS, "risk", "twin_id")
"""Columns of a constructed set."""

_ROWS_PER_GROUP = 100
_BYTES_PER_GROUP = 32 << 20
"""A row group ends at 100 rows or 32 MiB: the Hub's viewer (which refuses to scan more than 300 MB) and a random read
both fetch a whole one."""
_BYTES_PER_SHARD = 500_000_000
"""Size of a shard that the Hub recommends."""
_DECODERS = 4
"""Threads that decode images: Pillow gives up the interpreter lock, and 4 of 64 megapixels are 1 GB at worst."""


class _Source(NamedTuple):
    images: str
    terms: str
    """As its own page says; read from stored copies of those pages, not checked against the live ones."""


_SOURCES = {
    "generation": _Source(
        "made by the authors with [Stable Diffusion 3.5 Large](https://huggingface.co/stabilityai/stable-diffusion-3.5-large)",
        "the model is under the Stability AI Community License; what its outputs are under, the release does not say",
    ),
    "MultiTrust": _Source(
        "[MultiTrust](https://huggingface.co/datasets/thu-ml/MultiTrust)",
        "tagged CC BY-SA 4.0; its gate asks for non-commercial academic use, **forbids passing any part on**, and says "
        "that its authors do not own the images",
    ),
    "MLLMGuard": _Source("[MLLMGuard](https://huggingface.co/datasets/Carol0110/MLLMGuard)", "tagged CC BY-NC-SA 4.0"),
    "Ch3Ef": _Source(
        "[Ch3Ef](https://huggingface.co/datasets/openlamm/Ch3Ef)",
        "tagged Apache-2.0; whose the images were before is not known",
    ),
    "Unsafebench": _Source(
        "[UnsafeBench](https://huggingface.co/datasets/yiting/UnsafeBench): from LAION-5B and Lexica",
        "no licence named, gated, for research only; those of the single images are not known",
    ),
    "coco2017": _Source(
        "[COCO 2017](https://cocodataset.org/#termsofuse): photographs from Flickr",
        "annotations CC BY 4.0; the images are not the consortium's and stay under Flickr's terms, each under its own "
        "licence, which the release does not keep",
    ),
}


# --- Build --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BuildReport:
    """What a build wrote."""

    out: Path
    shards: tuple[str, ...]
    n_samples: int
    n_images: int
    n_bytes: int
    """Size of the shards, bytes."""
    n_redrawn: int
    """Rows whose image is a PNG of what is seen of the stored one, because decoders see it differently."""
    digest: str
    name: str
    """`release`, or the name of a constructed set."""
    is_release: bool
    """Whether the digest is that of the release."""


def build(source: Path, out: Path, *, complete: Callable[[Path], None] | None = None) -> BuildReport:
    """Write a dataset as Parquet with embedded images, and its card; a constructed set keeps its index and its name.

    Args:
        source: A folder in the official layout, or of Parquet shards (as on the Hub); or a constructed set.
        out: Folder to make; absent or empty.
        complete: Called with the finished folder before it gets its name, to write more into it.

    Raises:
        DataError: If anything in `source` is wrong (every problem is counted), or `out` cannot be written.
            Nothing is left behind.
    """
    _check_out(out)
    place = out.absolute()  # `.` has no name
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    index = read_set(source) if is_constructed(source) else None
    with open_layout(source, strict=False) as layout:
        try:
            (temporary / "data").mkdir(parents=True)
            report = _write(layout, index, temporary, out)
            if complete is not None:
                complete(temporary)
            _sync(temporary)
            temporary.rename(place)
        except OSError as error:
            raise DataError(f"{out}: cannot be written ({error.strerror or error}). Nothing was left there.") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return report


def _check_out(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise DataError(f"{out}: exists and is not a folder. Give another OUT.")
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: is not empty, and a build overwrites nothing. Remove it or give another OUT.")


def _sync(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _write(layout: Layout, index: Index | None, folder: Path, out: Path) -> BuildReport:
    problems = [*layout.problems, *layout.missing_images()] if index is None else set_problems(layout, index)
    absent = {record.instruction_id for record in layout.records if layout.why_absent(record)}
    sizes: Counter[str] = Counter()
    n_redrawn = 0
    with _Shards(folder / "data", COLUMNS if index is None else SET_COLUMNS) as shards:
        for group in _read_groups(layout, absent):
            problems += group.problems
            if not problems:
                images = [plain_picture(Picture(data, mime_of(data) or "")).data for data in group.images]
                n_redrawn += sum(new is not data for new, data in zip(images, group.images, strict=True))
                shards.write(group.records, images)
                for record, data in zip(group.records, images, strict=True):
                    sizes[record.category] += len(data) + text_bytes(record)
    if problems:
        raise DataError(
            f"{layout.where}: {bounded(problems)}. Nothing was written; `vlsbench data verify` lists the same."
        )
    names = shards.rename()
    every = _index_rows(layout.records)
    rows = [row for row in every if row.risk == "risky"]
    if index is None:
        card = render_card(every, sizes=sizes)
        rows = every
    else:
        card = render_set_card(index, sizes=sizes)
        write_set(folder, index.name, index.whole.rows)
    (folder / "README.md").write_text(card, encoding="utf-8")
    digest = digest_of(rows)
    return BuildReport(
        out=out,
        shards=tuple(f"data/{name}" for name in names),
        n_samples=len(rows),
        n_images=len({row.image for row in rows}),
        n_bytes=sum((folder / "data" / name).stat().st_size for name in names),
        n_redrawn=n_redrawn,
        digest=digest,
        name="release" if index is None else index.name,
        is_release=digest == RELEASE_DIGEST,
    )


def text_bytes(record: ReleaseRecord) -> int:
    """Count the bytes of a record's texts."""
    texts = (record.instruction, record.image_path, record.source, record.image_description, record.safety_reason)
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if text)


def _index_rows(records: Iterable[ReleaseRecord]) -> list[IndexRow]:
    return index_of_records(record.model_dump() for record in records)


@dataclass(frozen=True)
class _Group:
    records: list[ReleaseRecord]
    images: list[bytes]
    problems: list[str]


def _read_groups(layout: Layout, absent: set[int]) -> Iterator[_Group]:
    """Read and decode every image once, in groups that become row groups, without those in `absent`."""
    checked: dict[bytes, str | None] = {}
    with ThreadPoolExecutor(_DECODERS) as pool:
        records: list[ReleaseRecord] = []
        images: list[bytes] = []
        problems: list[str] = []
        size = 0
        for record in layout.records:
            if record.instruction_id in absent:
                continue
            try:
                data = layout.read(record)
            except DataError as error:
                problems.append(str(error))
                continue
            records.append(record)
            images.append(data)
            size += len(data)
            if len(records) == _ROWS_PER_GROUP or size >= _BYTES_PER_GROUP:
                yield _Group(records, images, problems + _decode(records, images, checked, pool.map))
                records, images, problems, size = [], [], [], 0
        if records or problems:
            yield _Group(records, images, problems + _decode(records, images, checked, pool.map))


def _decode(
    records: Sequence[ReleaseRecord],
    images: Sequence[bytes],
    checked: dict[bytes, str | None],
    run: Callable[[Callable[[bytes], str | None], Iterable[bytes]], Iterable[str | None]],
) -> list[str]:
    digests = [hashlib.sha256(data).digest() for data in images]
    new = {digest: data for digest, data in zip(digests, images, strict=True) if digest not in checked}
    checked.update(zip(new, run(image_problem, new.values()), strict=True))
    problems = {
        record.image_path: f"{record.image_path} (instruction_id {record.instruction_id}) {problem}"
        for record, digest in zip(records, digests, strict=True)
        if digest in new and (problem := checked[digest])
    }
    return list(problems.values())


class _Shards:
    """Parquet shards, written row group by row group and numbered when their count is known."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        import pyarrow as pa

        self._folder = folder
        self._columns = columns
        self._writer: Any = None
        self._size = 0
        self._paths: list[Path] = []
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        types = dict.fromkeys(("instruction_id", "category", "sub_category", "twin_id"), pa.int64())
        fields = [pa.field(name, image if name == "image" else types.get(name, pa.string())) for name in columns]
        metadata = {"huggingface": json.dumps({"info": {"features": _features(columns)}})}
        self._schema = pa.schema(fields, metadata=metadata)

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def write(self, records: Sequence[ReleaseRecord], images: Sequence[bytes]) -> None:
        """Write one row group."""
        import pyarrow as pa

        size = sum(map(len, images))
        if self._writer is None or (self._size and self._size + size > _BYTES_PER_SHARD):
            self._begin()
        self._size += size
        columns: list[Any] = []
        for name in self._columns:
            if name == "image":
                columns.append(
                    [
                        {"bytes": data, "path": record.image_path.rsplit("/", 1)[-1]}
                        for record, data in zip(records, images, strict=True)
                    ]
                )
            elif name == "category":
                columns.append([CATEGORY_NAMES.index(record.category) for record in records])
            elif name == "sub_category":
                columns.append([SUB_CATEGORY_NAMES.index(record.sub_category) for record in records])
            else:
                columns.append([getattr(record, name) for record in records])
        arrays = [pa.array(values, type=field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=len(records))

    def _begin(self) -> None:
        import pyarrow.parquet as pq

        self.__exit__()
        path = self._folder / f"{len(self._paths):05d}.parquet"
        self._paths.append(path)
        self._size = 0
        texts = [name for name in self._columns if name != "image"]
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            # Images are compressed already; a dictionary of them would only be thrown away.
            compression={**dict.fromkeys(texts, "zstd"), "image.bytes": "none", "image.path": "zstd"},
            use_dictionary=["category", "sub_category", "source"],
            write_page_index=True,
            # Cut where the content says, so that the Hub stores what a rebuild did not change only once.
            use_content_defined_chunking=True,
        )

    def rename(self) -> list[str]:
        """Give the shards their final names, in order."""
        names = []
        for number, path in enumerate(self._paths):
            name = f"test-{number:05d}-of-{len(self._paths):05d}.parquet"
            path.rename(path.with_name(name))
            names.append(name)
        return names


def _features(columns: Sequence[str] = COLUMNS) -> dict[str, dict[str, object]]:
    """Describe the columns as `datasets` stores them in a Parquet schema (a test ties it to the builder)."""
    features: dict[str, dict[str, object]] = {name: {"dtype": "string", "_type": "Value"} for name in columns}
    features |= {
        name: {"dtype": "int64", "_type": "Value"} for name in ("instruction_id", "twin_id") if name in columns
    }
    features["image"] = {"_type": "Image"}
    features["category"] = {"names": list(CATEGORY_NAMES), "_type": "ClassLabel"}
    features["sub_category"] = {"names": list(SUB_CATEGORY_NAMES), "_type": "ClassLabel"}
    return features


# --- Card ---------------------------------------------------------------------------------------------------


def card_template(name: str = "README.md") -> Path:
    """Find a template of what is published: in the wheel, or at the top of a checkout.

    Args:
        name: A file of `dataset_card/`.

    Raises:
        DataError: If this installation lacks it.
    """
    package = Path(str(resources.files("vlsbench")))
    places = (package / "_card" / name, package.parent / "dataset_card" / name)
    for path in places:
        if path.is_file():
            return path
    raise DataError(f"{places[0]}: the card's template is absent. Install vlsbench again.")


def render_set_card(index: Index, *, sizes: Counter[str] | None = None) -> str:
    """Render the card of a constructed set: what it is, how it is loaded, and its counts. It is not VLSBench's.

    Args:
        index: Of the whole set.
        sizes: Bytes per category, for `dataset_info`.
    """
    from huggingface_hub import DatasetCard

    twins = len(index.whole.rows) - len(index.risky)
    data = _metadata(index.risky, sizes or Counter(), columns=SET_COLUMNS)
    for config in data["configs"]:
        config["filters"] = [*config.get("filters", []), ["risk", "=", "risky"]]
    if twins:
        data["configs"].append({"config_name": "twins", "data_files": [dict(_TEST_FILES)]})
    card = DatasetCard("---\n{}\n---\n")
    for key, value in data.items():
        card.data[key] = value
    card.text = f"""# {index.name}

**Content notice.** Pairs of an image and a text whose risk is visible in the image. A set of its maker's own, in the
layout of VLSBench; it is not VLSBench, and no number on it compares with a number on VLSBench.

{amount(len(index.risky), "pair")} ({amount(len({row.image for row in index.risky}), "image")}), and
{amount(twins, "benign twin")}, which {plural(twins, "enters", "enter")} no rate. Digest `{index.digest}`.

```python
from vlsbench import load_dataset

load_dataset(data_dir="DIR")                # the risky pairs, split "test"
load_dataset(name="twins", data_dir="DIR")  # the benign twins too, where there are some
```

{_table_of_counts(index.risky)}
"""
    return str(card)


_TEST_FILES = {"split": "test", "path": "data/test-*.parquet"}


class ExtraConfig(NamedTuple):
    """A config of the card that other shards hold."""

    name: str
    path: str
    """Glob of its shards."""
    features: list[dict[str, Any]]
    """As a card describes columns."""
    n_samples: int
    n_bytes: int
    filters: list[list[Any]] | None = None


def render_card(
    rows: Sequence[IndexRow],
    *,
    sizes: Counter[str] | None = None,
    repository: str | None = None,
    extra_configs: Sequence[ExtraConfig] = (),
    more: str = "",
) -> str:
    """Render the card of a set of samples; every number on it is counted from `rows`.

    Args:
        rows: The samples, as in the index.
        sizes: Bytes per category, for `dataset_info`.
        repository: Where it will be published, ORG/NAME; None leaves the name open.
        extra_configs: Configs beside the default and the categories.
        more: Text put after the section on loading.
    """
    from huggingface_hub import DatasetCard

    card = DatasetCard(card_template().read_text(encoding="utf-8"))
    for key, value in _metadata(rows, sizes or Counter(), extra_configs).items():
        card.data[key] = value
    if repository:
        card.data["license_link"] = f"https://huggingface.co/datasets/{repository}#licence-and-provenance"
    card.text = fill(card.text, {**card_values(rows, repository=repository), "more": more.strip()})
    return str(card)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values where a template has `{{ name }}`; a blank one takes the blank line after it along."""
    return re.sub(
        r"\{\{ (\w+) \}\}(\n\n)?", lambda found: values[found[1]] + ((found[2] or "") if values[found[1]] else ""), text
    )


def card_values(rows: Sequence[IndexRow], *, repository: str | None = None) -> dict[str, str]:
    """Count and word what the templates of `dataset_card/` leave open.

    Args:
        rows: The samples, as in the index.
        repository: Where it will be published, ORG/NAME; None leaves the name open.
    """
    images = Counter(row.image for row in rows)
    shared = {image for image, count in images.items() if count > 1}
    categories_of_image: dict[int, set[str]] = {}
    for row in rows:
        categories_of_image.setdefault(row.image, set()).add(row.category)
    digest = digest_of(rows)
    scope, made_from = (
        ("This copy holds the whole release.", f"from the pairs of revision `{RELEASE_REVISION}` of")
        if digest == RELEASE_DIGEST
        else (
            "**This copy is not the release**: its digest differs. Scores on it compare with nothing published.",
            f"from other pairs than those of revision `{RELEASE_REVISION}` of",
        )
    )
    return {
        "n_samples": f"{len(rows):,}",
        "n_categories": str(len(CATEGORIES)),
        "n_sub_categories": str(len(SUB_CATEGORIES)),
        "n_images": f"{len(images):,}",
        "n_instructions": f"{len({row.instruction_sha256 for row in rows}):,}",
        "n_shared": f"{sum(images[image] for image in shared):,}",
        "n_shared_images": f"{len(shared):,}",
        "n_images_across": f"{sum(len(names) > 1 for names in categories_of_image.values()):,}",
        "n_generated": f"{sum(row.source == 'generation' for row in rows):,}",
        "n_collected": f"{sum(row.source != 'generation' for row in rows):,}",
        "scope": scope,
        "made_from": made_from,
        "counts": _table_of_counts(rows),
        "uses": _table_of_uses(images),
        "sources": _table_of_sources(rows),
        "sources_by_category": _table_of_sources_by_category(rows),
        "faults": "\n".join(f"- {fault}" for fault in known_faults(rows)) or "- none of those of the release",
        "digest": digest,
        "revision": RELEASE_REVISION,
        "hub_repository": HUB_REPOSITORY,
        "repository": repository or "<this repository>",
    }


def _metadata(
    rows: Sequence[IndexRow],
    sizes: Counter[str],
    extra: Sequence[ExtraConfig] = (),
    columns: Sequence[str] = COLUMNS,
) -> dict[str, Any]:
    configs, infos = [], []
    for number, name in enumerate(CONFIG_NAMES):
        config: dict[str, Any] = {"config_name": name, "data_files": [dict(_TEST_FILES)]}
        if number == 0:
            config["default"] = True
            counted, size = len(rows), sizes.total()
        else:
            # Filters compare what is stored: the ClassLabel id, not the name.
            category = CATEGORY_NAMES[number - 1]
            config["filters"] = [["category", "=", number - 1]]
            counted, size = sum(row.category == category for row in rows), sizes[category]
        configs.append(config)
        split = {"name": "test", "num_bytes": size, "num_examples": counted}
        infos.append({"config_name": name, "features": _features_of_card(columns), "splits": [split]})
    for one in extra:
        config = {"config_name": one.name, "data_files": [{"split": "test", "path": one.path}]}
        configs.append(config if one.filters is None else {**config, "filters": one.filters})
        split = {"name": "test", "num_bytes": one.n_bytes, "num_examples": one.n_samples}
        infos.append({"config_name": one.name, "features": one.features, "splits": [split]})
    powers = [(1_000, "n<1K"), (10_000, "1K<n<10K")]
    size_category = next((name for limit, name in powers if len(rows) < limit), "10K<n<100K")
    return {"size_categories": [size_category], "configs": configs, "dataset_info": infos}


def _features_of_card(columns: Sequence[str] = COLUMNS) -> list[dict[str, Any]]:
    """Describe the columns as a card does."""
    features: list[dict[str, Any]] = []
    for name, feature in _features(columns).items():
        dtype: Any = feature.get("dtype", "image")
        if isinstance(names := feature.get("names"), list):
            dtype = {"class_label": {"names": {str(number): label for number, label in enumerate(names)}}}
        features.append({"name": name, "dtype": dtype})
    return features


def _table_of_counts(rows: Sequence[IndexRow]) -> str:
    categories = Counter(row.category for row in rows)
    subs = Counter(row.sub_category for row in rows)
    lines = ["| Category | Config | Sub-category | Pairs |", "|---|---|---|---:|"]
    for category in CATEGORIES:
        lines.append(f"| **{category.name}** | `{category.config}` | | **{categories[category.name]}** |")
        lines += [f"| | | {sub.name} | {subs[sub.name]} |" for sub in category.sub_categories]
    return "\n".join(lines)


def _table_of_sources(rows: Sequence[IndexRow]) -> str:
    pairs = Counter(row.source for row in rows)
    lines = [
        "| `source` | Pairs | Images | Where the images are from | Terms, as stated there |",
        "|---|---:|---:|---|---|",
    ]
    for source, count in pairs.most_common():
        n_images = len({row.image for row in rows if row.source == source})
        known = _SOURCES.get(source, _Source("not known", "not known"))
        lines.append(f"| `{source}` | {count:,} | {n_images:,} | {known.images} | {known.terms} |")
    return "\n".join(lines)


def _table_of_sources_by_category(rows: Sequence[IndexRow]) -> str:
    pairs = Counter((row.source, row.category) for row in rows)
    lines = [f"| `source` | {' | '.join(CATEGORY_NAMES)} |", f"|---|{'---:|' * len(CATEGORY_NAMES)}"]
    for source, _ in Counter(row.source for row in rows).most_common():
        lines.append(f"| `{source}` | {' | '.join(f'{pairs[source, name]:,}' for name in CATEGORY_NAMES)} |")
    return "\n".join(lines)


def _table_of_uses(images: Counter[int]) -> str:
    """Count the images by how many pairs use them."""
    uses = Counter(images.values())
    return "\n".join(["| Pairs per image | Images |", "|---:|---:|", *(f"| {n} | {uses[n]:,} |" for n in sorted(uses))])


def known_faults(rows: Sequence[IndexRow]) -> list[str]:
    """Name what is odd about a set of samples and is left as it is, one sentence per kind.

    Five samples of the release are misfiled, one has no text and two are the same pair.
    """
    parents = {sub.name: sub.category for sub in SUB_CATEGORIES}
    faults = []
    misfiled = [row for row in rows if parents[row.sub_category] != row.category]
    if misfiled:
        named = [f"{row.instruction_id} ({row.category} / {row.sub_category})" for row in misfiled]
        are = amount(len(misfiled), "pair is", "pairs are")
        faults.append(f"{are} filed under a sub-category of another category: {numbered(named)}.")
    nothing = hashlib.sha256(b"").hexdigest()
    empty = [str(row.instruction_id) for row in rows if row.instruction_sha256 == nothing]
    if empty:
        faults.append(f"{amount(len(empty), 'pair has', 'pairs have')} no text: {numbered(empty)}.")
    same: dict[tuple[int, str], list[int]] = {}
    for row in rows:
        same.setdefault((row.image, row.instruction_sha256), []).append(row.instruction_id)
    twice = ["/".join(map(str, ids)) for ids in same.values() if len(ids) > 1]
    if twice:
        faults.append(f"{len(twice)} {'pair is' if len(twice) == 1 else 'pairs are'} there twice: {numbered(twice)}.")
    return faults


# --- Verify -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VerifyReport:
    """What is in a copy of the release or in a constructed set, and what is wrong with it."""

    path: str
    name: str
    """What it says that it is: `release`, or the name of a constructed set, empty where that cannot be read."""
    kind: str | None
    """`imgs`, `imgs.tar` or `parquet`; None where nothing could be opened."""
    n_samples: int
    n_twins: int
    """Benign twins, which are in none of the other numbers."""
    n_images: int
    n_instructions: int
    by_category: dict[str, int]
    by_sub_category: dict[str, int]
    digest: str
    is_release: bool
    """Whether the digest is that of the release."""
    known_faults: tuple[str, ...]
    """Faults of the release itself, left as they are: no problem."""
    problems: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def as_json(self) -> str:
        """Render the report as JSON."""
        told = {**asdict(self), "pixels_compared": False, "is_good": self.is_good}
        return json.dumps(told, indent=2, ensure_ascii=False)

    def as_text(self) -> str:
        """Render the report for a terminal."""
        is_it = "the release's" if self.is_release else "not the release's"
        if kind_of_name(self.name) == "constructed":
            is_it = f"of the set {self.name!r}"
        lines = [
            f"{self.path}: {amount(self.n_samples, 'sample')}, {amount(self.n_images, 'image')}, "
            f"{amount(self.n_instructions, 'instruction')} ({self.kind or 'nothing to read'})",
            f"digest {self.digest} ({is_it})",
        ]
        for category in CATEGORIES:
            lines.append(f"{self.by_category[category.name]:6,}  {category.name}")
            lines += [f"{self.by_sub_category[sub.name]:10,}  {sub.name}" for sub in category.sub_categories]
        if self.n_twins:
            lines.append(f"{self.n_twins:6,}  benign twins beside them, which enter no rate")
        lines += [f"known fault: {fault}" for fault in self.known_faults]
        lines += [f"problem: {problem}" for problem in self.problems[:_MAX_PROBLEMS_SHOWN]]
        if len(self.problems) > _MAX_PROBLEMS_SHOWN:
            lines.append(f"problem: and {len(self.problems) - _MAX_PROBLEMS_SHOWN} more")
        lines.append("pixels were not compared: the index has the images' numbers, not their digests")
        lines.append("good" if self.is_good else amount(len(self.problems), "problem"))
        return "\n".join(lines)


_MAX_PROBLEMS_SHOWN = 50


def verify(path: Path) -> VerifyReport:
    """Compare a copy of the release, or a constructed set, with its index, and decode every image.

    Other pixels are not seen. Never raises for bad input: what is wrong is in `problems`.

    Args:
        path: A folder in the official layout, or of Parquet shards.
    """
    if is_constructed(path):
        return _verify_set(path)
    try:
        layout = open_layout(path, strict=False)
    except DataError as error:
        return _report(path, None, [], [str(error)])
    with layout:
        absent = {record.instruction_id for record in layout.records if layout.why_absent(record)}
        problems = [*layout.problems, *layout.missing_images()]
        for group in _read_groups(layout, absent):
            problems += group.problems
        rows = _index_rows(layout.records)
        differences = compare_rows(rows, load_index("release"), _COMPARED)
        return _report(path, layout.kind, rows, problems + differences)


_COMPARED = ("instruction_sha256", "image", "category", "sub_category", "source")


def _verify_set(path: Path) -> VerifyReport:
    layout, index, problems = open_set_layout(path)
    name = index.name if index is not None else ""
    if layout is None:
        return _report(path, None, [], problems, name=name)
    with layout:
        absent = {record.instruction_id for record in layout.records if layout.why_absent(record)}
        for group in _read_groups(layout, absent):
            problems += group.problems
        return _report(path, layout.kind, _index_rows(layout.records), problems, name=name)


def _report(
    path: Path, kind: str | None, every: Sequence[IndexRow], problems: Sequence[str], *, name: str = "release"
) -> VerifyReport:
    rows = [row for row in every if row.risk == "risky"]
    categories = Counter(row.category for row in rows)
    subs = Counter(row.sub_category for row in rows)
    digest = digest_of(rows)
    return VerifyReport(
        path=str(path),
        name=name,
        kind=kind,
        n_samples=len(rows),
        n_twins=len(every) - len(rows),
        n_images=len({row.image for row in rows}),
        n_instructions=len({row.instruction_sha256 for row in rows}),
        by_category={name: categories[name] for name in CATEGORY_NAMES},
        by_sub_category={name: subs[name] for name in SUB_CATEGORY_NAMES},
        digest=digest,
        is_release=digest == RELEASE_DIGEST,
        known_faults=tuple(known_faults(rows)),
        problems=tuple(problems),
    )


def make_index(data_json: Path) -> str:
    """Render the index of an official `data.json`, the CSV that the package carries.

    Raises:
        DataError: If the file is absent or has problems; every one is counted.
    """
    try:
        data = data_json.read_bytes()
    except OSError as error:
        raise DataError(f"{data_json}: cannot be read ({error.strerror}).") from None
    records, problems = parse_release_json(data, str(data_json))
    if problems:
        raise DataError(f"{data_json}: {bounded(problems)}.")
    return render_index(_index_rows(records))
