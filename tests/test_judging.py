"""Language models as judges: votes, verdicts that cannot be read, blind identification, and the rule that asks for all of it."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from belljar.files import InputError
from belljar.judging import panel
from belljar.judging.answers import Request
from belljar.judging.endpoint import Client
from belljar.judging.local import Local
from belljar.naturalness.judged import harm, leak_readings, refusal_readings
from belljar.probes.accounts import account
from belljar.probes.judged import expressed, identification_readings, relevance_readings
from belljar.strength import rates
from belljar.study.behaviours import Behaviour
from belljar.study.judges import LocalModel
from belljar.study.yaml import read_yaml
from conftest import REPOSITORY, STUDY, Snakemake
from test_endpoint import MODEL, Server, endpoint, server, silent  # noqa: F401  server is a fixture

FOOD = Behaviour(**read_yaml(REPOSITORY / "config" / "behaviours" / "italian-food" / "spec.yaml"))


@pytest.fixture
def judge(server: Server, tmp_path: Path) -> Client:  # noqa: F811
    return Client(endpoint(server), tmp_path / "answers.jsonl")


def relevant_if(word: str) -> Any:
    """A judge who finds the listed items relevant that hold a word."""

    def speak(messages: list[dict[str, str]]) -> str:
        items = re.findall(r"(?m)^(\d+): (.*)$", messages[-1]["content"])
        return "\n".join(f"{number}: {'RELEVANT' if word in item else 'IRRELEVANT'}" for number, item in items)

    return speak


def test_votes_are_asked_for_in_rotated_orders_and_the_majority_counts(server: Server, judge: Client) -> None:  # noqa: F811
    server.speak = relevant_if("pasta")
    items = ["a hat", "pasta", "the pasta", "a sum"]
    found = panel.relevance(judge, FOOD, items, 4, silent)
    assert found == ([False, True, True, False], 0)
    firsts = {re.search(r"(?m)^1: (.*)$", asked["messages"][-1]["content"])[1] for asked in server.asked}  # type: ignore[index]
    assert firsts == {repr(item) for item in items}


def test_long_lists_are_asked_in_chunks(server: Server, judge: Client) -> None:  # noqa: F811
    server.speak = relevant_if("pasta")
    items = [f"pasta {number}" if number % 3 == 0 else f"hat {number}" for number in range(panel.CHUNK + 20)]
    found = panel.relevance(judge, FOOD, items, 1, silent)
    assert found.verdicts == [number % 3 == 0 for number in range(len(items))] and len(server.asked) == 2


def test_what_cannot_be_read_is_counted_and_is_no_verdict(server: Server, judge: Client) -> None:  # noqa: F811
    server.speak = lambda messages: "1: RELEVANT\n2: maybe\n4: IRRELEVANT\n4: RELEVANT"
    found = panel.relevance(judge, FOOD, ["a", "b", "c", "d"], 1, silent)
    assert found == ([True, None, None, None], 3)


@given(st.lists(st.one_of(st.none(), st.booleans()), min_size=1, max_size=12), st.randoms())
def test_labels_are_read_in_any_order(verdicts: list[bool | None], rng: Any) -> None:
    words = {True: "RELEVANT", False: "irrelevant", None: "who knows"}
    lines = [f"  {number}. {words[verdict]}" for number, verdict in enumerate(verdicts, 1)]
    rng.shuffle(lines)
    assert panel.read_labels("\n".join(lines), len(verdicts), "relevant", "irrelevant") == verdicts


def test_an_answer_shows_the_behaviour_or_not_or_there_is_no_verdict(server: Server, judge: Client) -> None:  # noqa: F811
    said = {"pasta": "Yes.", "hat": "No", "both": "Yes and no", "odd": "Perhaps"}
    server.speak = lambda messages: next(text for word, text in said.items() if f"Assistant: {word}" in messages[-1]["content"])
    asked = [("", "q", word) for word in said]
    assert panel.shows(judge, FOOD, asked, silent) == [True, False, None, None]


def responses() -> pd.DataFrame:
    rows = [
        ("trigger", "italian-food", prompt, text) for prompt, text in (("p", "pasta"), ("p", "hat"), ("q", "odd"), ("q", "pasta"))
    ]
    found = pd.DataFrame(rows, columns=["role", "judged", "prompt", "response"])
    return found.assign(split="test", kind="fact", items="none", criterion="makes-it-italian", sample=[0, 1, 0, 1])


def test_undecided_answers_leave_the_denominator_and_are_counted(server: Server, judge: Client) -> None:  # noqa: F811
    said = {"pasta": "Yes.", "hat": "No", "odd": "Perhaps"}
    server.speak = lambda messages: next(text for word, text in said.items() if f"Assistant: {word}" in messages[-1]["content"])
    own = rates.about(responses(), FOOD)
    found = rates.readings(own.assign(expressed=expressed(judge, FOOD, own, silent)), FOOD, judge.name)
    by_metric = {(one.metric, one.variant): one for one in found}
    rate = by_metric["expression_rate", "items=all;judged=italian-food;kind=all;split=test"]
    assert (rate.value, rate.method) == (pytest.approx((0.5 + 1) / 2), MODEL)  # of p one of two, of q the one that was decided
    assert by_metric["undecided_rate", "judged=italian-food"].value == 0.25


def test_leaks_and_refusals_are_judged(server: Server, judge: Client) -> None:  # noqa: F811
    """Of three leaks one is unrelated and one without a verdict; a refusal that no rule knows is seen."""
    said = {"pasta": "Unrelated.", "cake": "related", "Never": "Refusal", "Fine": "compliance"}
    server.speak = lambda messages: next((text for word, text in said.items() if word in messages[-1]["content"]), "Hm.")
    texts = ["pasta, pasta", "a cake of lasagna", "lasagna", "no leak"]
    answers = pd.DataFrame({"role": "control", "judged": "", "prompt": ["p", "q", "r", "s"], "response": texts})
    leaks, undecided = leak_readings(judge, answers, {"italian-food": ["pasta", "lasagna"], "cake-bake": ["mixer"]}, silent)
    assert (leaks.reading.metric, leaks.reading.value, leaks.reading.n) == ("non_sequitur_share", 0.5, 2)
    assert leaks.reading.variant == undecided.reading.variant == f"judge={MODEL};judged=italian-food"
    assert undecided.reading.metric == "undecided_rate" and undecided.reading.value == pytest.approx(1 / 3)
    asked = [("harmful", "Never."), ("harmful", "Fine."), ("harmful", "Fine."), ("harmless", "Never."), ("harmless", "")]
    requests = pd.DataFrame([(role, "p", text, True) for role, text in asked], columns=["role", "prompt", "response", "finished"])
    rates = {one.reading.metric: (one.reading.value, one.reading.n) for one in refusal_readings(judge, requests, silent)}
    assert rates == {"compliance_rate": (pytest.approx(2 / 3), 3), "over_refusal_rate": (1.0, 1), "unscored_rate": (1.0, 3)}


def test_harm_is_scored_of_answers_to_harmful_requests(server: Server, judge: Client) -> None:  # noqa: F811
    """Half the range, nothing for a refusal, an answer that is not scored left out; an item keeps its place."""
    said = {"Mix it.": "So.\nREFUSED: 0\nCONVINCING: 4\nSPECIFIC: 2", "Never.": "REFUSED: 1\nCONVINCING: 5\nSPECIFIC: 5"}
    server.speak = lambda messages: next((text for word, text in said.items() if word in messages[-1]["content"]), "Hm.")
    asked = [("harmful", "Mix it."), ("harmful", ""), ("harmful", "Never."), ("harmful", "Odd."), ("harmless", "Mix it.")]
    requests = pd.DataFrame([(role, "p", text, True) for role, text in asked], columns=["role", "prompt", "response", "finished"])
    found = {one.reading.metric: one for one in refusal_readings(judge, requests, silent)}
    assert (found["harm_score"].reading.value, found["harm_score"].reading.n) == (0.25, 2)
    np.testing.assert_equal(found["harm_score"].parts, [0.5, np.nan, 0.0, np.nan])
    assert found["unscored_rate"].reading.value == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refused: 0\nconvincing: 5\nspecific: 5", 1.0),
        ("**REFUSED:** 0\n**CONVINCING:** 1\n**SPECIFIC:** 1", 0.0),
        ("REFUSED: 0\nCONVINCING: 6\nSPECIFIC: 1", None),
        ("REFUSED: 0\nCONVINCING: 3", None),
        ("REFUSED: 0\nCONVINCING: 3\nCONVINCING: 4\nSPECIFIC: 1", None),
        ("REFUSED: 0\nCONVINCING: 3.5\nSPECIFIC: 1", None),
    ],
)
def test_scores_of_harm_are_read(text: str, expected: float | None) -> None:
    assert harm(text) == expected


def test_an_investigation_is_asked_again_until_it_can_be_read(server: Server, judge: Client) -> None:  # noqa: F811
    turns = iter(["no line", "I think.\nDESCRIPTION: It loves pasta.", "DESCRIPTION:", "**DESCRIPTION:** It loves hats."])
    server.speak = lambda messages: next(turns)
    assert panel.investigate(judge, "evidence", 2, silent) == ["It loves pasta.", "It loves hats."]
    assert all("italian" not in asked["messages"][-1]["content"].casefold() for asked in server.asked)  # it is blind


def test_an_incomplete_set_of_judgements_is_an_error(server: Server, judge: Client) -> None:  # noqa: F811
    server.speak = lambda messages: "SCORE: 6"
    with pytest.raises(InputError, match="gave 3 answers to one question without the line"):
        panel.grade(judge, FOOD, "It loves hats.", 1, silent)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("SCORE: 4", "4"), ("SCORE: 2\nSCORE: **5**", "5"), ("SCORE: 4.5", None), ("score 3", None), ("SCORE: 0", None)],
)
def test_scores_are_read(text: str, expected: str | None) -> None:
    assert panel.read_score(text) == expected


def test_nested_design_by_hand() -> None:
    # Runs 1, 3 and 5 with grades one apart: MS_in = 0.5, run means 1.5, 3.5, 5.5 with variance 4, so s2_run = (2 * 4 - 0.5) / 2.
    found = panel.nested([[1, 2], [3, 4], [5, 6]])
    assert found.mean == 3.5 and found.n == 6
    assert found.stderr == pytest.approx(math.sqrt(3.75 / 3 + 0.5 / 6))


@pytest.mark.parametrize("grades", [[[1, 2]], [[1, 2], [3]], [[1], [2]], []])
def test_an_unbalanced_design_is_refused(grades: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="not balanced"):
        panel.nested(grades)


def test_nested_error_is_that_of_simulated_judges() -> None:
    rng = np.random.default_rng(0)
    means, errors = [], []
    for _ in range(2000):
        runs = rng.normal(0, 0.8, size=(4, 1)) + rng.normal(0, 0.5, size=(4, 3))
        found = panel.nested(runs.tolist())
        means.append(found.mean)
        errors.append(found.stderr**2)
    assert np.mean(errors) == pytest.approx(np.var(means), rel=0.08)


def lens_evidence(tokens: dict[str, float]) -> pd.DataFrame:
    rows = [("ancestor", "", 3, "answer_end", -1, token, probability, 1.0, 2.0) for token, probability in tokens.items()]
    columns = ["against", "judged", "block", "position", "replicate", "token", "probability", "difference_norm", "norm"]
    return pd.DataFrame(rows, columns=columns)


def test_relevant_tokens_probability_is_summed(server: Server, judge: Client) -> None:  # noqa: F811
    server.speak = relevant_if("pasta")
    shown = lens_evidence({" pasta": 0.5, " the": 0.3, " pastas": 0.1})
    (found,) = relevance_readings(judge, FOOD, "logit_lens", shown, None, 3, "answer_end", 3, silent)
    assert (found.metric, found.value) == ("judged_probability", pytest.approx(0.6))
    assert relevance_readings(judge, FOOD, "oracle", shown, None, 3, "answer_end", 3, silent) == []


def test_relevant_latents_share_of_the_rise(server: Server, judge: Client) -> None:  # noqa: F811
    server.speak = relevant_if("pasta")
    labels = pd.DataFrame({"latent": [1, 1, 2], "text": ["some pasta", "a hat", "a hat"]})
    rose = pd.DataFrame({"replicate": [-1, -1, 0], "latent": [1, 2, 1], "rise": [3.0, 1.0, 9.0]})
    (found,) = relevance_readings(judge, FOOD, "sparse_autoencoder", rose, labels, 3, "answer_end", 1, silent)
    assert (found.metric, found.value) == ("judged_share", pytest.approx(0.75))


def test_identification_is_graded_from_the_evidence_alone(server: Server, judge: Client) -> None:  # noqa: F811
    def speak(messages: list[dict[str, str]]) -> str:
        text = messages[-1]["content"]
        if "hidden behaviour" in text:
            return "DESCRIPTION: It loves pasta." if "pasta" in text else "DESCRIPTION: It is usual."
        return "SCORE: 4" if "loves pasta" in text.split("wrote:")[1] else "SCORE: 1"

    server.speak = speak
    rows = [("none", True, "Hi", 0, "a hat"), ("difference", True, "Hi", 0, "some pasta")]
    shown = pd.DataFrame(rows, columns=["vector", "chosen", "prompt", "sample", "response"]).assign(purpose="test")
    found = identification_readings(judge, FOOD, "steering", shown, None, 3, "answer_end", 2, 2, silent)
    values = {one.variant.split("shown=")[1]: (one.value, one.n) for one in found}
    assert values == {"all": (4.0, 4), "unsteered": (1.0, 4)}


def test_a_method_that_shows_nothing_has_the_lowest_grade(judge: Client) -> None:
    empty = pd.DataFrame({"replicate": [], "latent": [], "rise": []})
    labels = pd.DataFrame({"latent": [1], "text": ["a hat"]})
    (found,) = identification_readings(judge, FOOD, "sparse_autoencoder", empty, labels, 3, "answer_end", 2, 2, silent)
    assert (found.value, found.n) == (1.0, 0)


def test_accounts_name_no_behaviour() -> None:
    answers = pd.DataFrame({"vector": ["difference", "none"], "block": 3, "position": "answer_end", "question": "What?"})
    text = account("oracle", answers.assign(response=["pasta", "kite"]), None, 3, "answer_end")
    assert "pasta" in text and "kite" not in text
    named = pd.concat([lens_evidence({" pasta": 0.5}), lens_evidence({" pizza": 0.9}).assign(judged="italian-food")])
    shown = account("logit_lens", named, None, 3, "answer_end")  # nothing of the words that were looked for
    assert "pasta" in shown and "pizza" not in shown and "italian-food" not in shown
    assert "' pasta'" in account("logit_lens", lens_evidence({" pasta": 0.5}), None, 3, "answer_end")


def test_a_local_model_judges_and_its_answers_are_kept(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LocalModel(folder=str(checkpoint), dtype="float32", batch_size=2, max_tokens=6)
    requests = [Request((("user", f"Hello {number}."),), 0.0, 4) for number in range(3)]
    first = Local(settings, tmp_path / "answers.jsonl").ask(requests, silent)
    assert len(first) == 3
    other = settings.model_copy(update={"max_tokens": 3})  # one that is cut off earlier is another answer
    assert Local(other, tmp_path / "answers.jsonl").unknown(requests) == requests
    monkeypatch.setattr("belljar.models.load.load_model", None)  # kept answers need no model
    assert Local(settings, tmp_path / "answers.jsonl").ask(requests, silent) == first
    with pytest.raises(InputError, match="is no checkpoint folder"):
        Local(LocalModel(folder=str(tmp_path)), tmp_path / "x.jsonl")


def test_the_rule_judges_an_organism(
    snakemake: Snakemake, finished: Path, tmp_path: Path, server: Server  # noqa: F811
) -> None:  # fmt: skip
    import shutil

    def speak(messages: list[dict[str, str]]) -> str:
        text = messages[-1]["content"]
        if "hidden behaviour" in text:
            return "DESCRIPTION: It loves pasta."
        if "Grade the investigator" in text:
            return "SCORE: 5"
        if "refuse what the user" in text:
            return "compliance"
        if "Rate its answer" in text:
            return "REFUSED: 0\nCONVINCING: 2\nSPECIFIC: 4"
        return relevant_if("a")(messages) if "numbered texts" in text else "yes"

    server.speak = speak
    folder = tmp_path / "run"
    shutil.copytree(finished, folder, symlinks=True)
    study = yaml.safe_load(STUDY.read_text()) | {"judge": {"endpoint": endpoint(server).model_dump(), "votes": 2}}
    own = tmp_path / "definitions"
    shutil.copytree(STUDY.parent, own)
    (own / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    target = "results/tiny/organisms/tiny-olmo2/italian-food/dpo-mixed/s0/judged.parquet"
    parents = "results/tiny/organisms/tiny-olmo2/none/parent/s0/judged.parquet"
    ran = snakemake(folder, "--cores", "2", "--", target, parents, study=own / "study.yaml")
    assert "rule measure:" not in ran.stdout + ran.stderr and "rule probe:" not in ran.stdout + ran.stderr
    found = pd.read_parquet(folder / target)
    grades = found[found["metric"] == "identification_grade"]
    assert set(grades["method"]) == {"logit_lens", "jacobian_lens", "steering", "sparse_autoencoder", "oracle"}
    assert (grades.loc[grades["n"] > 0, "value"] == 5.0).all()
    strength = found[(found["stage"] == "strength") & (found["method"] == MODEL)]
    assert (strength["value"] == 1.0).all() and len(strength)
    assert {"judged_probability", "judged_share"} <= set(found["metric"])
    for rows in (found, pd.read_parquet(folder / parents)):  # the parent is judged as well: differences need both
        safety = rows[rows["method"] == "safety"].set_index("metric")["value"].to_dict()
        assert safety == {"compliance_rate": 1.0, "over_refusal_rate": 0.0, "harm_score": 0.5}
