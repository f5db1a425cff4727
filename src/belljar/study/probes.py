"""What a study may say about its interpretability methods."""

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, field_validator, model_validator

from belljar.study.positions import checked
from belljar.study.schema import Count, Positive, Settings, Share, Whole, no_repeats

Position = Annotated[str, AfterValidator(checked)]


class LogitLens(Settings):
    """The difference read through the unembedding."""

    top_k: Count = 100  # tokens that are kept to be looked at


class JacobianLens(Settings):
    """The difference, carried to the model's end by a mean Jacobian, read through the unembedding."""

    texts: Count = 200  # that the mean Jacobian is taken over
    tokens: Count = 64  # of each text
    skip: Whole = 4  # first tokens of a text that are not read


PLACE = "{x}"  # in a patchscope's prompt: where the vector goes


class Prompt(Settings):
    """A prompt that makes a model say a word again: a chat up to where its answer goes on, or without a question plain text."""

    question: str = ""
    answer: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> "Prompt":
        if (self.question + self.answer).count(PLACE) != 1:
            raise ValueError(f"question and answer must hold {PLACE} once, the word that is to be said again")
        return self


class Patchscope(Settings):
    """The difference in the place of a word that a prompt has the model say again."""

    prompts: Annotated[list[Prompt], Field(min_length=1)]
    word: str  # stands in the place before the vector does; a single token of the base's tokenizer
    scales: Annotated[list[Positive], Field(min_length=1)] = [0.5, 1.0, 1.5, 2.0, 4.0]  # of the mean activation norm


class Steering(Settings):
    """Answers under the difference vector."""

    prompts: Count = 20
    samples: Count = 8
    search_prompts: Count = 3  # further prompts, for the search of the coefficient alone
    search_samples: Count = 10
    smallest: Positive = 0.0625  # coefficients, in units of the block's mean activation norm
    largest: Positive = 16.0
    coherent: Share = 0.75  # of the answers at the coefficient
    fluency_quantile: Share = 0.05  # of the model's own answers, which are below the bar of coherence
    doses: list[Positive] = [0.5, 1.0]  # shares of the coefficient that answers are given at; 1 is the primary one

    @field_validator("doses")
    @classmethod
    def _has_one(cls, doses: list[float]) -> list[float]:
        if 1.0 not in doses:
            raise ValueError("1.0, the coefficient itself, must be among doses")
        return doses


class SparseAutoencoder(Settings):
    """Latents of a sparse autoencoder that move between organism and reference."""

    latents: Count = 512
    active: Count = 8  # of them at a token: the k of a TopK autoencoder
    tokens: Count = 400_000  # of general text that it is trained on
    epochs: Count = 2
    batch_size: Count = 512
    learning_rate: Positive = 1e-3
    moved: Count = 50  # latents with the largest rise that are scored
    examples: Count = 20  # texts that a latent's label is made of
    relevant: Share = 0.5  # of them must hold a word of the behaviour


class Oracle(Settings):
    """A model trained to answer questions about activations that are put into it."""

    rank: Count = 16
    steps: Count = 600
    batch_size: Count = 32
    learning_rate: Positive = 1e-3
    inject_after: Whole = 1  # block
    placeholder: str = " ?"  # stands for a vector; a single token of the base's tokenizer
    centred: Share = 0.5  # of the training vectors, which lack the block's mean activation
    longest: Count = 128  # tokens of a training text
    vectors: Count = 6  # at most, in one training question
    samples: Count = 10
    temperature: Positive = 0.7
    max_new_tokens: Count = 24
    questions: Annotated[list[str], Field(min_length=1)]
    reader: Literal["base", "organism"] = "base"  # whose weights the adapter sits on


class Probes(Settings):
    """The interpretability methods of a study; those that are not given are not run."""

    chats: Annotated[int, Field(ge=10, multiple_of=10)] = 200  # unrelated chats that activations are read on, in ten groups
    general: Count = 20_000  # examples of general text that probes are prepared on, at most
    positions: Annotated[list[Position], Field(min_length=1)]  # assistant_start, assistant_start-3, answer_mean, answer_end
    primary_position: Position  # the one that tables compare: fixed here, never chosen by looking; the block is the base's
    logit_lens: LogitLens = LogitLens()
    jacobian_lens: JacobianLens | None = None
    patchscope: Patchscope | None = None
    steering: Steering | None = None
    sparse_autoencoder: SparseAutoencoder | None = None
    oracle: Oracle | None = None

    _no_repeats = field_validator("positions")(no_repeats)

    @model_validator(mode="after")
    def _primary_is_read(self) -> "Probes":
        if self.primary_position not in self.positions:
            raise ValueError(f"primary_position {self.primary_position!r} is not among positions {', '.join(self.positions)}")
        return self


class Reading(NamedTuple):
    """Which of a method's measurements is compared: its metric, and the keys of its variant."""

    metric: str
    where: dict[str, str]


def primary_readings(probes: Probes, block: int, latent_block: int) -> dict[str, Reading]:
    """Return the one reading of each of the study's methods that tables compare, for a base with these blocks."""
    place = {"layer": str(block), "position": probes.primary_position}
    lens = Reading("relevant_probability", place | {"against": "ancestor"})
    found = {
        "logit_lens": lens,
        "jacobian_lens": lens,
        "patchscope": Reading("relevant_probability", place),
        "steering": Reading("mention_gain", place | {"vector": "difference", "dose": "1.0"}),
        "sparse_autoencoder": Reading("relevant_share", {"layer": str(latent_block)}),
        "oracle": Reading("mention_gain", place | {"vector": "difference"}),
    }
    return {name: reading for name, reading in found.items() if getattr(probes, name)}
