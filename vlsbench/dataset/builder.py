"""The loading script: a `datasets` builder of the release, from a folder or from the pinned revision on the Hub.

    VLSBench(config_name="privacy", data_dir="DIR").as_streaming_dataset(split="test")

`datasets` runs no scripts since version 4, so this is a class of the package; `vlsbench.load_dataset` is the
way to it. From the Hub, Parquet shards under `data/` are preferred; else `data.json` with `imgs.tar` (never
unpacked; streamed in its own order) or with `imgs/`. Source: huggingface.co/datasets/Foreshhh/vlsbench at
b56f6f6aad102fdb53f46e35fec96836bbe13001.

This is the one module of the room that imports `datasets`, and nothing imports it at module level. When a
builder is made, `datasets` replaces `open` and `os.path` in this module with versions that read URLs; work on
plain files is therefore done in `vlsbench.dataset.layout`.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import datasets
import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from vlsbench.dataset.index import HUB_REPOSITORY, RELEASE_REVISION
from vlsbench.dataset.layout import (
    ImageTar,
    ParquetLayout,
    ReleaseRecord,
    fingerprint,
    how_to_get_the_release,
    open_layout,
    parse_release_json,
    record_of_row,
)
from vlsbench.dataset.pictures import MAX_IMAGE_BYTES, Picture, mime_of, plain_picture
from vlsbench.errors import DataError, amount, bounded, numbered
from vlsbench.taxonomy import CATEGORIES, CATEGORY_NAMES, SUB_CATEGORY_NAMES, category_of_config

__all__ = ["FEATURES", "ConstructedSet", "VLSBench"]

FEATURES = datasets.Features(
    {
        "instruction_id": datasets.Value("int64"),
        "instruction": datasets.Value("string"),
        "image": datasets.Image(),
        "image_path": datasets.Value("string"),
        "category": datasets.ClassLabel(names=list(CATEGORY_NAMES)),
        "sub_category": datasets.ClassLabel(names=list(SUB_CATEGORY_NAMES)),
        "source": datasets.Value("string"),
        "image_description": datasets.Value("string"),
        "safety_reason": datasets.Value("string"),
    }
)
"""Columns of every config, in order."""

_BATCH_ROWS = 16
"""Rows of a Parquet shard in memory at once: about 20 MB of images of the release."""

_BUFFER_BYTES = 1 << 20

_HUB = f"hf://datasets/{HUB_REPOSITORY}@{RELEASE_REVISION}/"


def _configs() -> list[datasets.BuilderConfig]:
    version = datasets.Version("1.0.0")
    whole = datasets.BuilderConfig(name="default", version=version, description="All 2,241 pairs.")
    return [whole] + [
        datasets.BuilderConfig(name=category.config, version=version, description=category.description)
        for category in CATEGORIES
    ]


def _configs_of_set() -> list[datasets.BuilderConfig]:
    return [*_configs(), datasets.BuilderConfig(name="twins", version=datasets.Version("1.0.0"))]


class VLSBench(datasets.GeneratorBasedBuilder):  # type: ignore[misc]  # `datasets` has no types
    """VLSBench as a dataset with one split, `test`."""

    BUILDER_CONFIGS = _configs()
    DEFAULT_CONFIG_NAME = "default"
    DEFAULT_WRITER_BATCH_SIZE = 64  # about 80 MB of images; the default of 1000 rows would be 1.2 GB

    def __init__(
        self,
        cache_dir: str | None = None,
        dataset_name: str | None = "vlsbench",
        config_name: str | None = None,
        hash: str | None = None,  # noqa: A002 (the name in `datasets`)
        data_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Make a builder; `data_dir` is a folder in the official layout or of Parquet shards, None is the Hub."""
        if hash is None:
            # Part of the cache's path: a folder that changed is read again, another revision is another cache.
            hash = fingerprint(data_dir) if data_dir else RELEASE_REVISION[:16]  # noqa: A001
        super().__init__(
            cache_dir=cache_dir,
            dataset_name=dataset_name,
            config_name=config_name,
            hash=hash,
            data_dir=data_dir,
            **kwargs,
        )

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=(
                "VLSBench: image-text pairs whose text alone is harmless; the risk is visible only in the image. "
                "Contains disturbing images."
            ),
            features=FEATURES.copy(),
            homepage=f"https://huggingface.co/datasets/{HUB_REPOSITORY}",
            citation="Hu et al., VLSBench: Unveiling Visual Leakage in Multimodal Safety, ACL 2025, arXiv:2411.19939.",
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        category = category_of_config(self.config.name)
        only = None if category is None else category.name
        if self.config.data_dir:
            arguments = _plan_folder(self.config.data_dir, only)
        else:
            arguments = self._plan_hub(dl_manager, only)
        return [datasets.SplitGenerator(name=datasets.Split.TEST, gen_kwargs=arguments)]

    def _plan_hub(self, dl_manager: Any, only: str | None) -> dict[str, Any]:
        config = dl_manager.download_config
        try:
            with _hub_errors():
                api = HfApi(endpoint=datasets.config.HF_ENDPOINT, token=config.token)
                # One request without retries: a machine without network hears so at once, not after 24 seconds.
                info = api.dataset_info(HUB_REPOSITORY, revision=RELEASE_REVISION, timeout=30)
                names = [sibling.rfilename for sibling in info.siblings or ()]
        except DataError:
            # Without the Hub, a copy that `hf download` or an earlier run left in the cache is as good.
            snapshot = _cached_snapshot()
            with contextlib.suppress(DataError):  # it is not whole: then what counts is that there is no Hub
                if snapshot is not None:
                    return _plan_folder(snapshot, only)
            raise
        shards = sorted(name for name in names if name.startswith("data/") and name.endswith(".parquet"))
        with _hub_errors():
            if shards:
                files = dl_manager.download([_HUB + name for name in shards])
                return {"kind": "shards", "files": list(files), "only": only}
            if "data.json" not in names:
                raise DataError(
                    f"{HUB_REPOSITORY} at {RELEASE_REVISION}: neither Parquet shards nor data.json are there. "
                    f"{how_to_get_the_release()}"
                )
            path = dl_manager.download(_HUB + "data.json")
            with open(path, "rb") as file:  # noqa: PTH123 (see the module: it reads URLs)
                records, problems = parse_release_json(file.read(), f"{HUB_REPOSITORY}/data.json")
            if problems:
                raise DataError(f"{HUB_REPOSITORY}/data.json: {bounded(problems)}.")
            records = [record for record in records if only is None or record.category == only]
            if "imgs.tar" in names:
                archive = dl_manager.download(_HUB + "imgs.tar")
                if dl_manager.is_streaming:
                    return {"kind": "stream", "records": (*records,), "archive": dl_manager.iter_archive(archive)}
                return {"kind": "archive", "records": (*records,), "archive": str(archive)}
            absent = sorted({record.image_path for record in records} - set(names))
            if absent:
                raise DataError(
                    f"{HUB_REPOSITORY} at {RELEASE_REVISION}: {amount(len(absent), 'image is', 'images are')} "
                    f"missing ({numbered(absent)})."
                )
            paths = list(dict.fromkeys(record.image_path for record in records))
            urls = dl_manager.download([_HUB + path for path in paths])
            images = tuple(zip(paths, urls, strict=True))
            return {"kind": "images", "records": (*records,), "images": images}

    def _generate_examples(self, kind: str, **arguments: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        with _hub_errors():
            if kind == "folder":
                yield from _examples_of_folder(**arguments)
            elif kind == "set":
                yield from _examples_of_set(**arguments)
            elif kind == "shards":
                yield from _examples_of_shards(**arguments)
            elif kind == "stream":
                yield from _examples_of_stream(**arguments)
            elif kind == "archive":
                yield from _examples_of_archive(**arguments)
            else:
                yield from self._examples_of_images(**arguments)

    def _examples_of_images(
        self, records: Sequence[ReleaseRecord], images: Sequence[tuple[str, str]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        places = dict(images)
        for record in records:
            with open(places[record.image_path], "rb") as file:  # noqa: PTH123 (it reads URLs)
                yield _example(record, file.read(MAX_IMAGE_BYTES + 1))


class ConstructedSet(VLSBench):
    """A set of one's own, from its folder: `default` and the categories hold risky pairs, `twins` benign ones too."""

    BUILDER_CONFIGS = _configs_of_set()

    def _info(self) -> datasets.DatasetInfo:
        twins = {"risk": datasets.Value("string"), "twin_id": datasets.Value("int64")}
        return datasets.DatasetInfo(features=datasets.Features({**FEATURES, **twins}))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        category = category_of_config(self.config.name)
        arguments = {
            "kind": "set",
            "root": self.config.data_dir,
            "only": None if category is None else category.name,
            "has_twins": self.config.name == "twins",
        }
        return [datasets.SplitGenerator(name=datasets.Split.TEST, gen_kwargs=arguments)]


def _examples_of_set(root: str, only: str | None, has_twins: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    with open_layout(root) as layout:
        for record in layout.records:
            if only in (None, record.category) and (has_twins or record.risk == "risky"):
                number, values = _example(record, layout.read(record))
                yield number, {**values, "risk": record.risk, "twin_id": record.twin_id}


def _plan_folder(root: str, only: str | None) -> dict[str, Any]:
    """Check a folder before anything is written: records, and the presence of every image."""
    with open_layout(root) as layout:
        if isinstance(layout, ParquetLayout):
            return {"kind": "shards", "files": [str(path) for path in layout.paths], "only": only}
        problems = layout.missing_images()
    if problems:
        raise DataError(
            f"{root}: {bounded(problems)}. Download the images again; `vlsbench data verify {root}` checks."
        )
    return {"kind": "folder", "root": root, "only": only}


def _examples_of_folder(root: str, only: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    with open_layout(root) as layout:
        for record in layout.records:
            if only is None or record.category == only:
                yield _example(record, layout.read(record))


def _examples_of_shards(files: Sequence[str], only: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    for path in files:
        with open(path, "rb") as file:  # noqa: PTH123 (it reads URLs)
            try:
                shard = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
                for group in range(shard.num_row_groups):
                    table = shard.read_row_group(group, use_threads=False)
                    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
                        yield from _examples_of_batch(batch, path, only)
            except pa.ArrowException as error:
                raise DataError(
                    f"{path}: cannot be read as Parquet ({str(error)[:100]}). Download it again."
                ) from error


def _examples_of_batch(batch: Any, path: str, only: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    absent = sorted(set(FEATURES) - set(batch.schema.names))
    if absent:
        raise DataError(f"{path}: lacks the columns {', '.join(absent)}. Is this VLSBench?")
    texts = batch.drop_columns(["image"]).to_pylist()
    for text, image in zip(texts, batch.column("image"), strict=True):
        record = record_of_row(text, f"{path}: instruction_id {text['instruction_id']}")
        if isinstance(record, str):
            raise DataError(f"{record}. Download it again.")
        if only is not None and record.category != only:
            continue
        cell = image.as_py()
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(data, bytes):
            raise DataError(f"{path}: instruction_id {record.instruction_id} has no embedded image.")
        yield _example(record, data)


def _examples_of_archive(records: Sequence[ReleaseRecord], archive: str) -> Iterator[tuple[int, dict[str, Any]]]:
    images = ImageTar(archive)
    with contextlib.closing(images):
        problems = [problem for record in records if (problem := images.why_absent(record.image_path))]
        if problems:
            raise DataError(f"{HUB_REPOSITORY}/imgs.tar: {bounded(list(dict.fromkeys(problems)))}.")
        for record in records:
            yield _example(record, images.read(record.image_path))


def _examples_of_stream(
    records: Sequence[ReleaseRecord], archive: Iterable[tuple[str, Any]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read an archive once, in its own order, yielding the samples of each image as it passes."""
    waiting: dict[str, list[ReleaseRecord]] = {}
    for record in records:
        waiting.setdefault(record.image_path.rsplit("/", 1)[-1], []).append(record)
    for name, file in archive:
        found = waiting.pop(name.rsplit("/", 1)[-1], None)
        if found:
            data = file.read(MAX_IMAGE_BYTES + 1)
            for record in found:
                yield _example(record, data)
        if not waiting:
            return
    if waiting:
        raise DataError(
            f"{HUB_REPOSITORY}/imgs.tar: {amount(len(waiting), 'image is', 'images are')} missing "
            f"({numbered(sorted(waiting))})."
        )


def _example(record: ReleaseRecord, data: bytes) -> tuple[int, dict[str, Any]]:
    where = f"{record.image_path} (instruction_id {record.instruction_id})"
    mime = mime_of(data)
    if mime is None:
        raise DataError(
            f"{where} is not a PNG, JPEG, GIF, WebP or BMP image (it begins with {data[:8]!r}). Download it again."
        )
    try:
        # `datasets` decodes it, with no way to say how.
        data = plain_picture(Picture(data, mime)).data
    except DataError as error:
        raise DataError(f"{where}: {error}. Download it again.") from None
    values = record.model_dump(include=set(FEATURES))
    name = record.image_path.rsplit("/", 1)[-1]
    return record.instruction_id, {**values, "image": {"bytes": data, "path": name}}


def _cached_snapshot() -> str | None:
    """Return the pinned revision's folder in the Hub's cache, complete or not; None where there is none."""
    try:
        return str(
            snapshot_download(HUB_REPOSITORY, repo_type="dataset", revision=RELEASE_REVISION, local_files_only=True)
        )
    except IncompleteSnapshotError as error:
        return str(error.snapshot_path)  # `imgs/` may be left out where `data/` is there
    except LocalEntryNotFoundError:
        return None


@contextlib.contextmanager
def _hub_errors() -> Iterator[None]:
    """Turn what goes wrong between here and the Hub into one `DataError` that says what to do."""
    try:
        yield
    except DataError:
        raise
    except (OSError, httpx2.HTTPError, EntryNotFoundError) as error:
        reason = _why(error)
        if reason is None:
            raise
        raise DataError(
            f"{HUB_REPOSITORY} at revision {RELEASE_REVISION} cannot be read from {datasets.config.HF_ENDPOINT}: "
            f"{reason}. {how_to_get_the_release()}"
        ) from error


def _why(error: BaseException) -> str | None:
    """Name the reason of a failed download; None where it is not one (a full disk, say)."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    reasons: list[tuple[type[BaseException], str]] = [
        (OfflineModeIsEnabled, "HF_HUB_OFFLINE is set and the release is not in the cache"),
        (
            GatedRepoError,
            "it is gated and this account has no access: accept its terms on its page, then `hf auth login`",
        ),
        (RevisionNotFoundError, "the pinned revision is not there"),
        (RepositoryNotFoundError, "there is no such repository for this account; where it is private or gated, log in"),
        (RemoteEntryNotFoundError, "a file of it is not there"),
    ]
    for kind, reason in reasons:
        if any(isinstance(item, kind) for item in chain):
            return reason
    for item in chain:
        if isinstance(item, HfHubHTTPError):
            status = item.response.status_code
            return (
                f"access was refused (HTTP {status}): log in with `hf auth login`"
                if status in (401, 403)
                else (f"the server answered HTTP {status}")
            )
    if any(isinstance(item, OSError) and item.errno in (errno.ENOSPC, errno.EDQUOT) for item in chain):
        return None
    for item in chain:
        if isinstance(item, httpx2.HTTPError | ConnectionError | TimeoutError):
            return f"no connection ({type(item).__name__}: {str(item)[:100]})"
    return None
