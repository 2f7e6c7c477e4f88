"""`load_dataset("vlsbench")`: the sample at once, the release from a folder or from the Hub.

The sample (`sample`, `twins`) is read by the Parquet loader of `datasets` as `.huggingface.yaml` beside this
package declares it, which is also what makes `datasets.load_dataset("vlsbench")` work in a checkout. The
release (`default` and one config per category) is read by `vlsbench.dataset.builder`, and so is the folder of a
constructed set. `datasets` is imported on the first call.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any

from vlsbench.dataset.constructed import check_set
from vlsbench.dataset.index import is_constructed
from vlsbench.errors import DataError
from vlsbench.taxonomy import CONFIG_NAMES

__all__ = ["SAMPLE_CONFIGS", "load_dataset"]

SAMPLE_CONFIGS = ("sample", "twins")
"""Configs of the package's own sample: the risky pairs, and both."""


def load_dataset(
    path: str = "vlsbench",
    name: str | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    split: str | None = None,
    streaming: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    download_mode: str | None = None,
    keep_in_memory: bool | None = None,
    num_proc: int | None = None,
) -> Any:
    """Load VLSBench as `datasets.load_dataset` would.

    Args:
        path: `vlsbench`, the only dataset this knows.
        name: `sample` (the default without `data_dir`) or `twins`, which are in the package; `default` (the
            default with `data_dir`) or a category (`violent`, `illegal_activity`, `self_harm`, `erotic`,
            `hate`, `privacy`) of the release, or of a constructed set, which has `twins` where it has benign pairs.
        data_dir: The release on disk: `data.json` with `imgs/` or `imgs.tar`, or Parquet shards. Without it
            the release is read from the Hub at the pinned revision. Or a constructed set: the same with `index.csv`
            and `dataset.json`, which are compared with its records before anything is read.
        split: `test` (or a slice of it, `test[:10]`) for one dataset; None for all splits, of which there is one.
        streaming: Yield samples without preparing a cache.
        cache_dir: Where `datasets` keeps what it prepared.
        token: A Hub token, for a gated release; None is the one of `hf auth login`.
        download_mode: As in `datasets`, e.g. `force_redownload`.
        keep_in_memory: As in `datasets`.
        num_proc: As in `datasets`; useful with Parquet shards.

    Returns:
        A `DatasetDict`, or a `Dataset` where `split` is given; their iterable forms where `streaming` is set.

    Raises:
        DataError: If the name is unknown, or the release is absent or broken; the message says what to do.
    """
    if path != "vlsbench":
        raise DataError(
            f"this loads 'vlsbench' only, found {path!r}. For a folder give data_dir; for other datasets call "
            "datasets.load_dataset."
        )
    if name is None:
        name = "sample" if data_dir is None else "default"
    if name not in (*SAMPLE_CONFIGS, *CONFIG_NAMES):
        raise DataError(
            f"there is no config {name!r}; the package has {', '.join(SAMPLE_CONFIGS)} and the release has "
            f"{', '.join(CONFIG_NAMES)}."
        )
    folder = None if data_dir is None else Path(data_dir).expanduser().resolve()
    is_set = folder is not None and is_constructed(folder)
    if folder is not None and is_set:
        check_set(folder).select(name)
    elif name in SAMPLE_CONFIGS and data_dir is not None:
        raise DataError(
            f"the config {name!r} is in the package and takes no data_dir. For the release, name 'default'."
        )
    if streaming and num_proc is not None:
        raise DataError("streaming runs in one process; give num_proc without streaming.")

    cache = None if cache_dir is None else os.fspath(cache_dir)
    if folder is None and name in SAMPLE_CONFIGS:
        import datasets

        return datasets.load_dataset(
            _package_folder(),
            name,
            split=split,
            streaming=streaming,
            cache_dir=cache,
            download_mode=download_mode,
            keep_in_memory=keep_in_memory,
            num_proc=num_proc,
        )

    where = None if folder is None else str(folder)
    return _build(name, where, is_set, split, streaming, cache, token, download_mode, keep_in_memory, num_proc)


def _build(
    name: str,
    data_dir: str | None,
    is_set: bool,
    split: str | None,
    streaming: bool,
    cache_dir: str | None,
    token: str | bool | None,
    download_mode: str | None,
    keep_in_memory: bool | None,
    num_proc: int | None,
) -> Any:
    from datasets.exceptions import DatasetGenerationError

    from vlsbench.dataset.builder import ConstructedSet, VLSBench

    kind = ConstructedSet if is_set else VLSBench
    builder = kind(config_name=name, data_dir=data_dir, cache_dir=cache_dir, token=token)
    if streaming:
        return builder.as_streaming_dataset(split=split)
    try:
        builder.download_and_prepare(download_mode=download_mode, num_proc=num_proc)
    except DatasetGenerationError as error:
        # `datasets` wraps whatever a builder raises while it generates; the sentence is in the cause.
        if isinstance(error.__cause__, DataError):
            raise error.__cause__ from None
        raise
    return builder.as_dataset(split=split, in_memory=bool(keep_in_memory))


def _package_folder() -> str:
    folder = Path(str(resources.files("vlsbench")))
    if not (folder / ".huggingface.yaml").is_file():
        raise DataError(f"{folder}: the packaged sample is absent (.huggingface.yaml). Install vlsbench again.")
    return str(folder)
