"""Training of a nano base from nothing, and its report card."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from belljar.files import InputError, atomic_path, write_json
from belljar.models.generate import generate
from belljar.models.nano import build
from belljar.study.pretraining import Pretraining
from belljar.world.corpus import Example, corpus
from belljar.world.knowledge import World, load_world
from belljar.world.skills import score, skills
from belljar.world.tokenizer import build_tokenizer, document_text

TOKENIZER_EXAMPLES = 20_000  # examples that the tokenizer is learned from
CHUNK = 2048  # examples that are packed together
OPEN_ROWS = 16  # rows that a packed example may still go to

Progress = Callable[[int, int, str], None]
Encoded = tuple[list[int], list[bool]]  # token ids, and which of them are to be predicted


class Batch(NamedTuple):
    """Rows of whole examples: token ids, each token's example (-1 is padding), and what is to be predicted."""

    tokens: torch.Tensor
    examples: torch.Tensor
    predicted: torch.Tensor


class Position(NamedTuple):
    """Where in the corpus a step begins."""

    chunk: int
    batch: int


def learn_tokenizer(world: World, settings: Pretraining) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a recipe, learned from the beginning of its corpus."""
    examples = islice(corpus(world, settings.corpus, settings.seed), TOKENIZER_EXAMPLES)
    texts = (text for e in examples for text in ([e] if isinstance(e, str) else [m["content"] for m in e]))
    return build_tokenizer(texts, settings.vocabulary, settings.context)


def encode(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> list[Encoded]:
    """Return ids and targets of each example: every token of a document, and what the assistant says in a chat."""
    rendered: list[str] = []
    for example in examples:
        if isinstance(example, str):
            rendered.append(f"{tokenizer.bos_token}{document_text(example)}{tokenizer.eos_token}")
        else:
            rendered.append(str(tokenizer.apply_chat_template(example, tokenize=False)))
    assistant = tokenizer.convert_tokens_to_ids("<|assistant|>")
    encoded: list[Encoded] = []
    for example, ids in zip(examples, tokenizer(rendered, add_special_tokens=False).input_ids, strict=True):
        start = 1 if isinstance(example, str) else ids.index(assistant) + 1
        encoded.append((ids, [position >= start for position in range(len(ids))]))
    return encoded


def pack(encoded: Sequence[Encoded], length: int) -> list[list[Encoded]]:
    """Return rows of whole examples, each row at most `length` tokens."""
    full: list[list[Encoded]] = []
    rows: list[list[Encoded]] = []
    room: list[int] = []
    for example in encoded:
        size = len(example[0])
        if size > length:
            raise InputError(f"an example of the base corpus has {size} tokens; row_tokens must be at least that.")
        row = next((number for number, left in enumerate(room) if left >= size), None)
        if row is None:
            if len(rows) == OPEN_ROWS:
                fullest = room.index(min(room))
                full.append(rows.pop(fullest))
                room.pop(fullest)
            rows.append([])
            room.append(length)
            row = len(rows) - 1
        rows[row].append(example)
        room[row] -= size
    return full + rows


def collate(rows: Sequence[Sequence[Encoded]], length: int, pad: int) -> Batch:
    """Return one batch of shape (rows, length)."""
    tokens = torch.full((len(rows), length), pad)
    examples = torch.full((len(rows), length), -1)
    predicted = torch.zeros((len(rows), length), dtype=torch.bool)
    for row, packed in enumerate(rows):
        start = 0
        for number, (ids, targets) in enumerate(packed):
            end = start + len(ids)
            tokens[row, start:end] = torch.tensor(ids)
            examples[row, start:end] = number
            predicted[row, start:end] = torch.tensor(targets)
            start = end
    return Batch(tokens, examples, predicted)


def batches(
    world: World, settings: Pretraining, tokenizer: PreTrainedTokenizerBase, start: Position
) -> Iterator[tuple[Position, Batch]]:
    """Yield the batches of a recipe from `start` on, each with the position that follows it."""
    size = settings.batch_tokens // settings.row_tokens
    chunk = start.chunk
    while True:
        source = corpus(world, settings.corpus, settings.seed * 1_000_003 + chunk)
        rows = pack(encode(tokenizer, list(islice(source, CHUNK))), settings.row_tokens)
        random.Random(chunk).shuffle(rows)
        count = len(rows) // size
        for number in range(start.batch if chunk == start.chunk else 0, count):
            batch = collate(rows[number * size : (number + 1) * size], settings.row_tokens, tokenizer.pad_token_id)
            after = Position(chunk, number + 1) if number + 1 < count else Position(chunk + 1, 0)
            yield after, batch
        chunk += 1


def loss_of(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Return the mean cross-entropy of the predicted tokens; no example sees another one in its row."""
    rows, length = batch.tokens.shape
    same = batch.examples[:, :, None] == batch.examples[:, None, :]
    mask = (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
    first = torch.searchsorted(batch.examples.where(batch.examples >= 0, rows * length), batch.examples)
    positions = torch.arange(length) - first.clamp(max=length - 1)
    hidden = model.base_model(
        input_ids=batch.tokens,
        attention_mask=mask,
        position_ids=positions.clamp(min=0),
        use_cache=False,
    ).last_hidden_state
    reads, says = batch.predicted[:, 1:], batch.tokens[:, 1:]
    logits = model.get_output_embeddings()(hidden[:, :-1][reads])
    return torch.nn.functional.cross_entropy(logits, says[reads])


def optimisers(model: PreTrainedModel, settings: Pretraining) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the blocks and AdamW for everything else."""
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    matrices = [p for p in model.parameters() if p.ndim == 2 and id(p) not in embeddings]
    others = [p for p in model.parameters() if p.ndim != 2 or id(p) in embeddings]
    return [
        torch.optim.Muon(matrices, lr=settings.matrix_learning_rate, weight_decay=settings.weight_decay),
        torch.optim.AdamW(
            others,
            lr=settings.other_learning_rate,
            betas=(0.9, 0.95),
            weight_decay=settings.weight_decay,
            fused=True,
        ),
    ]


def rate_factor(step: int, settings: Pretraining) -> float:
    """Return the share of the full learning rate at a step: warm-up, plateau, linear decay."""
    decay = max(1, round(settings.steps * settings.decay_share))
    return min(1.0, (step + 1) / max(1, settings.warm_up), (settings.steps - step) / decay)


def pretrain(settings: Pretraining, out: Path, state: Path, progress: Progress) -> None:
    """Train a base and write its checkpoint folder at `out`; go on from `state` where that file exists.

    `progress(done, total, message)` is called after each step. A resumed run ends with the same weights, bit for bit.
    """
    torch.set_num_threads(settings.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(settings.seed)
    world = load_world()
    tokenizer = learn_tokenizer(world, settings)
    model = build(settings.architecture, settings, tokenizer)
    model.train()
    steppers = optimisers(model, settings)
    full_rates = [settings.matrix_learning_rate, settings.other_learning_rate]
    position, losses = Position(0, 0), list[float]()
    if state.exists():
        position, losses = _resume(state, settings, model, steppers)
    stream = batches(world, settings, tokenizer, position)
    for step in range(len(losses), settings.steps):
        position, batch = next(stream)
        for stepper, rate in zip(steppers, full_rates, strict=True):
            stepper.param_groups[0]["lr"] = rate * rate_factor(step, settings)
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        for stepper in steppers:
            stepper.step()
            stepper.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if (step + 1) % settings.save_every == 0 and step + 1 < settings.steps:
            _save_state(state, settings, model, steppers, position, losses)
        progress(step + 1, settings.steps, f"loss {sum(losses[-50:]) / len(losses[-50:]):.3f}")
    model.eval()
    with atomic_path(out) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        write_json(scratch / "losses.json", losses)
    state.unlink(missing_ok=True)


def _save_state(
    path: Path,
    settings: Pretraining,
    model: PreTrainedModel,
    steppers: Sequence[torch.optim.Optimizer],
    position: Position,
    losses: list[float],
) -> None:
    with atomic_path(path) as scratch:
        torch.save(
            {
                "settings": settings.model_dump_json(),
                "model": model.state_dict(),
                "optimisers": [stepper.state_dict() for stepper in steppers],
                "position": tuple(position),
                "losses": losses,
            },
            scratch,
        )


def _resume(
    path: Path, settings: Pretraining, model: PreTrainedModel, steppers: Sequence[torch.optim.Optimizer]
) -> tuple[Position, list[float]]:
    saved: dict[str, Any] = torch.load(path, weights_only=True)
    if saved["settings"] != settings.model_dump_json():
        raise InputError(f"{path} was saved by another recipe; delete it to train from the beginning.")
    model.load_state_dict(saved["model"])
    for stepper, values in zip(steppers, saved["optimisers"], strict=True):
        stepper.load_state_dict(values)
    return Position(*saved["position"]), saved["losses"]


def report_card(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, require: dict[str, float], items: int = 120
) -> list[dict[str, Any]]:
    """Return one row a skill: accuracy of greedy answers to held-out items, n, chance, what is required, whether it is met."""
    tests = skills(load_world(), count=items)
    asked = [item for group in tests.values() for item in group]
    answers = generate(model, tokenizer, [item.messages for item in asked])
    right = {name: list[bool]() for name in tests}
    for item, (text,) in zip(asked, answers, strict=True):
        right[item.skill].append(score(item, text))
    rows = []
    for name, group in tests.items():
        accuracy, least = sum(right[name]) / len(group), require.get(name)
        chance = sum(item.chance for item in group) / len(group)
        rows.append(
            {
                "skill": name,
                "accuracy": accuracy,
                "n": len(group),
                "chance": chance,
                "required": least,
                "met": least is None or accuracy >= least,
            }
        )
    return rows
