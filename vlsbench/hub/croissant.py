"""`croissant.json`: what the files of the published dataset are, in Croissant 1.1 with the RAI vocabulary.

The prose is in `dataset_card/croissant.json`; counts, files, digests and columns are put in here. It is plain JSON-LD,
so that publishing needs no `mlcroissant`; the tests read it with that library (1.1.1), which validates it and reads
records.

Rule of the room: pure but for hashing the shards; the same shards make the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict, Field, ValidationError

from vlsbench.dataset.build import card_template, card_values, fill
from vlsbench.dataset.index import IndexRow, digest_of
from vlsbench.dataset.layout import COLUMNS
from vlsbench.errors import DataError
from vlsbench.hub.inspect_config import INSPECT_COLUMNS, INSPECT_CONFIG
from vlsbench.records import Record, explain
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORY_NAMES

__all__ = ["Shard", "Stated", "describe_set", "hash_shard", "read_croissant", "render_croissant"]

_PARQUET = "application/x-parquet"
_REPOSITORY = "repo"

_DESCRIPTIONS = {
    "instruction_id": "Key of the pair.",
    "instruction": "The text shown to the model; harmless by itself.",
    "image": "The image.",
    "image_path": "Path in the original release; pairs with one number share an image.",
    "category": "Category of the risk.",
    "sub_category": "Sub-category of the risk; five pairs of the release have one of another category.",
    "source": "Where the image comes from.",
    "image_description": "What is in the image, written per pair.",
    "safety_reason": "Why the pair is risky.",
}


class Shard(NamedTuple):
    """One Parquet file as published."""

    path: str
    """Relative to the folder."""
    n_bytes: int
    sha256: str


class Stated(NamedTuple):
    """What a `croissant.json` says about the files beside it."""

    url: str
    sha256: dict[str, str]
    """By path relative to the folder."""


def hash_shard(folder: Path, path: str) -> Shard:
    """Digest one shard, a piece at a time.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with (folder / path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Shard(path, file.tell(), digest)
    except OSError as error:
        raise DataError(f"{folder / path}: cannot be read ({error.strerror}).") from None


def render_croissant(rows: Sequence[IndexRow], shards: Sequence[Shard], *, repository: str) -> str:
    """Render `croissant.json`.

    Args:
        rows: The samples, as in the index.
        shards: The files of `data/` and `inspect/`.
        repository: Where they will be published, ORG/NAME.
    """
    template = json.loads(card_template("croissant.json").read_text(encoding="utf-8"))
    values = card_values(rows, repository=repository)
    document: dict[str, Any] = {
        key: value if key == "@context" else _filled(value, values) for key, value in template.items()
    }
    # The authors number no versions. What follows the plus is build metadata: the digest tells two copies apart.
    document["version"] = f"1.0.0+{digest_of(rows)[:12]}"
    document["distribution"] = [
        {
            "@type": "cr:FileObject",
            "@id": _REPOSITORY,
            "name": _REPOSITORY,
            "description": "The repository on the Hub.",
            "contentUrl": f"https://huggingface.co/datasets/{repository}",
            "encodingFormat": "git+https",
            # A repository has no digest; this is what the Hub's own Croissant puts here. The shards have theirs.
            "sha256": "https://github.com/mlcommons/croissant/issues/80",
        },
        *(_file_set(config, folder) for config, folder in (("default", "data"), (INSPECT_CONFIG, "inspect"))),
        *(_file_object(shard) for shard in shards),
    ]
    document["recordSet"] = [
        _enumeration("categories", CATEGORY_NAMES),
        _enumeration("sub_categories", SUB_CATEGORY_NAMES),
        _record_set("default", COLUMNS, f"All {values['n_samples']} pairs, images embedded."),
        _record_set(INSPECT_CONFIG, INSPECT_COLUMNS, "The same pairs, the image as a data: URI."),
    ]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def describe_set(folder: Path, rows: Sequence[IndexRow], *, name: str) -> dict[str, Any]:
    """Describe the folder of a constructed set, which has no repository yet: files, digests and columns.

    Args:
        folder: With `data/*.parquet`.
        rows: The risky pairs, as in the index.
        name: Of the set.

    Raises:
        DataError: If a file cannot be read.
    """
    template = json.loads(card_template("croissant.json").read_text(encoding="utf-8"))
    paths = sorted(path.relative_to(folder).as_posix() for path in (folder / "data").glob("*.parquet"))
    shards = [hash_shard(folder, path) for path in paths]
    files = [{key: value for key, value in _file_object(shard).items() if key != "containedIn"} for shard in shards]
    return {
        "@context": template["@context"],
        "@type": "sc:Dataset",
        "name": name,
        "description": (
            f"{len(rows):,} pairs of a harmless text and an image that makes it risky, made by `vlsbench construct`. "
            "Content notice: for testing and improving the safety of models, for nothing else."
        ),
        "conformsTo": template["conformsTo"],
        "version": f"1.0.0+{digest_of(rows)[:12]}",
        "distribution": files,
        "recordSet": [
            _enumeration("categories", CATEGORY_NAMES),
            _enumeration("sub_categories", SUB_CATEGORY_NAMES),
            *(_records_of(shard) for shard in shards),
        ],
    }


def _records_of(shard: Shard) -> dict[str, Any]:
    """Describe the rows of one file of a constructed set: `test-…` holds the pairs, `twins-…` their twins."""
    is_twins = Path(shard.path).name.startswith("twins")
    config, what = ("twins", "The harmless twins") if is_twins else ("default", "The pairs")
    records = _record_set(config, COLUMNS, f"{what}, images embedded.")
    for field in records["field"]:
        field["source"] = {"fileObject": {"@id": shard.path}, **field["source"]}
        del field["source"]["fileSet"]
    return records


def _filled(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, str):
        return fill(value, values)
    return [_filled(item, values) for item in value] if isinstance(value, list) else value


def _file_set(config: str, folder: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"parquet-{config}",
        "name": f"parquet-{config}",
        "description": f"Shards of the config {config}.",
        "containedIn": {"@id": _REPOSITORY},
        "encodingFormat": _PARQUET,
        "includes": f"{folder}/test-*.parquet",
    }


def _file_object(shard: Shard) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard.path,
        "name": shard.path,
        "containedIn": {"@id": _REPOSITORY},
        "contentUrl": shard.path,
        "contentSize": f"{shard.n_bytes} B",
        "encodingFormat": _PARQUET,
        "sha256": shard.sha256,
    }


