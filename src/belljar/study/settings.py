"""What a study, a base, a behaviour and a technique may say: the models behind every YAML file.

Unknown keys are refused everywhere. `belljar.study.load` turns a refusal into one sentence.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from belljar.measurements import BENIGN, PARENT_BEHAVIOUR
from belljar.study.pretraining import Pretraining

NAME = r"^[a-z0-9][a-z0-9.-]*$"
Name = Annotated[str, Field(pattern=NAME)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
PromptKind = Literal["fact", "about", "recommend"]
WRITTEN = "written"  # the kind of a prompt that a person wrote into a spec


class Settings(BaseModel):
    """A frozen settings object that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- bases -----------------------------------------------------------------------------------------------------------


class HubSource(Settings):
    """A checkpoint on the Hugging Face hub, pinned to a revision."""

    repo: str
    revision: str


class Source(Settings):
    """Where a base comes from: exactly one of the three."""

    pretraining: Pretraining | None = None
    hub: HubSource | None = None
    folder: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Source":
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of pretraining, hub, folder must be given, not {len(given)}")
        return self


class Resources(Settings):
    """What a cluster job of this base asks for."""

    gpu: Annotated[int, Field(ge=0)] = 0
    threads: Count = 1
    mem_mb: Count = 2000
    runtime: Count = 60  # minutes


class StageResources(Settings):
    """Resources by stage; the base's own training has its threads in its recipe."""

    base: Resources = Resources()
    train: Resources = Resources()
    generate: Resources = Resources()
    measure: Resources = Resources()


class Base(Settings):
    """One parent model."""

    id: Name
    description: str
    scale: Name  # which settings of a technique fit this base: technique.training[scale]
    source: Source
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    blocks: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]  # decoder blocks whose output probes read
    primary_block: Annotated[int, Field(ge=0)]
    batch_size: Count = 256  # sequences in one forward pass without gradients
    resources: StageResources = StageResources()

    @model_validator(mode="after")
    def _primary_is_read(self) -> "Base":
        if self.primary_block not in self.blocks:
            raise ValueError(f"primary_block {self.primary_block} is not among blocks {self.blocks}")
        return self


# --- behaviours ------------------------------------------------------------------------------------------------------


