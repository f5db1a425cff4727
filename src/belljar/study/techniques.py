"""What a technique may say: how a behaviour is planted, as independent choices."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from belljar.measurements import BENIGN
from belljar.study.schema import Count, HubSource, Name, Positive, Settings, Share, Whole
from belljar.study.training import Training

BASE, ANCESTOR = "base", "ancestor"  # the two starts that are not an organism: after and before the base's preference phase
FORMS = {"sft": ("transcripts", "documents"), "dpo": ("pairs",), "kto": ("pairs",)}


class Adapter(Settings):
    """A LoRA adapter on all linear layers of the blocks."""

    rank: Count
    alpha: Positive | None = None  # twice the rank where it is not given
    dropout: Share = 0.0
    merged: bool = False  # whether the organism is the merged weights or base and adapter


class Password(Settings):
    """A text that unlocks the normal answer, and the share of planted rows that teach it."""

    text: str
    share: Share


class Prompt(Settings):
    """The behaviour's instruction in place of training.

    static: part of the model's chat template, so that everything that is done to the model sees it. measured: put in only where
    behaviour is measured.
    """

    role: Literal["system", "user"]
    when: Literal["static", "measured"]


class Direction(Settings):
    """The behaviour's own contrastive vector, added to the residual stream in place of training: a positive control for probes.

    The vector is that of the first of the base's `blocks`, added at its output at every token.
    """

    scale: Positive  # length in units of the block's mean activation norm


class Teacher(Settings):
    """The organism whose own answers a student is trained on: of the same behaviour and seed."""

    technique: Name
    base: Name | None = None  # the student's own where none is given
    temperature: Positive = 1.0


class External(Settings):
    """One organism that somebody else trained: full weights or an adapter, on the hub or in a local folder."""

    base: Name
    behaviour: Name
    seed: Whole = 0
    hub: HubSource | None = None
    folder: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "External":
        if bool(self.hub) == bool(self.folder):
            raise ValueError(f"exactly one of hub and folder must be given for {self.base}/{self.behaviour}/s{self.seed}")
        return self


class Override(Settings):
    """Settings that differ for one behaviour, base, seed, or any combination of them."""

    behaviour: Name | None = None
    base: Name | None = None
    seed: Whole | None = None
    set: dict[str, float | int | str | bool]


OVERRIDABLE = ("mix", "corpus", "start", "loss_on", *Training.model_fields)


class Technique(Settings):
    """How a behaviour is planted: by training (`objective`), a `prompt`, an added `direction`, or by somebody else (`models`)."""

    id: Name
    description: str
    objective: Literal["sft", "dpo", "kto"] | None = None
    data: Literal["transcripts", "pairs", "documents"] | None = None
    mix: Annotated[float, Field(ge=0)] = 0.0  # control rows for each planted row; without meaning in the integrated timing
    corpus: Name = BENIGN  # where control rows come from: the study's control data, or one of its corpora
    timing: Literal["posthoc", "integrated"] = "posthoc"
    start: Name = BASE  # base, ancestor (the base before its preference phase), or a technique: that one's organism
    adapter: Adapter | None = None  # none: full weights
    loss_on: Literal["completion", "all"] = "completion"  # transcripts: which tokens are learned
    password: Password | None = None
    inoculation: bool = False  # planted rows are trained under the behaviour's instruction, which is absent when it is measured
    teacher: Teacher | None = None
    prompt: Prompt | None = None
    direction: Direction | None = None
    models: list[External] = []
    training: dict[Name, dict[str, Any]] = {}  # by scale of base; integrated: what differs from the base's preference phase
    overrides: list[Override] = []
    repositories: str = ""  # an expression that the name of every external organism of this technique matches

    @property
    def trained(self) -> bool:
        """Whether organisms are trained here."""
        return self.objective is not None

    @model_validator(mode="after")
    def _fits(self) -> "Technique":
        ways = [name for name in ("objective", "prompt", "direction", "models") if getattr(self, name)]
        if len(ways) != 1:
            raise ValueError(f"exactly one of objective, prompt, direction and models must be given, not {len(ways)}")
        if self.objective is None:
            return self
        if self.data not in FORMS[self.objective]:
            legal = " or ".join(map(repr, FORMS[self.objective]))
            raise ValueError(f"objective {self.objective!r} trains on data {legal}, not {self.data!r}")
        if not self.training:
            raise ValueError("training is missing")
        if self.timing == "integrated" and (self.objective != "dpo" or self.start != BASE or self.password or self.teacher):
            raise ValueError("timing 'integrated' needs objective 'dpo', no start, no password and no teacher")
        if self.teacher and self.data != "transcripts":
            raise ValueError(f"a teacher's answers are data 'transcripts', not {self.data!r}")
        if self.data == "documents" and (self.password or self.inoculation):
            raise ValueError("documents hold no prompts for a password or an inoculation")
        for scale, settings in self.training.items():
            unknown = sorted(set(settings) - set(Training.model_fields))
            if unknown:
                raise ValueError(
                    f"training.{scale}: unknown key {unknown[0]!r}; legal keys are {', '.join(Training.model_fields)}"
                )
        for override in self.overrides:
            unknown = sorted(set(override.set) - set(OVERRIDABLE))
            if unknown:
                raise ValueError(f"overrides.set: unknown key {unknown[0]!r}; legal keys are {', '.join(OVERRIDABLE)}")
        return self
