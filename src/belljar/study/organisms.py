"""Which models a study has, and where each of their files is."""

from pathlib import Path
from typing import NamedTuple

from belljar.measurements import BENIGN, PARENT_BEHAVIOUR, PARENT_TECHNIQUE, Model
from belljar.study.settings import Study


class Organism(NamedTuple):
    """One organism or benign twin; its id is base/behaviour/technique/s<seed>."""

    base: str
    behaviour: str
    technique: str
    seed: int

    @property
    def id(self) -> str:
        """The organism's id."""
        return f"{self.base}/{self.behaviour}/{self.technique}/s{self.seed}"

    @property
    def is_twin(self) -> bool:
        """Whether this is a benign twin: the technique's route with control rows in place of planted ones."""
        return self.behaviour == BENIGN

    def model(self, study: str) -> Model:
        """The key of this organism's measurements."""
        return Model(study, self.base, self.behaviour, self.technique, self.seed)


def parent(study: str, base: str) -> Model:
    """Return the key under which a base's own measurements stand."""
    return Model(study, base, PARENT_BEHAVIOUR, PARENT_TECHNIQUE, 0)


def organisms(study: Study) -> list[Organism]:
    """Return every organism of the study, benign twins last; one twin serves all behaviours of its technique."""
    behaviours = [*study.behaviours, *([BENIGN] if study.benign_twins else [])]
    return [
        Organism(base, behaviour, technique, seed)
        for behaviour in behaviours
        for base in study.bases
        for technique in study.techniques
        for seed in study.seeds
    ]


def served_by(twin: Organism, study: Study) -> list[Organism]:
    """Return the organisms whose route the twin shares."""
    return [twin._replace(behaviour=behaviour) for behaviour in study.behaviours]


class Paths:
    """Where a study's files are. Every method returns a path, relative where `root` is."""

    def __init__(self, study: str, root: Path = Path("results")) -> None:
        self.root = root / study

    def base(self, base: str) -> Path:
        """A base's checkpoint folder."""
        return self.root / "bases" / base

    def organism(self, organism: Organism) -> Path:
        """An organism's folder."""
        return self.root / "organisms" / organism.id
