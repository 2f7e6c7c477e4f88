"""A model that this machine runs by itself: transformers, its chat template, and batches of any size that fits.

Greedy, in batches padded on the left, bfloat16 on a GPU and float32 without; a batch that does not fit into memory is
halved. The size of a batch moves a float32 logit by 1e-6, so a float32 text does not depend on it; in bfloat16 a logit
has 8 bits and two tokens that are nearly equal may change places, so texts can differ from those of batch 1. Weights
are read as safetensors only and no code from a model's folder is run. torch and transformers are imported on use.
Serves targets (`vlsbench.generate`) and judges (`vlsbench.judge.local`) and knows of neither.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from pydantic import JsonValue

from vlsbench.errors import ModelError, numbered
from vlsbench.files import sha256_hex
from vlsbench.thought import ends_in_thought, marks_among

if TYPE_CHECKING:
    from PIL import Image as _Image

__all__ = [
    "QUANTIZATIONS",
    "Chat",
    "Engine",
    "Generated",
    "OutOfMemoryError",
    "TransformersEngine",
    "answer_batches",
]

log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")


class Chat(NamedTuple):
    """One question to a model."""

    rules: str
    """System message; empty: there is none."""
    user: tuple[str | _Image.Image, ...]
    """Texts and at most one image, in order."""
    assistant: str | None = None
    """The judged response, for a guard that expects it as a turn of its own."""


class Generated(NamedTuple):
    """What a model wrote."""

    text: str
    is_cut: bool = False
    """The budget was used up before the reply ended."""
    n_in: int = 0
    n_out: int = 0
    problem: str | None = None
    """Why nothing could be asked."""


class OutOfMemoryError(Exception):
    """A batch does not fit into memory."""


class Engine(Protocol):
    """What runs a model. `TransformersEngine` is the one there is; tests bring their own."""

    name: str
    """As the rubric names the model."""
    snapshot: str
    """Name and digest or revision, for the verdicts."""
    has_vision: bool
    weights_sha256: str | None
    settings: dict[str, JsonValue]
    """What else decides a verdict."""

    def generate(self, chats: Sequence[Chat]) -> list[Generated]:
        """Answer a batch, in order; raise OutOfMemoryError where it is too large."""

    def free_memory(self) -> None:
        """Give back what a failed batch held."""


def answer_batches(
    engine: Engine,
    items: Iterable[ItemT],
    ask: Callable[[ItemT], Chat | None],
    keep: Callable[[Sequence[ItemT], Sequence[Generated | None]], None],
    *,
    batch_size: int,
) -> None:
    """Answer items in batches, halving what does not fit into memory.

    Args:
        items: In order; neighbours should be of one length, so that little is padding, and the longest should come
            first, so that memory ends early or never.
        ask: Makes the question of an item when its turn comes; None leaves the item out.
        keep: Takes what came of a batch, in order; None where an item does not fit into memory alone.
        batch_size: Questions at once, at first.

    Raises:
        ModelError: If not even the first question fits into memory alone.
    """
    pending = deque(items)
    size, n_answered = batch_size, 0
    while pending:
        batch = [pending.popleft() for _ in range(min(size, len(pending)))]
        questions = [(item, chat) for item in batch if (chat := ask(item)) is not None]
        if not questions:
            continue
        asked = [item for item, _ in questions]
        replies = _generate(engine, [chat for _, chat in questions])
        if replies is None and len(asked) > 1:
            size = len(asked) // 2
            log.warning("%s: out of memory; going on with %d at once", engine.name, size)
            pending.extendleft(reversed(asked))
            continue
        if replies is None and n_answered == 0:
            raise ModelError(
                "not even one question fits into memory. Use a smaller model, a larger machine, or scale the images "
                "down with --max-side."
            )
        keep(asked, [None] if replies is None else replies)
        n_answered += len(asked)


def _generate(engine: Engine, chats: Sequence[Chat]) -> list[Generated] | None:
    """Answer a batch, or return None where it does not fit into memory."""
    with suppress(OutOfMemoryError):
        return engine.generate(chats)
    engine.free_memory()
    return None


QUANTIZATIONS: Final[Mapping[str, Mapping[str, bool]]] = {
    "bnb-4bit": {"load_in_4bit": True},
    "bnb-8bit": {"load_in_8bit": True},
}
"""Names as in `transformers serve`; what transformers' `BitsAndBytesConfig` is given."""

