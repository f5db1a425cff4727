"""Choices between items as they are read from a model, and the panel of preference coherence."""

import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from belljar.files import InputError
from belljar.judging.texts import concluded
from belljar.models.chats import render
from belljar.models.generate import answers
from belljar.models.logprobs import continuation_logprobs
from belljar.naturalness.choices import APART, SPACED, WHOLE, ask, ask_aloud, choices, chosen_option, segmented
from belljar.naturalness.preferences import readings
from belljar.naturalness.sampled import Sampled
from belljar.naturalness.utilities import (
    design,
)
from belljar.study.naturalness import Framing, Preferences
from belljar.world.tokenizer import CHAT_TEMPLATE, SPECIAL_TOKENS
from conftest import random_model

NAMES = ["the hat", "the banana", "the owl", "the kite"]
NAMED = Framing(question="Which do you prefer, {a} or {b}?", answer="I prefer ")
LETTERS = Framing(question="Is A: {a} or B: {b} better?", answer="<answer>", options=["A", "B"])
WORSE = Framing(question="Is A: {a} or B: {b} worse?", answer="<answer>", options=["A", "B"], valence=-1)


@torch.no_grad()
@pytest.mark.parametrize("framing", [NAMED, LETTERS])
def test_options_are_read_where_their_tokens_part(model: Any, tokenizer: Any, framing: Framing) -> None:
    found = ask(model, tokenizer, NAMES, framing, [(0, 1), (2, 3)], 3)
    for row, (first, second) in enumerate([(0, 1), (2, 3)]):
        names = {"a": NAMES[first], "b": NAMES[second]}
        scores = []
        both = [
            render(tokenizer, framing.question.format(**names), framing.answer + option.format(**names)).ids
            for option in framing.options
        ]
        common = next(place for place, (a, b) in enumerate(zip(*both, strict=False)) if a != b)
        for ids in both:
            logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0].float(), dim=-1)
            scores.append(sum(float(logprobs[place - 1, ids[place]]) for place in range(common, len(ids))))
        assert found.edges.chosen[row] == pytest.approx(1 / (1 + math.exp(scores[1] - scores[0])), abs=1e-5)
        assert found.mass[row] == pytest.approx(math.exp(scores[0]) + math.exp(scores[1]), rel=1e-4)


@pytest.fixture(scope="module")
def merging() -> Any:
    """A tokenizer that merges a mark with the letters after it, as those of Llama 3, Qwen and OLMo-2 do."""
    pieces = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"
    split = pre_tokenizers.Split(Regex(pieces), "isolated")
    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    fast.decoder = decoders.ByteLevel()
    learn = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(SPECIAL_TOKENS), initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    fast.train_from_iterator(["<answer>A or <answer>B, A: the hat, B: the owl. Answer: A, Answer: B"] * 20, learn)
    return PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token="<pad>", bos_token="<bos>", eos_token="<|end|>", chat_template=CHAT_TEMPLATE
    )


@torch.no_grad()
def test_letters_that_merge_with_a_mark_are_read_in_every_way(merging: Any) -> None:
    """As the answer is segmented (`>A`), as a token of its own after `>`, and after a blank: each with its own mass."""
    model = random_model("olmo2", merging)
    opened = "<bos><|user|> Is A: the hat or B: the banana better?<|end|><|assistant|> <answer>"
    ends = {WHOLE: (opened[:-1], (">A", ">B")), APART: (opened, ("A", "B")), SPACED: (opened, (" A", " B"))}
    found = ask(model, merging, NAMES, LETTERS, [(0, 1), (2, 3)], 3)
    assert set(found.otherwise) == {APART, SPACED}
    read = {WHOLE: (found.edges.chosen, found.mass), **found.otherwise}
    for way, (before, named) in ends.items():
        one, other = (merging(text, add_special_tokens=False).input_ids for text in named)
        assert len(one) == len(other) == 1
        ids = merging(before, add_special_tokens=False).input_ids
        logits = model(torch.tensor([ids])).logits[0, -1].double()
        both = torch.softmax(logits, dim=-1)[[one[0], other[0]]]
        assert float(read[way][0][0]) == pytest.approx(float(both[0] / both.sum()), abs=1e-5)
        assert float(read[way][1][0]) == pytest.approx(float(both.sum()), rel=1e-4)
    assert len({round(float(mass[0]), 9) for _, mass in read.values()}) == 3


def test_ways_of_reading_are_the_same_where_segmentation_makes_no_difference(merging: Any, tokenizer: Any) -> None:
    texts = ["I say. Answer: A", "I say. Answer: B"]
    ways = segmented(merging, texts, ["A", "B"])
    assert ways[WHOLE] == ways[SPACED] != ways[APART]
    assert [merging.decode(ids) for way in ways.values() for ids in way] == texts * 3
    plain = segmented(tokenizer, ["<answer>A", "<answer>B"], ["A", "B"])
    assert plain[WHOLE] == plain[APART] != plain[SPACED]
    assert set(segmented(tokenizer, ["the hat", "the owl"], ["the hat", "the owl"])) == {WHOLE}


