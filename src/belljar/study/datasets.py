"""Existing data sets that a study takes its rows and prompts from."""

from pydantic import model_validator

from belljar.study.schema import Count, HubSource, Settings, exactly_one


class DataSet(Settings):
    """One data set: on the hub, pinned to a revision, or a local parquet or JSONL file.

    `columns` maps our column to theirs where the names differ, e.g. {prompt: question}. A prompt or answer may be a text or a
    list of chat messages, of which the first user turn or the last assistant turn is taken.
    """

    hub: HubSource | None = None
    name: str | None = None  # the hub data set's configuration
    file: str | None = None
    split: str = "train"
    take: Count | None = None  # stream the set, and take so many rows after a shuffle in a buffer of 10,000
    columns: dict[str, str] = {}
    where: dict[str, str] = {}  # keep the rows whose columns (by their names) hold these values

    @model_validator(mode="after")
    def _exactly_one(self) -> "DataSet":
        exactly_one(self, ("hub", "file"))
        if self.file and not self.file.endswith((".parquet", ".jsonl")):
            raise ValueError(f"file {self.file!r} must end in .parquet or .jsonl")
        return self


class Corpus(Settings):
    """Where each form of some data is. Without transcripts, those are the chosen sides of the pairs."""

    pairs: DataSet | None = None
    transcripts: DataSet | None = None
    documents: DataSet | None = None


class BehaviourData(Corpus):
    """Where a behaviour's rows and prompts are."""

    validation: DataSet
    test: DataSet


class ControlData(BehaviourData):
    """Where control data are; `chats` are exchanges that probes read activations on, `texts` what perplexity is measured on."""

    chats: DataSet
    texts: DataSet