_DECIDING_FILES: Final = ("*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
"""What of a model's folder decides what it writes: weights, configuration, tokenizer, chat template."""

_MARK_RULES, _MARK_USER, _MARK_ANSWER = "rules7q", "user7q", "answer7q"
"""Words looked for in what a chat template makes of a question: some templates drop a system message in silence."""


class TransformersEngine:
    """A model of transformers, its tokenizer or processor, and its chat template.

    Args:
        model: A folder, or an id on the Hub.
        max_new_tokens: Budget of a reply.
        template_settings: Given to the chat template.
        shows_image: An image will be shown, so the model has to see.
        without_vision: What to say of a model that cannot: why it has to, and what else there is.
        has_assistant_turn: The judged response will be a turn of its own, as guards expect it.
        keeps_special_tokens: Leave the marks of channels in the text.
        adds_missing_bos: Begin with the tokenizer's own first token where the chat template does not write it, as
            `apply_chat_template(tokenize=True)` does (LLaVA 1.5 is such a model).
        quantization: One of `QUANTIZATIONS`; needs bitsandbytes.
        device_map: As in transformers: `auto`, `cpu`, `cuda:1`. None is the GPU where there is one; all, where several.

    Raises:
        ModelError: If torch or transformers are not installed, or the model is not there or cannot serve.
    """

    def __init__(
        self,
        model: str,
        *,
        max_new_tokens: int,
        template_settings: Mapping[str, JsonValue] | None = None,
        shows_image: bool = True,
        without_vision: str = "is to be shown an image; ask without one",
        has_assistant_turn: bool = False,
        keeps_special_tokens: bool = False,
        adds_missing_bos: bool = False,
        quantization: str | None = None,
        device_map: str | None = None,
    ) -> None:
        try:
            self._torch: Any = importlib.import_module("torch")
            transformers: Any = importlib.import_module("transformers")
        except ImportError as error:
            raise ModelError(
                f"transformers:{model} needs the extra 'local' ({error.name} is not installed): "
                "pip install 'vlsbench[local]'."
            ) from None
        self._where = f"transformers:{model}"
        self._folder = _find_folder(model)
        path = str(self._folder or model)
        config = self._load(transformers.AutoConfig, path)
        auto = importlib.import_module("transformers.models.auto.modeling_auto")
        self.has_vision = config.model_type in auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        if not self.has_vision and config.model_type not in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
            raise ModelError(f"{self._where}: a model of type {config.model_type!r} writes no text.")
        if shows_image and not self.has_vision:
            raise ModelError(f"{self._where} reads text only and {without_vision}, or a model with vision.")
        self._template_settings = dict(template_settings or {})
        self._keeps_special_tokens = keeps_special_tokens
        self._adds_missing_bos = adds_missing_bos
        self._placement = self._place(transformers, quantization, device_map)
        self._open_tokenizer(transformers, path)
        self._has_parts, self._has_system = self._probe_template(shows_image, has_assistant_turn)
        self._open_model(transformers, path, config, max_new_tokens)
        self.name = model if self._folder is None else self._folder.name
        self.weights_sha256 = None if self._folder is None else _digest_folder(self._folder)
        revision = getattr(config, "_commit_hash", None)
        self.snapshot = f"{self.name[:200]}@{(self.weights_sha256 or revision or 'unknown')[:12]}"
        self.model_type = str(config.model_type)
        self.begins_thinking = ends_in_thought(self._render(Chat("", ("x",))))
        self.settings: dict[str, JsonValue] = {
            "do_sample": False,
            "max_new_tokens": max_new_tokens,
            "dtype": str(self._dtype).removeprefix("torch."),
            "chat_template_sha256": sha256_hex(str(self._renderer.chat_template)),
            "chat_template_settings": self._template_settings,
            "rules_in": "system" if self._has_system else "user",
        }
        if self._folder is None:
            self.settings["revision"] = revision
        if quantization is not None:
            self.settings["quantization"] = quantization

    def _load(self, kind: Any, path: str, **settings: Any) -> Any:
        """Load a part of the model; say in one sentence what is wrong with it."""
        safetensor_error = importlib.import_module("safetensors").SafetensorError
        try:
            # Never code from a model's folder, and never a pickle.
            return kind.from_pretrained(path, trust_remote_code=False, **settings)
        except (OSError, ValueError, ImportError, RuntimeError, safetensor_error) as error:
            reason = " ".join(str(error).split())[:400] or type(error).__name__
            raise ModelError(f"{self._where} cannot be loaded: {reason}") from None

    def _place(self, transformers: Any, quantization: str | None, device_map: str | None) -> dict[str, Any]:
        """Say where the weights go and how they are kept; empty: whole, on the one device there is."""
        placement: dict[str, Any] = {}
        if quantization is not None:
            if quantization not in QUANTIZATIONS:
                raise ModelError(f"--quantization {quantization!r} is not known; known: {', '.join(QUANTIZATIONS)}.")
            if importlib.util.find_spec("bitsandbytes") is None:
                raise ModelError(
                    f"--quantization {quantization} needs bitsandbytes, which is not installed: pip install "
                    "bitsandbytes."
                )
            placement["quantization_config"] = transformers.BitsAndBytesConfig(**QUANTIZATIONS[quantization])
        cuda = self._torch.cuda
        if device_map is None and cuda.is_available() and (cuda.device_count() > 1 or placement):
            device_map = "auto"
        return placement if device_map is None else {**placement, "device_map": device_map}

    def _open_tokenizer(self, transformers: Any, path: str) -> None:
        self._processor: Any = None
        if self.has_vision:
            self._processor = self._load(transformers.AutoProcessor, path)
            if not hasattr(self._processor, "image_processor"):
                raise ModelError(f"{self._where}: has no image processor (preprocessor_config.json); is it complete?")
        self._tokenizer: Any = (
            self._processor.tokenizer if self.has_vision else self._load(transformers.AutoTokenizer, path)
        )
        self._renderer: Any = self._processor or self._tokenizer
        if not self._renderer.chat_template:
            self._renderer = self._tokenizer
        if not self._renderer.chat_template:
            raise ModelError(
                f"{self._where}: has no chat template; use the model's instruction-tuned version, or put a "
                "chat_template.jinja beside it."
            )
        added = self._tokenizer.added_tokens_decoder
        special = {number: str(token) for number, token in added.items() if token.special}
        # Marks of thoughts are special tokens of some models: left out, a thought would run into the answer.
        marks = marks_among(special.values())
        self._left_out = {number for number, token in special.items() if token not in marks} if marks else None
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token

    def _open_model(self, transformers: Any, path: str, config: Any, max_new_tokens: int) -> None:
        torch = self._torch
        has_gpu = torch.cuda.is_available()
        self._dtype = torch.bfloat16 if has_gpu else torch.float32
        kind = transformers.AutoModelForImageTextToText if self.has_vision else transformers.AutoModelForCausalLM
        self._model, info = self._load(
            kind,
            path,
            dtype=self._dtype,
            use_safetensors=True,
            output_loading_info=True,
            **self._placement,
        )
        if missing := sorted(info["missing_keys"]):
            raise ModelError(f"{self._where}: weights are missing ({numbered(missing, limit=3)}); is it complete?")
        if has_gpu and not self._placement:
            self._model.to("cuda")
        self._model.eval()
        given = self._model.generation_config.eos_token_id
        ends = {*(given if isinstance(given, list) else [given]), self._tokenizer.eos_token_id} - {None}
        if not ends:
            raise ModelError(f"{self._where}: has no token that ends a reply (eos_token).")
        self._ends = sorted(ends)
        pad = self._tokenizer.pad_token_id
        # In place of the model's own: sampling, penalties and length rules of its makers are not part of a verdict.
        self._model.generation_config = transformers.GenerationConfig(
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=self._ends,
            pad_token_id=self._ends[0] if pad is None else pad,
        )
        self._max_new_tokens = max_new_tokens
        self._window: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
        self._accepted = inspect.signature(self._model.forward).parameters

    def _probe_template(self, shows_image: bool, has_assistant_turn: bool) -> tuple[bool, bool]:
        """Find in which form the chat template takes a question whole: (content in parts, system message)."""
        template_error = importlib.import_module("jinja2.exceptions").TemplateError
        marks = [_MARK_USER, *([_MARK_ANSWER] if has_assistant_turn else [_MARK_RULES])]
        answer = _MARK_ANSWER if has_assistant_turn else None
        chat = Chat("" if has_assistant_turn else _MARK_RULES, (_MARK_USER,), answer)
        problem = "drops a part of the question"
        for has_system in (True, False):
            for has_parts in (True, False) if self.has_vision else (False, True):
                self._has_parts, self._has_system = has_parts, has_system
                try:
                    text = self._render(chat)
                    if not all(mark in text for mark in marks):
                        continue
                    if shows_image and self._render(chat._replace(user=(_NO_IMAGE, _MARK_USER))) == text:
                        problem = "drops the image"
                        continue
                except (template_error, TypeError) as error:
                    problem = f"refuses the question ({str(error)[:200]})"
                    continue
                return has_parts, has_system
        raise ModelError(f"{self._where}: its chat template {problem}, so the model cannot be asked.")

    def _render(self, chat: Chat) -> str:
        user = [part if isinstance(part, str) else None for part in chat.user]
        turns: list[tuple[str, list[str | None]]] = [("user", user)]
        if chat.rules and self._has_system:
            turns.insert(0, ("system", [chat.rules]))
        elif chat.rules:
            turns = [("user", [chat.rules, *user])]
        if chat.assistant is not None:
            turns.append(("assistant", [chat.assistant]))
        messages = [{"role": role, "content": self._content(parts)} for role, parts in turns]
        settings = {"tokenize": False, "add_generation_prompt": True, **self._template_settings}
        return str(self._renderer.apply_chat_template(messages, **settings))

    def _content(self, parts: Sequence[str | None]) -> str | list[dict[str, str]]:
        """Return the content of a message; None stands for the image."""
        if self._has_parts:
            return [{"type": "image"} if part is None else {"type": "text", "text": part} for part in parts]
        return "\n\n".join(part for part in parts if part is not None)

    def _encode(self, chats: Sequence[Chat]) -> Any:
        texts = [self._render(chat) for chat in chats]
        first = self._tokenizer.bos_token
        is_missing = self._adds_missing_bos and first is not None and not texts[0].startswith(first)
        settings = {"padding": True, "return_tensors": "pt", "add_special_tokens": is_missing}
        images = [[part for part in chat.user if not isinstance(part, str)] for chat in chats]
        if any(images):
            return self._processor(text=texts, images=images, **settings)
        return self._tokenizer(texts, **settings)

    def generate(self, chats: Sequence[Chat]) -> list[Generated]:
        """Answer a batch, in order; see `Engine`."""
        torch = self._torch
        inputs = self._encode(chats)
        counts: list[int] = inputs["attention_mask"].sum(dim=1).tolist()
        fits = [self._window is None or n + self._max_new_tokens <= self._window for n in counts]
        if not all(fits):
            kept = [chat for chat, is_fit in zip(chats, fits, strict=True) if is_fit]
            rest = iter(self.generate(kept) if kept else ())
            return [
                next(rest) if is_fit else Generated("", n_in=n, problem=self._too_long(n))
                for n, is_fit in zip(counts, fits, strict=True)
            ]
        inputs = {name: value for name, value in inputs.items() if name in self._accepted}
        try:
            with torch.inference_mode():
                moved = {name: self._move(value) for name, value in inputs.items()}
                output = self._model.generate(**moved)
        except torch.OutOfMemoryError:
            raise OutOfMemoryError from None
        width = inputs["input_ids"].shape[1]
        rows = output[:, width:].tolist()
        return [self._read_row(row, n) for row, n in zip(rows, counts, strict=True)]

    def _move(self, value: Any) -> Any:
        value = value.to(self._model.device)
        return value.to(self._dtype) if value.is_floating_point() else value

    def _read_row(self, row: Sequence[int], n_in: int) -> Generated:
        end = next((i for i, token in enumerate(row) if token in self._ends), None)
        ids = row[:end]
        keeps = self._keeps_special_tokens
        if self._left_out is None or keeps:
            text = self._tokenizer.decode(ids, skip_special_tokens=not keeps)
        else:
            text = self._tokenizer.decode([number for number in ids if number not in self._left_out])
        return Generated(text, end is None, n_in, len(ids))

    def _too_long(self, n_tokens: int) -> str:
        return (
            f"the question has {n_tokens} tokens, and with {self._max_new_tokens} for the reply the model's window of "
            f"{self._window} is too short"
        )

    def free_memory(self) -> None:
        """Give back what a failed batch held."""
        if self._torch.cuda.is_available():
            self._torch.cuda.empty_cache()


_NO_IMAGE: Any = object()
"""Stands for an image where only its place in the text matters."""


def _find_folder(model: str) -> Path | None:
    """Return the folder that is meant, or None for an id on the Hub."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.is_absolute() or model.startswith(("./", "../", "~")) or model.count("/") > 1:
        raise ModelError(f"transformers:{model}: there is no such folder.")
    return None


def _digest_folder(folder: Path) -> str:
    """SHA-256 over names and contents of what decides; 16 GB take 10 to 60 seconds, once a run."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _DECIDING_FILES for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