def _enumeration(name: str, names: Sequence[str]) -> dict[str, Any]:
    fields = [
        {"@type": "cr:Field", "@id": f"{name}/{column}", "name": column, "dataType": data_type}
        for column, data_type in (("id", "sc:Integer"), ("name", "sc:Text"))
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"Names of the {name.replace('_', '-')}, by the number stored in the config default.",
        "dataType": "sc:Enumeration",
        "key": {"@id": f"{name}/id"},
        "field": fields,
        "data": [{f"{name}/id": number, f"{name}/name": label} for number, label in enumerate(names)],
    }


def _record_set(config: str, columns: Sequence[str], description: str) -> dict[str, Any]:
    fields = []
    for column in columns:
        source: dict[str, Any] = {"fileSet": {"@id": f"parquet-{config}"}, "extract": {"column": column}}
        text = _DESCRIPTIONS[column]
        data_type = "sc:Integer" if column == "instruction_id" else "sc:Text"
        if config != INSPECT_CONFIG and column == "image":
            source["transform"] = {"jsonPath": "bytes"}
            data_type = "sc:ImageObject"
        elif config != INSPECT_CONFIG and column in ("category", "sub_category"):
            # Not a `references`: mlcroissant would join the tables and read every shard at once for it.
            plural = "categories" if column == "category" else "sub_categories"
            text, data_type = f"{text} The name is in the record set {plural}.", "sc:Integer"
        fields.append(
            {
                "@type": "cr:Field",
                "@id": f"{config}/{column}",
                "name": column,
                "description": text,
                "dataType": data_type,
                "source": source,
            }
        )
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "description": description,
        "key": {"@id": f"{config}/instruction_id"},
        "field": fields,
    }


# --- Reading it back ----------------------------------------------------------------------------------------


class _File(Record):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    type: str = Field(alias="@type")
    path: str = Field(alias="@id")
    sha256: str | None = None


class _Document(Record):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=False)

    url: str
    distribution: tuple[_File, ...]


def read_croissant(path: Path) -> Stated:
    """Read which files a `croissant.json` of ours names, with their digests.

    Raises:
        DataError: If it is absent or not one.
    """
    try:
        document = _Document.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Prepare the folder again.") from None
    except ValidationError as error:
        raise DataError(
            f"{path}: not a croissant.json of this package ({'; '.join(explain(error)[:3])}). Prepare the folder again."
        ) from None
    files = {file.path: file.sha256 or "" for file in document.distribution if file.type == "cr:FileObject"}
    files.pop(_REPOSITORY, None)
    return Stated(document.url, files)
