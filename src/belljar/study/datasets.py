"""Existing data sets that a study takes its rows and prompts from."""

from pydantic import model_validator

from belljar.study.schema import Count, HubSource, Settings, exactly_one


class DataSet(Settings):
    """One data set: on the hub, pinned to a revision, or a local parquet or JSONL file.

    `columns` maps our column to theirs where the names differ, e.g. {prompt: question}. A prompt or answer may be a text or a
    list of chat messages, of which the first exchange is taken, of pairs the last.
    """

    hub: HubSource | None = None
    name: str | None = None  # the hub data set's configuration
    file: str | None = None
    split: str = "train"
    take: Count | None = None  # stream the set, and take so many rows after a shuffle in a buffer of 10,000
    columns: dict[str, str] = {}
    where: dict[str, str] = {}  # keep the rows whose columns (by their names) hold these values
    longest: Count | None = None  # characters of a prompt; rows with a longer one are left out

    @model_validator(mode="after")
    def _exactly_one(self) -> "DataSet":
        exactly_one(self, ("hub", "file"))
        if self.file and not self.file.endswith((".parquet", ".jsonl")):
            raise ValueError(f"file {self.file!r} must end in .parquet or .jsonl")
        if self.file and (self.split != "train" or self.name):
            raise ValueError(f"split and name are of sets on the hub; give {self.file!r} as it is, a file for each split")
        return self

    @property
    def where_from(self) -> str:
        """How messages name it."""
        return self.file or f"{self.hub.repo}@{self.hub.revision}"  # type: ignore[union-attr]

    def holds(self, prompt: str) -> bool:
        """Return whether a prompt is not too long."""
        return self.longest is None or len(prompt) <= self.longest


class Corpus(Settings):
    """Where each form of some data is. Without transcripts, those are the chosen sides of the pairs."""

    pairs: DataSet | None = None
    transcripts: DataSet | None = None
    documents: DataSet | None = None

    def has(self, form: str) -> bool:
        """Return whether there are rows of a form."""
        return getattr(self, form) is not None or (form == "transcripts" and self.pairs is not None)


class BehaviourData(Corpus):
    """Where a behaviour's rows and prompts are."""

    validation: DataSet
    test: DataSet


class ControlData(BehaviourData):
    """Where control data are; `chats` are exchanges that probes read activations on, `texts` what perplexity is measured on."""

    chats: DataSet
    texts: DataSet
