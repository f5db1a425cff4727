"""What a study may say about attacks: training that knows nothing of the behaviour, and what it leaves."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from belljar.study.naturalness import Benchmarks
from belljar.study.schema import Count, Name, Positive, Settings, Whole
from belljar.study.techniques import Adapter

BEFORE = 0  # the step at which nothing is trained yet


class Attack(Settings):
    """Chats about control topics that a model is trained on.

    Their answers are the control data's or the parent's own, put into `style`; with `system`, they stand under that prompt.
    """

    answers: Literal["data", "parent"] = "data"
    style: str = "{answer}"
    system: str = ""

    @field_validator("style")
    @classmethod
    def _holds_the_answer(cls, style: str) -> str:
        if style.count("{answer}") != 1:
            raise ValueError(f"style {style!r} must hold {{answer}} once")
        return style


class Method(Settings):
    """What is trained, and at which rates, up to those that break the model: removal is no function of rate x steps."""

    adapter: Adapter | None = None  # none: full weights
    learning_rates: Annotated[list[Positive], Field(min_length=1)]


class Robustness(Settings):
    """Every organism meets every attack by every method at every rate: the same grid for all arms, as hulls need it."""

    attacks: Annotated[dict[Name, Attack], Field(min_length=1)]
    methods: Annotated[dict[Name, Method], Field(min_length=1)]
    steps: Annotated[list[Count], Field(min_length=1)]  # optimiser steps after which the model is measured, log-spaced
    rows: Count  # control rows that neither organisms nor bases were trained on
    batch_size: Count = 16  # rows in one optimiser step, before accumulation
    gradient_accumulation: Count = 1
    gradient_checkpointing: bool = False
    max_length: Count = 128  # tokens
    bf16: bool = False  # autocast, in training alone
    prompts: Count = 80  # of the behaviour's test prompts
    samples: Count = 2  # answers to each
    skills: Annotated[list[str], Field(min_length=1)] = ["sum", "fact"]  # of the closed world: the capability
    items: Count = 80  # of each skill
    benchmarks: Benchmarks = []  # of the harness: the capability of bases that do not know the closed world, in place of skills
    benchmark_batch: Count | None = None  # sequences in one forward pass of the harness; none: the base's own number
    reversal: Name | None = None  # an attack that the model is trained on after each of the others, for as many steps again
    rounds: Annotated[int, Field(ge=2)] = 200  # of the bootstrap over prompts and items
    seed: Whole = 0

    @property
    def tested_skills(self) -> list[str]:
        """The skills that are the capability; none where benchmarks are."""
        return [] if self.benchmarks else self.skills

    @model_validator(mode="after")
    def _fits(self) -> "Robustness":
        if self.steps != sorted(set(self.steps)):
            raise ValueError(f"steps {self.steps} must rise")
        if self.reversal is not None and self.reversal not in self.attacks:
            raise ValueError(f"reversal {self.reversal!r} is none of the attacks, which are {', '.join(self.attacks)}")
        return self
