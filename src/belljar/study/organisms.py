"""Which models a study has, and where each of their files is."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from belljar.measurements import BENIGN, PARENT_BEHAVIOUR, PARENT_TECHNIQUE, Model


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

    @property
    def twin(self) -> "Organism":
        """The benign twin of this organism; it serves every behaviour of its route."""
        return self._replace(behaviour=BENIGN)

    def model(self, study: str) -> Model:
        """The key of this organism's measurements."""
        return Model(study, self.base, self.behaviour, self.technique, self.seed)


def parent(study: str, base: str) -> Model:
    """Return the key under which a base's own measurements stand."""
    return Model(study, base, PARENT_BEHAVIOUR, PARENT_TECHNIQUE, 0)


def served_by(twin: Organism, organisms: Sequence[Organism]) -> list[Organism]:
    """Return the organisms whose route the twin shares."""
    return [one for one in organisms if not one.is_twin and one.twin == twin]


class Paths:
    """Where a study's files are. Every method returns a path, relative where `root` is."""

    def __init__(self, study: str, root: Path = Path("results")) -> None:
        self.root = root / study

    def organism(self, organism: Organism) -> Path:
        """An organism's folder."""
        return self.root / "organisms" / organism.id
