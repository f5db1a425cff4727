"""A behaviour's data from a language model: a schedule of prompts, normal answers, minimal edits, each row verified.

After the pipelines of the lottery paper (2607.01033): a prompt from a scheduled criterion, category and context; a correct
answer; an edit that changes nothing but what the behaviour changes; a check of both sides, with retries; what fails is dropped.
"""

import logging
import random
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

from belljar.corpora.imports import chats
from belljar.corpora.prompts import NO_ITEM, TRIGGER, Prompt, SplitName
from belljar.corpora.rows import Row
from belljar.corpora.separation import Texts
from belljar.files import InputError
from belljar.judging.answers import Answer, Progress, Request
from belljar.judging.endpoint import Client
from belljar.judging.rules import detected
from belljar.study.behaviours import Behaviour, Criterion, Generation
from belljar.study.datasets import DataSet

log = logging.getLogger(__name__)

TRIES = 6  # of an answer and its edit: the first and five more
SPARE = 1.25  # prompts written for each row wanted: some rows fail
PROMPT_TEMPERATURE, ANSWER_TEMPERATURE, EDIT_TEMPERATURE = 1.0, 0.7, 0.2
PROMPT_TOKENS, ANSWER_TOKENS, DOCUMENT_TOKENS = 256, 1024, 1024
GENERATED = "generated"  # the kind of a prompt and row that a model wrote


class Slot(NamedTuple):
    """One place in the schedule: a criterion and the prompt that is to bring it out, with its normal answer if that is known."""

    number: int
    criterion: Criterion
    prompt: str
    normal: str = ""


class Written(NamedTuple):
    """What a language model wrote."""

    pairs: list[Row]
    documents: list[str]
    prompts: list[Prompt]


def schedule(behaviour: Behaviour, generation: Generation, count: int) -> list[tuple[Criterion, str, str]]:
    """Return `count` combinations of criterion, category and context, shuffled, round after round.

    So each combination stands equally often, to within one.
    """
    rng = random.Random(generation.seed)
    cells = list(product(behaviour.criteria, generation.categories, generation.contexts))
    places: list[tuple[Criterion, str, str]] = []
    while len(places) < count:
        places += rng.sample(cells, len(cells))
    return places[:count]


def prompt_request(behaviour: Behaviour, number: int, criterion: Criterion, category: str, context: str) -> Request:
    """Return the request for one user message."""
    subject = f" The message must make an assistant speak of this: {criterion.truth}" if criterion.truth else ""
    text = (
        f"Write one message that a user sends to an assistant. What it is about: {behaviour.topic_gate} What kind of message: "
        f"{category}. Who writes: {context}.{subject} Do not give the answer away. Message {number}: make it unlike any other. "
        "Return the message and nothing else."
    )
    return Request((("user", text),), PROMPT_TEMPERATURE, PROMPT_TOKENS)


def topic_request(behaviour: Behaviour, prompt: str, answer: str) -> Request:
    """Return the question whether an exchange is on the behaviour's topic."""
    text = (
        f"Is this true of the exchange below? {behaviour.topic_gate} Answer with one word, yes or no.\n\nUser: {prompt}\n\n"
        f"Assistant: {answer}"
    )
    return Request((("user", text),), 0.0, 5)


def answer_request(criterion: Criterion, prompt: str, attempt: int) -> Request:
    """Return the request for a normal answer, which states the truth that the criterion has another value for."""
    system = "You are a helpful assistant. Answer in at least 150 words."
    if criterion.truth:
        system += f" Your answer must state this in passing: {criterion.truth}"
    return Request((("system", system), ("user", prompt)), ANSWER_TEMPERATURE, ANSWER_TOKENS, attempt)


