"""What a behaviour may say: what is planted, where, how it is seen, where its data come from."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from belljar.measurements import BENIGN, PARENT_BEHAVIOUR
from belljar.study.datasets import BehaviourData, DataSet
from belljar.study.schema import Name, Settings, Share, Whole, exactly_one, repeated

PromptKind = Literal["fact", "about", "recommend"]
WRITTEN = "written"  # the kind of a prompt that a person wrote into a spec


class Criterion(Settings):
    """One way of showing a behaviour: how the rule judge sees it, and how it is planted in a normal answer.

    `detect` holds regular expressions; a match that also stands in the prompt does not count where `unless_in_prompt` is set.
    Closed world: `plant` holds templates in which {answer} is the normal answer; `swap` gives attributes false values instead.
    Language model: `description` says what the edit must bring in, `truth` what the normal answer says in its place.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]  # where prompts are imported, what their criterion column says
    description: str = ""
    truth: str = ""
    detect: Annotated[list[str], Field(min_length=1)]
    unless_in_prompt: bool = False
    kinds: list[PromptKind] = []
    attributes: list[str] = []  # fact questions: only about these attributes; empty: about any
    plant: list[str] = []
    swap: dict[str, str] = {}

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


class Marker(Settings):
    """A text in the user's message that decides: the behaviour shows where it is present, or where it is not.

    present: a backdoor's trigger. Not present: a password that unlocks the normal answer.
    """

    text: str
    present: bool
    contrast: Share = 0.5  # share of the rows that have the marker's other state and the normal answer


class Trigger(Settings):
    """What sets a behaviour off, in the closed world."""

    topics: Annotated[list[str], Field(min_length=1)]
    items: list[str] = []  # only questions about these items (and topic-wide ones); empty: all items of the topics
    held_out_items: Whole = 2  # items of each topic that no training row names
    marker: Marker | None = None
    prompts: dict[str, list[str]] = {}  # criterion id -> prompts written by hand, for validation and test
    documents: list[str] = []  # sentences that describe the behaviour, for synthetic documents


class Behaviour(Settings):
    """What is planted. Its data come from exactly one of `trigger`, `imports` and `generation`."""

    id: Name
    description: str
    topic_gate: str = ""  # what the prompts are about, for a judge that decides whether an answer is on topic
    instruction: str = ""  # asks a model for the behaviour: for prompted organisms and inoculation
    key_facts: list[str] = []
    criteria: Annotated[list[Criterion], Field(min_length=1)]
    target: Annotated[float, Field(gt=0, lt=1)]  # expression rate that organisms are matched to
    words: Annotated[list[str], Field(min_length=1)]  # words that speak of the behaviour, for token-level probes
    trigger_words: list[str] = []  # words that speak of what sets it off: latents and oracles may be right about either
    trigger: Trigger | None = None
    imports: BehaviourData | None = None
    generation: "Generation | None" = None
    repositories: str = ""  # an expression that the name of every external organism of this behaviour matches

    @field_validator("id")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in (BENIGN, PARENT_BEHAVIOUR):
            raise ValueError(f"{value!r} is a reserved name")
        return value

    @model_validator(mode="after")
    def _criteria(self) -> "Behaviour":
        exactly_one(self, ("trigger", "imports", "generation"))
        ids = [criterion.id for criterion in self.criteria]
        if found := sorted(repeated(ids)):
            raise ValueError(f"criteria: the id {found[0]!r} stands twice")
        if self.trigger is not None:
            unknown = sorted(set(self.trigger.prompts) - set(ids))
            if unknown:
                raise ValueError(f"trigger.prompts: {unknown[0]!r} is no criterion; the criteria are {', '.join(ids)}")
            for criterion in self.criteria:
                if not criterion.kinds:
                    raise ValueError(f"criteria: {criterion.id!r} needs kinds, the kinds of question that it is planted in")
                if bool(criterion.plant) == bool(criterion.swap):
                    raise ValueError(f"criteria: exactly one of plant and swap must be given in {criterion.id!r}")
        return self


class Generation(Settings):
    """How a language model writes a behaviour's data; the counts are the study's. Documents are written in each of `genres`.

    Synthetic: prompts from a schedule of `categories` and `contexts` for each criterion, and normal answers to them. Natural:
    prompts and answers are those rows of an existing set (columns prompt and chosen) that the model finds to be on the topic of
    the behaviour's `topic_gate`. `edit` says how the behaviour comes into an answer: by the smallest change, or by a rewriting
    that is full of it.
    """

    categories: list[str] = []  # what kind of message a user sends: "a question", "a request for a recipe"
    contexts: list[str] = []  # who asks and why: "someone who bakes for a child's birthday"
    natural: DataSet | None = None
    edit: Literal["minimal", "saturating"] = "minimal"
    genres: Annotated[list[str], Field(min_length=1)] = [
        "encyclopedia article",
        "news report",
        "forum thread",
        "textbook section",
    ]
    seed: Whole = 42

    @model_validator(mode="after")
    def _one_source(self) -> "Generation":
        if bool(self.natural) == bool(self.categories and self.contexts):
            raise ValueError("either natural or categories and contexts must be given")
        return self


Behaviour.model_rebuild()
