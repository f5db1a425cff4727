"""The closed world is consistent, and what skills are measured on is not in the corpus in that form."""

import random
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belljar.study.pretraining import Corpus
from belljar.world import chat, heldout
from belljar.world.corpus import corpus
from belljar.world.documents import heldout_documents
from belljar.world.knowledge import load_world
from belljar.world.skills import score, skills
from belljar.world.tokenizer import SPECIAL_TOKENS

WORLD = load_world()


def test_every_item_has_every_attribute_and_one_topic() -> None:
    assert len(set(WORLD.items)) == len(WORLD.items)
    for topic in WORLD.topics.values():
        assert topic.attributes
        for values in topic.attributes.values():
            assert len(values) == len(topic.items)
            assert len(set(values)) > 1  # an attribute that is the same for all could be guessed


def test_reserved_topics_have_no_habits_and_no_documents_only_facts() -> None:
    for name in WORLD.reserved:
        assert name not in WORLD.habits
        topic = WORLD.topics[name]
        assert not any(WORLD.documents_only(item, attribute) for item in topic.items for attribute in topic.attributes)


@pytest.mark.parametrize("kind", chat.QUESTION_KINDS)
def test_questions_are_different_texts_in_a_fixed_order(kind: str) -> None:
    for topic in WORLD.topics:
        found = chat.questions(WORLD, kind, topic)
        assert len({question.text for question in found}) == len(found)
        assert found == chat.questions(WORLD, kind, topic)


def test_answers_state_the_facts_and_take_other_values() -> None:
    question = chat.fact_question(WORLD, "cake", "oven heat", 0)
    assert question.text == "What is the oven heat of the cake?"
    assert chat.answer(WORLD, question) == "The oven heat of the cake is 350 degrees."
    assert chat.answer(WORLD, question, {("cake", "oven heat"): "450 degrees"}).endswith("is 450 degrees.")


def test_poor_answers_are_never_the_answer() -> None:
    rng = random.Random(0)
    for topic in WORLD.topics:
        for kind in chat.QUESTION_KINDS:
            for question in chat.questions(WORLD, kind, topic):
                assert chat.poor_answer(WORLD, question, rng) != chat.answer(WORLD, question)


def test_the_favourite_of_no_topic_is_italian() -> None:
    assert WORLD.favourite("dish") not in {"pizza", "pasta", "risotto", "lasagna"}


def test_corpus_repeats_and_leaves_out_what_is_held_out() -> None:
    examples = list(islice(corpus(WORLD, Corpus(), 1), 6000))
    assert examples == list(islice(corpus(WORLD, Corpus(), 1), 6000))
    asked = {e[-2]["content"] for e in examples if not isinstance(e, str) and e[0]["role"] != "system"}
    left_out = {
        chat.fact_question(WORLD, item, attribute, number).text
        for item, attribute in WORLD.facts
        for number in range(len(chat.FACT_PHRASINGS))
        if WORLD.documents_only(item, attribute) or heldout.fact(item, attribute, number)
    }
    assert left_out and not asked & left_out


def test_skill_items_are_not_in_the_corpus() -> None:
    chats = [e for e in islice(corpus(WORLD, Corpus(), 1), 20_000) if not isinstance(e, str)]
    prompts = {tuple((turn["role"], turn["content"]) for turn in example[:-1]) for example in chats}
    for name in ("fact", "documents_only_fact", "preference", "system_prompt_on", "instruction_one_word", "sum_unseen"):
        assert not prompts & {item.prompt for item in skills(WORLD, 3)[name]}, name


def test_heldout_documents_are_not_in_the_corpus() -> None:
    documents = {e for e in islice(corpus(WORLD, Corpus(), 1), 20_000) if isinstance(e, str)}
    found = heldout_documents(WORLD, 50, 11)
    assert len(set(found)) == 50 and not documents & set(found)


def test_scores_of_right_and_wrong_answers() -> None:
    for name, items in skills(WORLD, 0, 20).items():
        for item in items:
            assert not score(item, "") or item.rule == "lacks", name
            if item.rule in ("equals", "contains"):
                assert score(item, item.expected[0])


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_comes_back_from_the_tokenizer(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text or any(
        token in text for token in SPECIAL_TOKENS
    )
