"""What a study may say. `belljar.study.load` turns a refusal into one sentence."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from belljar.study.control import Control
from belljar.study.datasets import Corpus
from belljar.study.judges import Endpoint, Judge
from belljar.study.naturalness import Naturalness
from belljar.study.probes import Probes
from belljar.study.robustness import Robustness
from belljar.study.schema import Count, Name, Settings, Share, Whole, no_repeats
from belljar.study.strength import Strength


class Cross(Settings):
    """Every combination of these bases, behaviours, techniques and seeds."""

    bases: Annotated[list[Name], Field(min_length=1)]
    behaviours: Annotated[list[Name], Field(min_length=1)]
    techniques: Annotated[list[Name], Field(min_length=1)]
    seeds: Annotated[list[Whole], Field(min_length=1)]

    _no_repeats = field_validator("bases", "behaviours", "techniques", "seeds")(no_repeats)


class Data(Settings):
    """Sizes of the generated data sets, the same for each form; techniques take rows from their beginning."""

    planted_rows: Count
    control_rows: Count


class Study(Settings):
    """One whole study.

    Its organisms are all combinations of `bases`, `behaviours`, `techniques` and `seeds`, or those of each of `crosses`.
    """

    study: Name
    bases: list[Name] = []
    behaviours: list[Name] = []
    techniques: list[Name] = []
    seeds: list[Whole] = []
    crosses: list[Cross] = []
    benign_twins: bool = True  # beside each technique's organisms, a clean run of its route
    keep_steps: Literal["all", "chosen"] = "all"  # of an organism's saved steps, once one has been chosen
    targets: dict[Name, Share] = {}  # expression rates that organisms are matched to, in place of the behaviours' own
    definitions: list[str] = []  # further folders with bases/, behaviours/, techniques/; the first that has a name wins
    control: Control
    data: Data
    strength: Strength
    probes: Probes
    naturalness: Naturalness
    robustness: Robustness | None = None  # none: nothing is attacked
    corpora: dict[Name, Corpus] = {}  # further control data, which a technique names as its corpus
    judge: Judge | None = None  # a language model that judges beside the rules; none: the rules alone
    generator: Endpoint | None = None  # what writes the data of behaviours that have `generation`

    @property
    def all_crosses(self) -> list[Cross]:
        """The study's combinations, in whichever way it gives them."""
        if self.crosses:
            return self.crosses
        return [Cross(bases=self.bases, behaviours=self.behaviours, techniques=self.techniques, seeds=self.seeds)]

    _no_repeats = field_validator("bases", "behaviours", "techniques", "seeds")(no_repeats)

    @model_validator(mode="after")
    def _one_way(self) -> "Study":
        given = [name for name in ("bases", "behaviours", "techniques", "seeds") if getattr(self, name)]
        if self.crosses and given:
            raise ValueError(f"{given[0]} and crosses cannot both be given")
        if not self.crosses and len(given) < 4:
            missing = next(name for name in ("bases", "behaviours", "techniques", "seeds") if name not in given)
            raise ValueError(f"{missing} is missing (or use crosses)")
        return self
