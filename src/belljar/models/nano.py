"""The two architectures of the nano bases, with fresh weights."""

from typing import Any

from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    Olmo2Config,
    Olmo2ForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from belljar.study.pretraining import Pretraining

FULL_ATTENTION_EVERY = 3  # Gemma 3 mixes layers that see everything with layers that see a window


def build(architecture: str, settings: Pretraining, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Return a model of `architecture` ("olmo2" or "gemma3") with weights drawn from torch's global generator."""
    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": settings.width,
        "intermediate_size": settings.feed_forward,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "num_key_value_heads": settings.key_value_heads,
        "max_position_embeddings": settings.context,
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if architecture == "olmo2":
        return Olmo2ForCausalLM(Olmo2Config(**shared))
    head = settings.width // settings.heads
    last = settings.layers - 1
    kinds = [
        "full_attention" if layer % FULL_ATTENTION_EVERY == 2 or layer == last else "sliding_attention"
        for layer in range(settings.layers)
    ]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(
            **shared,
            head_dim=head,
            query_pre_attn_scalar=head,
            sliding_window=min(settings.context, 128),
            layer_types=kinds,
        )
    )
