"""What a base may say: one parent model."""

from typing import Annotated

from pydantic import Field, model_validator

from belljar.study.pretraining import Pretraining
from belljar.study.schema import Count, Dtype, HubSource, Name, Settings, Whole, exactly_one
from belljar.study.training import Training


class Source(Settings):
    """Where a checkpoint comes from: exactly one of the three."""

    pretraining: Pretraining | None = None
    hub: HubSource | None = None
    folder: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Source":
        exactly_one(self, ("pretraining", "hub", "folder"))
        return self


class PreferencePhase(Settings):
    """The base's own preference phase: DPO on general pairs, from `source` to the base.

    Integrated techniques go through it with planted pairs in place of as many general ones. With `result` the phase is not
    run: its outcome is taken from there, and the settings serve the integrated techniques.
    """

    training: Training
    seed: Whole = 0
    result: Source | None = None


class PublishedAutoencoder(Settings):
    """A sparse autoencoder that sae-lens knows by release and id, of the output of `block`."""

    release: str
    id: str
    block: Whole


class Reasoning(Settings):
    """The marks around the reasoning of a base that reasons before it answers; they must not be special tokens."""

    open: str
    close: str
    opened_by_template: bool = False  # whether the chat template ends in the opening mark, so that answers begin after it


class Resources(Settings):
    """What a cluster job of this base asks for."""

    gpu: Whole = 0
    threads: Count = 1
    mem_mb: Count = 2000
    runtime: Count = 60  # minutes


class StageResources(Settings):
    """Resources by stage; the base's own pretraining has its threads in its recipe."""

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
    preference: PreferencePhase | None = None
    dtype: Dtype = "float32"
    blocks: Annotated[list[Whole], Field(min_length=1)]  # decoder blocks whose output probes read
    primary_block: Whole  # the one that tables compare
    batch_size: Count = 256  # sequences in one forward pass without gradients
    sparse_autoencoder: PublishedAutoencoder | None = None  # none: one is trained where a study asks for one
    reasoning: Reasoning | None = None  # none: the base does not reason
    repositories: str = ""  # an expression that the name of every external organism of this base matches
    resources: StageResources = StageResources()

    @model_validator(mode="after")
    def _primary_is_read(self) -> "Base":
        if self.primary_block not in self.blocks:
            raise ValueError(f"primary_block {self.primary_block} is not among blocks {self.blocks}")
        return self
