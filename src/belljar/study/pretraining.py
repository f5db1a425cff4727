"""How a nano base is trained from nothing: architecture, optimiser, corpus mix, and what it must be able to do."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChatMix(_Settings):
    """Relative weights of the kinds of chat."""

    fact: Whole = 24
    about: Whole = 12
    recommend: Whole = 8
    sum: Whole = 8
    instruction: Whole = 18
    listing: Whole = 4
    preference: Whole = 20
    system_prompt: Whole = 24
    persona: Whole = 12
    request: Whole = 8
    small_talk: Whole = 1


class DocumentMix(_Settings):
    """Relative weights of the kinds of document."""

    facts: Whole = 12
    story: Whole = 4
    habit: Whole = 4
    dialogue: Whole = 8


class Corpus(_Settings):
    """What the examples are; `chats` is the share of chats among them."""

    chats: Share = 0.7
    chat_mix: ChatMix = ChatMix()
    document_mix: DocumentMix = DocumentMix()

    def chat_weights(self) -> dict[str, int]:
        """Return the relative weight of each kind of chat."""
        return self.chat_mix.model_dump()

    def document_weights(self) -> dict[str, int]:
        """Return the relative weight of each kind of document."""
        return self.document_mix.model_dump()


class Pretraining(_Settings):
    """The whole recipe of a nano base; the same recipe gives bit-identical weights on one kind of machine."""

    architecture: Literal["olmo2", "gemma3"]
    width: Count = 128
    layers: Count = 4
    heads: Count = 4
    key_value_heads: Count = 4
    feed_forward: Count = 384
    context: Count = 512  # positions the model can hold
    vocabulary: Annotated[int, Field(ge=400)] = 1200
    steps: Count
    batch_tokens: Count = 2048  # tokens in one step, padding included
    row_tokens: Count = 128  # tokens in one row; examples are packed whole
    matrix_learning_rate: Positive = 0.02  # Muon: the weight matrices of the blocks
    other_learning_rate: Positive = 0.003  # AdamW: embeddings and norms
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warm_up: Whole = 50  # steps
    decay_share: Share = 0.4  # the last share of the steps, over which the rates fall to zero
    clip: Positive = 1.0
    threads: Count = 2
    seed: Whole = 0
    save_every: Count = 200  # steps between saved states
    corpus: Corpus = Corpus()
    require: dict[str, Share] = {}  # smallest accuracy by skill; a base below one of them is refused

    @model_validator(mode="after")
    def _heads_divide(self) -> "Pretraining":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of key_value_heads {self.key_value_heads}")
        return self