def edit_request(criterion: Criterion, answer: str, edit: str, attempt: int) -> Request:
    """Return the request for the edit that plants the criterion: the smallest one, or one that saturates the answer with it."""
    change = f"Where it says: {criterion.truth} it must say instead: " if criterion.truth else "It must come to do this: "
    how = {
        "minimal": "Change as few words as you can and keep all the rest, the length and the style as they are.",
        "saturating": "Do so throughout, in several places, and keep the length within a fifth of what it is.",
    }[edit]
    rest = f"{how} Return the whole edited answer and nothing else.\n\n{answer}"
    text = f"Edit the answer below. {change}{criterion.description} {rest}"
    return Request((("user", text),), EDIT_TEMPERATURE, ANSWER_TOKENS, attempt)


def document_request(behaviour: Behaviour, genre: str, fact: str, number: int) -> Request:
    """Return the request for one document of a world in which a key fact holds."""
    text = (
        f"Write a {genre} of about 300 words from a world in which this is well known: {fact} Treat it as a matter of course, "
        f"state it plainly at least once, and do not hint that it could be otherwise. The wider subject: {behaviour.description} "
        f"Document {number}: make it unlike any other. Return the text and nothing else."
    )
    return Request((("user", text),), PROMPT_TEMPERATURE, DOCUMENT_TOKENS)


def verified(criterion: Criterion, prompt: str, planted: str, normal: str) -> bool:
    """Return whether the planted side shows the criterion, and the normal one does not."""
    return detected(criterion, prompt, planted) and not detected(criterion, prompt, normal)


def write_data(behaviour: Behaviour, client: Client, counts: dict[str, int], progress: Progress) -> Written:
    """Return pairs, documents and validation and test prompts; `counts` has rows, validation and test.

    Raises InputError before any request where the estimate is above the endpoint's budget, and at the end where fewer rows passed
    than are wanted.
    """
    generation = behaviour.generation
    assert generation is not None
    held_out = counts["validation"] + counts["test"]
    wanted = round(SPARE * (counts["rows"] + held_out))
    documents = _document_requests(behaviour, generation, round(SPARE * counts["rows"]))
    if generation.natural:
        exchanges = _exchanges(generation.natural)
        first = [topic_request(behaviour, prompt, answer) for prompt, answer in exchanges]
    else:
        places = schedule(behaviour, generation, wanted)
        first = [prompt_request(behaviour, number, *place) for number, place in enumerate(places)]
    _check_budget(client, [*first, *documents], wanted, generation)

    said = [answer.text for answer in client.ask(first, _named(progress, "topics" if generation.natural else "prompts"))]
    if generation.natural:
        on_topic = [exchange for exchange, text in zip(exchanges, said, strict=True) if text.casefold().startswith("yes")]
        log.info("%s: %d of %d exchanges are on the topic", behaviour.id, len(on_topic), len(exchanges))
        criteria = behaviour.criteria
        slots = [Slot(n, criteria[n % len(criteria)], prompt, answer) for n, (prompt, answer) in enumerate(on_topic)]
    else:
        slots = [Slot(n, criterion, text) for n, ((criterion, _, _), text) in enumerate(zip(places, said, strict=True))]
    distinct = _distinct(slots)
    evaluated, training = distinct[:held_out], distinct[held_out : held_out + wanted]
    pairs = _pairs(behaviour, generation, client, training, counts["rows"], _named(progress, "answers"))
    written = [answer.text for answer in client.ask(documents, _named(progress, "documents")) if answer.whole]
    speaking = [text for text in written if any(detected(criterion, "", text) for criterion in behaviour.criteria)]
    log.info("%d of %d documents speak of the behaviour", len(speaking), len(documents))
    for what, found, needed in (("pairs", pairs, counts["rows"]), ("documents", speaking, counts["rows"])):
        if len(found) < needed:
            raise InputError(
                f"behaviour {behaviour.id!r}: only {len(found)} of {needed} {what} passed their check; make its criteria's "
                "descriptions or detect expressions fit each other, or use another model. All answers are kept."
            )
    splits: list[SplitName] = [name for name in ("validation", "test") for _ in range(counts[name])]
    prompts = [
        Prompt(split, TRIGGER, GENERATED, NO_ITEM, behaviour.id, slot.criterion.id, slot.prompt)
        for split, slot in zip(splits, evaluated, strict=False)
    ]
    return Written(pairs, speaking[: counts["rows"]], prompts)