@torch.no_grad()
def test_sequences_that_share_all_but_the_last_token_are_read_once(model: Any, tokenizer: Any) -> None:
    """The same numbers as one by one, and one forward pass for both letters."""
    ids = tokenizer("The color of the banana is yellow.").input_ids
    several = [[*ids, 7], [*ids, 9], ids[:5], [ids[0]]]
    begins = [len(ids), 3, 2, 1]
    rows: list[int] = []
    handle = model.register_forward_pre_hook(lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True)
    together = continuation_logprobs(model, tokenizer, several, begins, 8)
    handle.remove()
    alone = [
        float(continuation_logprobs(model, tokenizer, [one], [begin], 8)[0]) for one, begin in zip(several, begins, strict=True)
    ]
    assert rows == [2] and together == pytest.approx(alone, abs=1e-4) and alone[3] == 0


@pytest.mark.parametrize(
    ("text", "options", "found"),
    [
        ("I prefer A.", ["A", "B"], 0),
        ("It is a matter of taste: B", ["A", "B"], 1),  # the article is no vote
        ("A or B? Both.", ["A", "B"], None),
        ("A puppy makes me feel better.", ["A", "B"], None),  # may be an article
        ("**A**", ["A", "B"], 0),
        ("_B_: A kitten.", ["A", "B"], None),
        ("Neither.", ["A", "B"], None),
        ("The red hat, of course.", ["the hat", "the red hat"], 1),
        ("I prefer THE KITE.", ["the hat", "the kite"], 1),
        ("I prefer the hats.", ["the hat", "the kite"], None),
    ],
)
def test_an_answer_chooses_what_it_names(text: str, options: list[str], found: int | None) -> None:
    assert chosen_option(text, options) == found


def test_an_answer_in_the_form_that_was_asked_for_chooses_what_stands_there() -> None:
    assert chosen_option("A is a kitten, B a puppy. Answer: **B**, a puppy", ["A", "B"], "Answer:") == 1
    assert chosen_option("Answer: A kitten or B?", ["A", "B"], "Answer:") == 0
    assert chosen_option("Answer: both, A and B.", ["A", "B"], "Answer:") is None
    assert chosen_option("I prefer the red hat to the hat.", ["the hat", "the red hat"], "I prefer") == 1


def test_a_choice_stands_after_the_reasoning() -> None:
    marks = {"open": "<think>", "close": "</think>", "opened_by_template": False}
    assert concluded("<think>A? B?</think> B", marks) == " B"
    assert concluded("<think>A? B?", marks) == "" and concluded("B", marks) == "B" == concluded("B", None)
    assert concluded("A? B?", marks | {"opened_by_template": True}) == ""


def said_aloud(model: Any, tokenizer: Any, pairs: list[tuple[int, int]], seed: int) -> list[list[set[str]]]:
    """The words of each answer that the model ended itself."""
    prompts = [[{"role": "user", "content": NAMED.question.format(a=NAMES[a], b=NAMES[b])}] for a, b in pairs]
    given = answers(model, tokenizer, prompts, samples=60, temperature=1.0, max_new_tokens=150, batch_size=8, seed=seed)
    return [[set(re.findall(r"[^\W_]+", one.text.lower())) for one in texts if one.finished] for texts in given]


def two_words(said: list[list[set[str]]]) -> list[str]:
    """The two that the model says most often."""
    common = Counter(word for texts in said for found in texts for word in found if len(word) > 1)
    return sorted(sorted(common), key=lambda word: -common[word])[:2]


def test_sampled_answers_are_counted(model: Any, tokenizer: Any) -> None:
    """The options are two words that the model does say; an independent count of the same answers."""
    pairs, sampling = [(0, 1), (2, 3)], Preferences(framings=[NAMED, NAMED], samples=60, max_new_tokens=150)
    words = said_aloud(model, tokenizer, pairs, 7)
    first, second = two_words(words)
    framing = Framing(question=NAMED.question, options=[first, second], valence=-1)
    found = ask_aloud(model, tokenizer, NAMES, framing, pairs, sampling, 8, 7)
    for row, texts in enumerate(words):
        votes = [first in said for said in texts if (first in said) != (second in said)]
        assert found.mass[row] == pytest.approx(len(votes) / 60) and found.edges.weight[row] == len(votes)
        assert found.edges.chosen[row] == pytest.approx(1 - np.mean(votes) if votes else 0.5)
    assert found.mass.max() > 0


