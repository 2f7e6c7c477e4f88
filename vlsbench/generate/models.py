"""Open a model under test by its name: `openai:NAME` or `transformers:PATH_OR_ID`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from vlsbench.errors import UsageError
from vlsbench.generate.target import DEFAULT_MAX_NEW_TOKENS, Target

if TYPE_CHECKING:
    from vlsbench.dataset.pictures import PictureSource

__all__ = ["TargetOptions", "open_target"]

_ONLY = {
    "openai": ("base_url", "key_variable", "concurrency", "price_in", "price_out", "max_cost"),
    "transformers": ("batch_size", "quantization", "device_map"),
}
"""Options that one backend takes and the other does not."""


@dataclass(frozen=True)
class TargetOptions:
    """How a model is asked. None is the backend's own default; what it does not take is refused."""

    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS
    """Budget of an answer, thoughts included."""
    max_side: int | None = None
    """Longest side of an image, pixels."""
    base_url: str | None = None
    """Endpoint; None for `OPENAI_BASE_URL`, else OpenAI's own."""
    key_variable: str | None = None
    """Environment variable that holds the key; None for `OPENAI_API_KEY`."""
    concurrency: int | None = None
    """Questions under way at once; None is 16."""
    price_in: float | None = None
    """Money for a million tokens that go in."""
    price_out: float | None = None
    """Money for a million tokens that come out."""
    max_cost: float | None = None
    """Money a run may spend."""
    batch_size: int | None = None
    """Questions at once of a model on this machine; None is 8."""
    quantization: str | None = None
    """`bnb-4bit` or `bnb-8bit`."""
    device_map: str | None = None
    """As in transformers."""


def open_target(
    name: str,
    *,
    source: PictureSource,
    options: TargetOptions = TargetOptions(),  # frozen
    shows_image: bool = True,
    flag: str = "--model",
    is_dry: bool = False,
) -> Target:
    """Open a model.

    Args:
        name: See the module.
        source: Pictures by `instruction_id`.
        shows_image: The model will be shown images.
        flag: What the user wrote the name behind.
        is_dry: Nothing will be asked, so no key is needed.

    Raises:
        ModelError: If it cannot be set up (no key, no such folder, no vision, no extra `local`).
        UsageError: If there is no such backend, or an option has no effect on it.
    """
    backend, _, model = name.partition(":")
    if backend not in _ONLY or not model.strip():
        raise UsageError(f"{flag} is 'openai:NAME' or 'transformers:PATH_OR_ID'; found {name!r}.")
    _refuse_foreign(backend, f"{flag} {name}", options)
    if backend == "transformers":
        if is_dry:
            raise UsageError(f"--dry-run says what 'openai:NAME' costs, not {name!r}.")
        from vlsbench.generate.local_model import open_local_model

        return open_local_model(
            model,
            source=source,
            shows_image=shows_image,
            max_new_tokens=options.max_new_tokens,
            max_side=options.max_side,
            batch_size=8 if options.batch_size is None else options.batch_size,
            quantization=options.quantization,
            device_map=options.device_map,
        )
    from vlsbench.cost import Meter, make_prices
    from vlsbench.generate.endpoint_model import EndpointModel

    return EndpointModel(
        model,
        source=source,
        max_new_tokens=options.max_new_tokens,
        max_side=options.max_side,
        meter=Meter(make_prices(options.price_in, options.price_out, options.max_cost), options.max_cost),
        base_url=options.base_url,
        api_key="not-needed" if is_dry else None,
        key_variable=options.key_variable or "OPENAI_API_KEY",
        concurrency=16 if options.concurrency is None else options.concurrency,
    )


def _refuse_foreign(backend: str, what: str, options: TargetOptions) -> None:
    foreign = [name for other, names in _ONLY.items() if other != backend for name in names]
    set_names = [field.name for field in fields(options) if getattr(options, field.name) is not None]
    if given := [f"--{name.replace('_', '-')}" for name in foreign if name in set_names]:
        raise UsageError(f"{what} takes no {', '.join(given)}.")