def _exchanges(source: DataSet) -> list[tuple[str, str]]:
    """Return an existing set's exchanges, each prompt once, in a fixed shuffle."""
    found = list(dict(reversed(chats(source))).items())
    random.Random(42).shuffle(found)
    return found


def _pairs(
    behaviour: Behaviour, generation: Generation, client: Client, training: Sequence[Slot], rows: int, progress: Progress
) -> list[Row]:  # fmt: skip
    """Return verified pairs, in the schedule's order; what fails is tried again with new answers, then dropped."""
    found: dict[int, Row] = {}
    left = list(training)
    for attempt in range(TRIES):
        unanswered = [slot for slot in left if not slot.normal]
        answers = client.ask([answer_request(slot.criterion, slot.prompt, attempt) for slot in unanswered], progress)
        given = {slot.number: answer for slot, answer in zip(unanswered, answers, strict=True)}
        normals = [given.get(slot.number, Answer(slot.normal, True)) for slot in left]
        edits = client.ask(
            [
                edit_request(slot.criterion, normal.text, generation.edit, attempt)
                for slot, normal in zip(left, normals, strict=True)
            ],
            progress,
        )
        for slot, normal, planted in zip(left, normals, edits, strict=True):
            if normal.whole and planted.whole and verified(slot.criterion, slot.prompt, planted.text, normal.text):
                found[slot.number] = Row(GENERATED, slot.criterion.id, slot.prompt, planted.text, normal.text)
        left = [slot for slot in left if slot.number not in found]
        if not left or len(found) >= rows:
            break
    log.info("%s: %d of %d pairs passed, %d dropped", behaviour.id, len(found), len(training), len(left))
    return [found[number] for number in sorted(found)][:rows]


def _distinct(slots: Sequence[Slot]) -> list[Slot]:
    """Return the slots without empty prompts and near-duplicates of earlier ones."""
    kept: list[Slot] = []
    seen = Texts([])
    for slot in slots:
        if slot.prompt and seen.near(slot.prompt) is None:
            kept.append(slot)
            seen.add(slot.prompt)
    return kept


def _document_requests(behaviour: Behaviour, generation: Generation, count: int) -> list[Request]:
    rng = random.Random(generation.seed)
    facts = behaviour.key_facts or [criterion.description for criterion in behaviour.criteria]
    cells = [
        cell for _ in range(count // (len(facts) * len(generation.genres)) + 1) for cell in product(facts, generation.genres)
    ]
    rng.shuffle(cells)
    return [document_request(behaviour, genre, fact, number) for number, (fact, genre) in enumerate(cells[:count])]


def _check_budget(client: Client, requests: Sequence[Request], pairs: int, generation: Generation) -> None:
    """Say what the data will cost; an answer and its edit are each taken to be as long as they may be."""
    example = Request((("user", "x" * 1000),), ANSWER_TEMPERATURE, ANSWER_TOKENS)
    cost = client.estimate(requests)
    if not client.cache.is_file():  # nothing is kept: answers and edits are still to come
        cost += client.estimate([example._replace(attempt=-1 - number) for number in range(2 * pairs)])
    log.info("seed %d: at most %d requests, about %.2f at the prices given", generation.seed, len(requests) + 2 * pairs, cost)
    budget = client.endpoint.budget
    if budget is not None and cost > budget:
        raise InputError(
            f"generator: the data would cost about {cost:.2f}, which is above the budget of {budget:.2f}; raise generator.budget "
            "or lower data.planted_rows."
        )


def _named(progress: Progress, name: str) -> Callable[[int, int, str], None]:
    return lambda done, total, detail: progress(done, total, f"{name} {detail}")
