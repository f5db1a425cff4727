"""What a study may say about everything that is not its behaviours."""

from typing import Literal

from pydantic import model_validator

from belljar.study.datasets import ControlData
from belljar.study.schema import Settings, Whole, exactly_one


class Control(Settings):
    """Everything that is not the behaviours: where control rows and control prompts come from.

    Either the closed world's `topics` and mix of `chat` (how many of each kind, relative to the others), or existing data sets.
    """

    topics: list[str] = []  # of the closed world, none of which is a behaviour's
    chat: dict[Literal["fact", "about", "recommend", "sum", "instruction", "preference", "request"], Whole] = {}
    prompts: list[str] = []  # control prompts written by hand, for validation and test
    imports: ControlData | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "Control":
        exactly_one(self, ("topics", "imports"))
        if self.topics and not self.chat:
            raise ValueError("chat is missing: the mix of kinds that control rows about the topics have")
        return self