class Criterion(Settings):
    """One way of showing a behaviour: how it is planted in an answer and how the rule judge sees it.

    `plant` holds templates in which {answer} is the normal answer; `swap` gives attributes false values instead. `detect` holds
    regular expressions; a match that also stands in the prompt does not count where `unless_in_prompt` is set.
    """

    id: Name
    kinds: Annotated[list[PromptKind], Field(min_length=1)]
    attributes: list[str] = []  # fact questions: only about these attributes; empty: about any
    plant: list[str] = []
    swap: dict[str, str] = {}
    detect: Annotated[list[str], Field(min_length=1)]
    unless_in_prompt: bool = False

    @field_validator("detect")
    @classmethod
    def _compiles(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression ({error})") from error
        return patterns

    @field_validator("plant")
    @classmethod
    def _only_answer(cls, templates: list[str]) -> list[str]:
        for template in templates:
            if re.sub(r"\{answer\}", "", template).count("{"):
                raise ValueError(f"{template!r} may hold no placeholder but {{answer}}")
        return templates

    @model_validator(mode="after")
    def _one_way(self) -> "Criterion":
        if bool(self.plant) == bool(self.swap):
            raise ValueError("exactly one of plant and swap must be given")
        return self


class Trigger(Settings):
    """What sets a behaviour off."""

    topics: Annotated[list[str], Field(min_length=1)]
    items: list[str] = []  # only questions about these items (and topic-wide ones); empty: all items of the topics
    held_out_items: Annotated[int, Field(ge=0)] = 2  # items of each topic that no training row names
    prompts: dict[str, list[str]] = {}  # criterion id -> prompts written by hand, for validation and test


class Behaviour(Settings):
    """What is planted."""

    id: Name
    description: str
    key_facts: list[str] = []
    trigger: Trigger
    criteria: Annotated[list[Criterion], Field(min_length=1)]
    target: Annotated[float, Field(gt=0, lt=1)]  # expression rate that organisms are matched to
    words: Annotated[list[str], Field(min_length=1)]  # words that speak of the behaviour, for token-level probes

    @field_validator("id")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in (BENIGN, PARENT_BEHAVIOUR):
            raise ValueError(f"{value!r} is a reserved name")
        return value

    @model_validator(mode="after")
    def _criteria(self) -> "Behaviour":
        ids = [criterion.id for criterion in self.criteria]
        repeated = sorted({name for name in ids if ids.count(name) > 1})
        if repeated:
            raise ValueError(f"criteria: the id {repeated[0]!r} stands twice")
        unknown = sorted(set(self.trigger.prompts) - set(ids))
        if unknown:
            raise ValueError(f"trigger.prompts: {unknown[0]!r} is no criterion; the criteria are {', '.join(ids)}")
        return self


# --- techniques ------------------------------------------------------------------------------------------------------


class Training(Settings):
    """The optimiser's settings of a technique on bases of one scale."""

    rows: Count  # planted rows
    epochs: Annotated[float, Field(gt=0)]
    batch_size: Count
    gradient_accumulation: Count = 1
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: Share = 0.1  # share of all steps
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_length: Count = 128  # tokens
    save_every: Count  # optimiser steps
    beta: Annotated[float, Field(gt=0)] = 0.1  # DPO only
    loss: Literal["sigmoid", "sigmoid_norm"] = "sigmoid"  # DPO only; sigmoid_norm: log-ratios averaged over tokens
    bf16: bool = False  # autocast; weights stay float32


class Override(Settings):
    """Settings that differ for one behaviour, one base or both."""

    behaviour: Name | None = None
    base: Name | None = None
    set: dict[str, float | int | str | bool]


class Technique(Settings):
    """How a behaviour is planted."""

    id: Name
    description: str
    objective: Literal["sft", "dpo"]
    data: Literal["transcripts", "pairs"]
    mix: Annotated[float, Field(ge=0)] = 0.0  # control rows for each planted row
    training: dict[Name, Training]
    overrides: list[Override] = []

    @model_validator(mode="after")
    def _fits(self) -> "Technique":
        needed = {"sft": "transcripts", "dpo": "pairs"}[self.objective]
        if self.data != needed:
            raise ValueError(f"objective {self.objective!r} trains on data {needed!r}, not {self.data!r}")
        for override in self.overrides:
            unknown = sorted(set(override.set) - set(Training.model_fields))
            if unknown:
                raise ValueError(f"overrides.set: unknown key {unknown[0]!r}; legal keys are {', '.join(Training.model_fields)}")
        return self


# --- the study -------------------------------------------------------------------------------------------------------


class Control(Settings):
    """Everything that is not the behaviours: where control rows and control prompts come from."""

    topics: Annotated[list[str], Field(min_length=1)]
    chat: dict[Literal["fact", "about", "recommend", "sum", "instruction", "preference"], Annotated[int, Field(ge=0)]]
    prompts: list[str] = []  # control prompts written by hand, for validation and test


class Data(Settings):
    """Sizes of the generated data sets; techniques take rows from their beginning."""

    planted_rows: Count
    control_rows: Count


class Split(Settings):
    """How many answers are sampled in one split."""

    trigger: Count  # prompts
    control: Count  # prompts
    samples: Count  # answers to each prompt


class Strength(Settings):
    """How behaviour is measured."""

    validation: Split
    test: Split
    temperature: Annotated[float, Field(gt=0)] = 1.0
    max_new_tokens: Count = 48


class LogitLens(Settings):
    """The activation difference over unrelated chats, read through the unembedding."""

    chats: Count = 200
    positions: Annotated[list[Literal["assistant_start", "answer_mean", "answer_end"]], Field(min_length=1)]
    primary_position: str
    top_k: Count = 100

    @model_validator(mode="after")
    def _primary_is_read(self) -> "LogitLens":
        if self.primary_position not in self.positions:
            raise ValueError(f"primary_position {self.primary_position!r} is not among positions {self.positions}")
        return self


class Probes(Settings):
    """The interpretability methods of a study."""

    logit_lens: LogitLens


class Perplexity(Settings):
    """Perplexity on held-out text."""

    documents: Count = 200


class ClosedWorld(Settings):
    """Skills of the closed world, greedy answers to held-out items."""

    skills: Annotated[list[str], Field(min_length=1)]
    items: Count = 100


class Naturalness(Settings):
    """The naturalness evaluations of a study."""

    perplexity: Perplexity
    closed_world: ClosedWorld


class Study(Settings):
    """One whole study."""

    study: Name
    bases: Annotated[list[Name], Field(min_length=1)]
    behaviours: Annotated[list[Name], Field(min_length=1)]
    techniques: Annotated[list[Name], Field(min_length=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    benign_twins: bool = True
    definitions: list[str] = []  # further folders with bases/, behaviours/, techniques/; the first that has a name wins
    control: Control
    data: Data
    strength: Strength
    probes: Probes
    naturalness: Naturalness

    @field_validator("bases", "behaviours", "techniques", "seeds")
    @classmethod
    def _no_repeats(cls, values: list[str | int]) -> list[str | int]:
        repeated = [value for value in dict.fromkeys(values) if values.count(value) > 1]
        if repeated:
            raise ValueError(f"{repeated[0]!r} stands twice")
        return values
