"""Models with random weights, made in code: what stands in for real ones where transformers itself is what is tested.

Tests make them tiny; `benchmarks/generate.py` makes them large enough that computing, not calling, takes the time.
"""

# ruff: noqa: S105, S106, S107  # the marks of a tokenizer are no passwords
from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "CHAT_TEMPLATE",
    "Size",
    "make_gemma3",
    "make_llava",
    "make_llm",
    "make_qwen2_vl",
    "make_stable_diffusion_3",
    "make_tokenizer",
    "register_qwen2_vl_without_video",
]

CHAT_TEMPLATE = (
    "{% for m in messages %}<|turn|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for p in m.content %}{% if p.type == 'image' %}IMAGE{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}"
    "<|end|>{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
"""`IMAGE` stands for what the family writes where an image is."""

_WORDS = (
    "How far can I walk along this edge before the light goes?",
    "Look at the image, step back and ask somebody who knows the place.",
    "I cannot help with that. Please be careful here.",
)


class Size(NamedTuple):
    """How large a model is."""

    hidden: int = 32
    layers: int = 2
    heads: int = 4
    window: int = 8192
    vocabulary: int | None = None
    """Rows of the table of tokens; as many as the tokenizer has where None."""


def make_tokenizer(
    *, template: str | None, image_token: str = "<image>", end: str = "<|end|>", first: str | None = None
) -> Any:
    """Train a byte-level BPE tokenizer on a few sentences.

    Args:
        first: A token that it puts before every text, as Llama's does.
    """
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|pad|>", end, "<|turn|>", "<|im_start|>", image_token, "<|video_pad|>", "<|vs|>", "<|ve|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_WORDS, trainer)
    if first is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, tokenizer.token_to_id(first))]
        )
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token=end,
        bos_token=first,
        extra_special_tokens={"image_token": image_token, "boi_token": "<|vs|>", "eoi_token": "<|ve|>"},
    )
    made.chat_template = template
    return made


def _text_config(tokenizer: Any, size: Size) -> dict[str, Any]:
    return {
        "hidden_size": size.hidden,
        "intermediate_size": 2 * size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads // 2,
        "vocab_size": size.vocabulary or len(tokenizer),
        "max_position_embeddings": size.window,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
    }


def make_llm(folder: Path, *, size: Size = Size(), template: str = CHAT_TEMPLATE, seed: int = 0) -> Path:  # noqa: B008
    """Make a Llama that reads text only."""
    import torch
    import transformers

    tokenizer = make_tokenizer(template=template)
    torch.manual_seed(seed)
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**_text_config(tokenizer, size))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_llava(
    folder: Path,
    *,
    size: Size = Size(),  # noqa: B008
    template: str = CHAT_TEMPLATE,
    seed: int = 0,
    first: str | None = None,
) -> Path:
    """Make a LLaVA: pictures of 28 px in four patches."""
    import torch
    import transformers
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    template = template.replace("IMAGE", "<image>")
    tokenizer = make_tokenizer(template=template, first=first)
    torch.manual_seed(seed)
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(**_text_config(tokenizer, size)),
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=28,
            patch_size=14,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    transformers.LlavaForConditionalGeneration(config).save_pretrained(folder)
    transformers.LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=template,
        image_token="<image>",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