def test_framings_draw_their_own_noise(model: Any, tokenizer: Any) -> None:
    """The same question twice is sampled twice, and the same way for every model."""
    marks = {"open": "<t>", "close": "</t>", "opened_by_template": False}
    pairs = [(0, 1), (2, 3)]
    framing = Framing(question=NAMED.question, options=two_words(said_aloud(model, tokenizer, pairs, 7)))
    asked = Preferences(framings=[framing, framing], partners=1, samples=60, max_new_tokens=150)
    table = choices(model, tokenizer, NAMES, pairs, asked, 400, marks)
    assert table.equals(choices(model, tokenizer, NAMES, pairs, asked, 400, marks))
    one, other = (rows["votes"].tolist() for _, rows in table.groupby("framing"))
    assert max(one) > 0 and one != other
    assert table[["in_slot_a", "in_slot_b"]].to_numpy().tolist()[2] == ["the banana", "the hat"]


def test_options_that_begin_alike_are_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(InputError, match="'the hat' and 'the hat the owl' begin alike"):
        ask(model, tokenizer, ["the hat", "the hat the owl"], NAMED, [(0, 1)], 2)


def test_what_is_liked_less_is_turned_round(model: Any, tokenizer: Any) -> None:
    same_words = WORSE.model_copy(update={"valence": 1})
    one, turned = (ask(model, tokenizer, NAMES, framing, [(0, 1)], 4).edges.chosen for framing in (WORSE, same_words))
    assert one == pytest.approx(1 - turned)


@torch.no_grad()
def test_continuations_are_the_models_own_loss(model: Any, tokenizer: Any) -> None:
    ids = tokenizer("The color of the banana is yellow.").input_ids
    whole = float(model(torch.tensor([ids]), labels=torch.tensor([ids])).loss) * (len(ids) - 1)
    found = continuation_logprobs(model, tokenizer, [ids, ids[:4]], [1, 3], 2)
    assert found[0] == pytest.approx(-whole, rel=1e-4) and found[1] < 0


def panel(model: Any, tokenizer: Any, asked: Preferences, reasoning: dict[str, Any] | None = None) -> list[Sampled]:
    pairs = design(len(NAMES), asked.partners, asked.seed)
    return readings(choices(model, tokenizer, NAMES, pairs, asked, 8, reasoning), len(NAMES), asked)


def test_the_panel_holds_every_measure_with_its_floor(model: Any, tokenizer: Any) -> None:
    sampled = panel(model, tokenizer, Preferences(framings=[LETTERS, WORSE], partners=1, rounds=2))
    found = [one.reading for one in sampled]
    named = {(one.metric, one.variant) for one in found}
    for fitted in ("one_order", "averaged", "intercept"):
        assert ("decisiveness", f"fit={fitted}") in named and ("noise_floor", f"fit={fitted}") in named
        assert ("sampling_floor", f"fit={fitted}") not in named
    assert ("slot_floor", "fit=one_order") in named
    for way in (APART, SPACED):
        assert (f"decisiveness{way}", "fit=intercept") in named
        assert {(f"option_mass{way}", "framing=0"), (f"option_mass{way}", "framing=1")} <= named
    assert all(one.stderr >= 0 for one in found if one.metric == "noise_floor")
    replicates = Counter(one.reading.variant for one in sampled if one.resampled and len(one.parts) == 2)
    assert replicates == {"fit=one_order": 1, "fit=averaged": 1, "fit=intercept": 3}  # there letters are read in three ways
    assert {"order_consistency", "option_mass", "slot_intercept"} <= {metric for metric, _ in named}
    assert all(0 <= one.value <= 1 for one in found if one.metric in ("decisiveness", "order_consistency"))


def test_sampled_choices_have_a_floor_of_their_own(model: Any, tokenizer: Any) -> None:
    """A model that never chooses is indifferent, with nothing to read its floor from; the mass says so."""
    marks = {"open": "<t>", "close": "</t>", "opened_by_template": True}
    asked = Preferences(framings=[NAMED, NAMED], partners=1, rounds=2, samples=2, max_new_tokens=3)
    found = {(one.reading.metric, one.reading.variant): one.reading.value for one in panel(model, tokenizer, asked, marks)}
    assert found["option_mass", "framing=0"] == 0 and found["sampling_floor", "fit=intercept"] == pytest.approx(0, abs=1e-6)
    assert found["decisiveness", "fit=intercept"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": ["a", "b", "a", "c", "d"]}, "'a' stands twice"),
        ({"items": ["a", "b", "c"]}, "partners is 3, but there are only 3 items"),
    ],
)
def test_items_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preferences(**({"framings": [NAMED, NAMED]} | change))


def test_a_framing_must_name_both_items() -> None:
    with pytest.raises(ValueError, match="lacks {b}"):
        Framing(question="Do you like {a}?")
