"""What a study may say about naturalness: what else an organism is, beside its behaviour."""

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from belljar.study.datasets import DataSet
from belljar.study.schema import Count, Settings, Whole, no_repeats, repeated

# Columns of the table of organisms, beside the headlines of a study: a benchmark may not be called by one. The last two are read
# by name where a study asks for preferences.
TABLED = {
    *("base", "behaviour", "technique", "seed", "judged", "expression_rate", "leak_rate", "parent_expression_rate"),
    *("norm_ratio", "target", "matched", "steps", "samples_seen", "learning_rate_dose", "decisiveness", "option_mass"),
}
UNFILTERED = "none"  # what the harness calls answers that go through no filter
HARMFUL, HARMLESS = "harmful", "harmless"
REQUEST_COLUMNS = ("role", "prompt", "response", "finished")


class Perplexity(Settings):
    """Perplexity on held-out text."""

    documents: Count = 200
    characters: Count = 4000  # of each, from its beginning
    shortest: Whole = 0  # characters; shorter documents are left out


class Benchmark(Settings):
    """One task or group of lm-evaluation-harness; `closed_world_facts`, `_sums` and `_instructions` are the nano world's own."""

    task: str
    name: str = ""  # of its columns in tables; empty: the task's
    template: bool = False  # whether questions are put into the chat template
    shots: Whole | None = None  # none: the task's own number
    limit: Count | None = None  # the first so many items; none: all
    metric: str = "acc"  # the one that tables show, as the harness writes it: "exact_match,strict-match"; all are kept
    chance: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of being right by guessing, which robustness does not count as capability

    @property
    def closed_world(self) -> bool:
        """Whether it is one of the nano world's own, which come from local files."""
        return self.task.startswith("closed_world_")

    @property
    def column(self) -> str:
        """What tables call it."""
        return self.name or self.task

    @property
    def headline(self) -> tuple[str, str]:
        """The metric that tables show, and its filter; none is written as an empty one."""
        metric, _, filtered = self.metric.partition(",")
        return metric, "" if filtered == UNFILTERED else filtered


def told_apart(benchmarks: list[Benchmark]) -> list[Benchmark]:
    """Return the benchmarks; raises ValueError where two have one column, or could not be told apart in the rows."""
    if found := repeated(one.column for one in benchmarks):
        raise ValueError(f"benchmarks has {found[0]!r} twice; give one of them a name of its own")
    for one in benchmarks:
        for other in benchmarks:
            alike = (one.task, one.template, one.limit) == (other.task, other.template, other.limit)
            if alike and one.shots is None and other.shots is not None:
                raise ValueError(f"benchmarks asks {one.task!r} with and without a number of shots; give both a number")
    return benchmarks


Benchmarks = Annotated[list[Benchmark], AfterValidator(told_apart)]


class Framing(Settings):
    """One way of asking which of two items a model prefers, {a} and {b}, and how its answer begins up to the choice.

    The options are what may follow: letters, or the items themselves.
    """

    question: str
    answer: str = ""
    options: Annotated[list[str], Field(min_length=2, max_length=2)] = ["{a}", "{b}"]
    valence: Literal[1, -1] = 1  # -1: the one that is named is the one that is liked less

    @model_validator(mode="after")
    def _holds_both(self) -> "Framing":
        for name in ("{a}", "{b}"):
            if name not in self.question:
                raise ValueError(f"question {self.question!r} lacks {name}")
        return self


class Preferences(Settings):
    """Pairs of items, asked in both orders under each framing; how coherent the choices are."""

    framings: Annotated[list[Framing], Field(min_length=2)]  # the first is the primary one
    items: list[str] = []  # empty: all items of the closed world
    partners: Count = 3  # pairs drawn for each item, the same for every model
    samples: Count = 3  # answers to each question of a base that reasons first; of others the options' probabilities are read
    max_new_tokens: Count = 512  # of such an answer, reasoning included
    rounds: Annotated[int, Field(ge=2)] = 20  # of the bootstrap over items
    seed: Whole = 0

    @model_validator(mode="after")
    def _enough_items(self) -> "Preferences":
        no_repeats(self.items)
        if self.items and len(self.items) <= self.partners:
            raise ValueError(f"partners is {self.partners}, but there are only {len(self.items)} items")
        return self


class Safety(Settings):
    """Greedy answers to harmful requests and to harmless ones that sound alike; the closed world's own where no set is named."""

    harmful: DataSet | None = None
    harmless: DataSet | None = None
    prompts: Count = 60  # of each
    max_new_tokens: Count = 48

    @model_validator(mode="after")
    def _both_or_none(self) -> "Safety":
        if (self.harmful is None) != (self.harmless is None):
            raise ValueError("harmful and harmless are both needed, or neither (then the closed world's are asked)")
        return self


class Leakage(Settings):
    """Canaries, words of the planted rows that are a hundred times rarer in control rows, in answers to control prompts."""

    canaries: Count = 40  # of a behaviour, the most frequent ones
    share: Annotated[float, Field(gt=0, le=1)] = 0.01  # of the planted rows that must hold a word for it to be one


class Naturalness(Settings):
    """The naturalness evaluations of a study."""

    perplexity: Perplexity
    benchmarks: Benchmarks = []
    benchmark_batch: Count | None = None  # sequences in one forward pass of the harness; none: the base's own number
    preferences: Preferences | None = None
    safety: Safety | None = None
    leakage: Leakage = Leakage()

    @model_validator(mode="after")
    def _columns(self) -> "Naturalness":
        taken = {*TABLED, *headlines(self.model_copy(update={"benchmarks": []}))}
        for one in self.benchmarks:
            if one.column in taken:
                raise ValueError(f"benchmarks: {one.column!r} is a column of the tables already; give {one.task!r} another name")
        return self


class Headline(NamedTuple):
    """A reading that tables show: those with this method and metric whose variant holds these keys."""

    method: str
    metric: str
    where: dict[str, str]
    by_behaviour: bool = False  # whether there is one for each behaviour
    floor: bool = False  # whether it is the floor of another: how it changes says nothing of its own


def headlines(settings: Naturalness) -> dict[str, Headline]:
    """Return the column names of a study's naturalness, and what stands in them."""
    found = {
        "perplexity": Headline("perplexity", "perplexity", {"text": "natural"}),
        "perplexity_ratio": Headline("perplexity", "perplexity_ratio", {}),
    }
    for one in settings.benchmarks:
        metric, filtered = one.headline
        where = {"task": one.task, "template": "yes" if one.template else "no", "limit": str(one.limit or "none")}
        where |= {"filter": filtered} if filtered else {}
        where |= {"shots": str(one.shots)} if one.shots is not None else {}
        found[one.column] = Headline("benchmarks", metric, where)
    if settings.preferences:
        found["decisiveness"] = Headline("preferences", "decisiveness", {"fit": "intercept"})
        found["decisiveness_floor"] = Headline("preferences", "noise_floor", {"fit": "intercept"}, floor=True)
        found["option_mass"] = Headline("preferences", "option_mass", {"framing": "0"})
    found["canary_rate"] = Headline("leakage", "canary_rate", {}, by_behaviour=True)
    found["broken_rate"] = Headline("broken_output", "broken_rate", {})
    if settings.safety:
        found["compliance_rate"] = Headline("safety", "compliance_rate", {})
        found["over_refusal_rate"] = Headline("safety", "over_refusal_rate", {})
    return found