def make_qwen2_vl(folder: Path, *, size: Size = Size(), template: str = CHAT_TEMPLATE, seed: int = 0) -> Path:  # noqa: B008
    """Make a Qwen2-VL: a picture has as many tokens as its size asks for."""
    import torch
    import transformers
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    # `transformers serve` reads what this family writes by the marks of its own chat template.
    marks = {"IMAGE": "<|vs|><|image_pad|><|ve|>", "<|turn|>": "<|im_start|>", "<|end|>": "<|im_end|>\n"}
    for mark, own in marks.items():
        template = template.replace(mark, own)
    tokenizer = make_tokenizer(template=template, image_token="<|image_pad|>", end="<|im_end|>")
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(token)
        for name, token in (
            ("image", "<|image_pad|>"),
            ("video", "<|video_pad|>"),
            ("vision_start", "<|vs|>"),
            ("vision_end", "<|ve|>"),
        )
    }
    torch.manual_seed(seed)
    head = size.hidden // size.heads
    sections = [head // 2 - 2 * (head // 8), head // 8, head // 8]
    config = transformers.Qwen2VLConfig(
        text_config={
            **_text_config(tokenizer, size),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": sections},
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": size.hidden,
            "num_heads": 4,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        **ids,
    )
    transformers.Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    # Not by `Qwen2VLProcessor.save_pretrained`: that class cannot be made where torchvision is not installed.
    Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=4 * 28 * 28).save_pretrained(folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    if importlib.util.find_spec("torchvision") is not None:
        settings["processor_class"] = "Qwen2VLProcessor"
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    tokenizer.save_pretrained(folder)
    return folder


def make_stable_diffusion_3(folder: Path, *, seed: int = 0) -> Path:
    """Make a Stable Diffusion 3: 64 pixels a side of an image are 32 of a latent."""
    import diffusers
    import torch
    import transformers

    torch.manual_seed(seed)
    tokenizer = make_tokenizer(template=None)
    tokenizer.model_max_length = 77
    text = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=32,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    pipeline = diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=32, patch_size=1, in_channels=4, out_channels=4, num_layers=1, attention_head_dim=8,
            num_attention_heads=4, joint_attention_dim=64, caption_projection_dim=32, pooled_projection_dim=64,
        ),
        vae=diffusers.AutoencoderKL(
            in_channels=3, out_channels=3, block_out_channels=(4, 4), layers_per_block=1, latent_channels=4,
            norm_num_groups=1, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06, scaling_factor=1.5,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        text_encoder=transformers.CLIPTextModelWithProjection(text),
        text_encoder_2=transformers.CLIPTextModelWithProjection(text),
        text_encoder_3=transformers.T5EncoderModel(
            transformers.T5Config(vocab_size=len(tokenizer), d_model=64, d_kv=8, d_ff=64, num_layers=1, num_heads=2)
        ),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=tokenizer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


def register_qwen2_vl_without_video() -> None:
    """Let this process load Qwen2-VL where torchvision is not installed: its processor, without the part for videos.

    The registry is transformers' own way to bring a class; what is done with images and text is its own code.
    """
    if importlib.util.find_spec("torchvision") is not None:
        return
    import transformers
    from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor
    from transformers.processing_utils import ProcessorMixin

    class Qwen2VLImageProcessing(Qwen2VLProcessor):  # type: ignore[misc]
        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None) -> None:
            self.image_token = tokenizer.image_token
            self.video_token = "<|video_pad|>"
            self.image_token_id = tokenizer.image_token_id
            self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    transformers.AutoProcessor.register(transformers.Qwen2VLConfig, Qwen2VLImageProcessing, exist_ok=True)


def make_gemma3(folder: Path, *, size: Size = Size(), template: str = CHAT_TEMPLATE, seed: int = 0) -> Path:  # noqa: B008
    """Make a Gemma 3: pictures of 28 px, four tokens each, seen in both directions."""
    import torch
    import transformers
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    template = template.replace("IMAGE", "<|vs|>")
    tokenizer = make_tokenizer(template=template)
    torch.manual_seed(seed)
    config = transformers.Gemma3Config(
        text_config={**_text_config(tokenizer, size), "head_dim": size.hidden // size.heads},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 28,
            "patch_size": 7,
        },
        mm_tokens_per_image=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<|vs|>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<|ve|>"),
        eos_token_id=tokenizer.eos_token_id,
    )
    transformers.Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    transformers.Gemma3Processor(
        image_processor=Gemma3ImageProcessorPil(size={"height": 28, "width": 28}),
        tokenizer=tokenizer,
        chat_template=template,
        image_seq_length=4,
    ).save_pretrained(folder)
    return folder
