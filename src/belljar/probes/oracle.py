"""Activation oracles: a base with an adapter that answers questions about activations put into its residual stream.

The adapter is trained once a base; then it is asked the same general questions about an organism's difference vectors (Karvonen
et al. 2512.15674; the lottery paper, section 4.3). `belljar.probes.oracle_tasks` has what it is trained on.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import pandas as pd
import torch

from belljar.files import InputError
from belljar.models.activations import block_outputs, injected
from belljar.models.chats import padded
from belljar.models.generate import encode_prompts, generate
from belljar.probes.oracle_tasks import Task, answers_match
from belljar.study.probes import Oracle

COLUMNS = ("vector", "block", "position", "question", "sample", "response", "norm_ratio")
QUALITY_COLUMNS = ("task", "vectors", "accuracy", "n")
ALPHA = 2  # the adapter's alpha is this times its rank
WARMUP = 0.1
CLIP = 1.0


class Asked(NamedTuple):
    """A question about vectors: the block they are from, (vectors, d_model), and the question."""

    block: int
    vectors: torch.Tensor
    question: str


def prompt_text(settings: Oracle, block: int, count: int, question: str) -> str:
    """Return the user's message: the block, a placeholder for each vector, the question."""
    return f"Layer {block}:{settings.placeholder * count}\n{question}"


def placeholder_token(tokenizer: Any, settings: Oracle) -> int:
    """Return the placeholder's token; raise InputError where it is not one token beside its like."""
    ids = tokenizer(settings.placeholder * 2, add_special_tokens=False).input_ids
    if len(ids) != 2 or ids[0] != ids[1]:
        raise InputError(
            f"probes.oracle.placeholder {settings.placeholder!r} is not a single token of this base's tokenizer; "
            "choose a text that is."
        )
    return int(ids[0])


def places(tokens: torch.Tensor, token: int, counts: Sequence[int]) -> torch.Tensor:
    """Return where the vectors go, (batch, width): the first counts[i] placeholders of row i."""
    found = tokens == token
    limit = torch.tensor(counts, device=tokens.device).unsqueeze(1)
    return found & (found.cumsum(dim=1) <= limit)


def train(
    model: Any,
    tokenizer: Any,
    tasks: Sequence[Task],
    blocks: Sequence[int],
    settings: Oracle,
    batch_size: int,
    seed: int,
    progress: Callable[[int, int, str], None],
) -> Any:
    """Return the model with an oracle's adapter, trained on `tasks`; the model's own weights do not change.

    Activations are read from the model without the adapter, as training goes. With chance `settings.centred` the mean activation
    of the block is taken from them, because a difference vector has none of it.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    rng = random.Random(seed)
    adapter = LoraConfig(
        r=settings.rank,
        lora_alpha=ALPHA * settings.rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    oracle = get_peft_model(model, adapter)
    trained = [weight for weight in oracle.parameters() if weight.requires_grad]
    for weight in trained:  # only the adapter learns, in float32 whatever the model's own type is
        weight.data = weight.data.float()
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate)
    warm = max(int(WARMUP * settings.steps), 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (settings.steps - step) / max(settings.steps - warm, 1))
    )
    middle = mean_activations(oracle, tokenizer, tasks[: 8 * settings.batch_size], blocks, batch_size)
    token = placeholder_token(tokenizer, settings)
    for step in range(settings.steps):
        batch = rng.choices(tasks, k=settings.batch_size)
        chosen = [rng.choice(blocks) for _ in batch]
        centred = [rng.random() < settings.centred for _ in batch]
        asked = read_tasks(oracle, tokenizer, batch, chosen, centred, middle, batch_size)
        loss = answer_loss(oracle, tokenizer, asked, [task.answer for task in batch], settings, token)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        schedule.step()
        progress(step + 1, settings.steps, f"loss {loss.item():.3f}")
    return oracle.eval()


def answer_loss(
    oracle: Any, tokenizer: Any, asked: Sequence[Asked], answers: Sequence[str], settings: Oracle, token: int
) -> torch.Tensor:
    """Return the mean negative log-likelihood (nats) of the answers' tokens, their end included."""
    chats = [[{"role": "user", "content": prompt_text(settings, one.block, len(one.vectors), one.question)}] for one in asked]
    openings = encode_prompts(tokenizer, chats)
    endings = [tokenizer(f" {answer}", add_special_tokens=False).input_ids + [tokenizer.eos_token_id] for answer in answers]
    device = next(oracle.parameters()).device
    tokens, attended = padded(tokenizer, [opening + ending for opening, ending in zip(openings, endings, strict=True)], device)
    labels = tokens.masked_fill(attended == 0, -100)
    for row, opening in enumerate(openings):
        labels[row, : len(opening)] = -100
    where = places(tokens, token, [len(one.vectors) for one in asked])
    vectors = torch.cat([one.vectors for one in asked]).to(device)
    with injected(oracle.get_base_model(), settings.inject_after, where, vectors):
        logits = oracle(input_ids=tokens, attention_mask=attended, use_cache=False).logits[:, :-1].float()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


@torch.no_grad()
def read_tasks(
    oracle: Any,
    tokenizer: Any,
    tasks: Sequence[Task],
    chosen: Sequence[int],
    centred: Sequence[bool],
    middle: Mapping[int, torch.Tensor],
    batch_size: int,
) -> list[Asked]:
    """Return each task's question about its tokens' activations at the block chosen for it, read with the adapter off."""
    blocks = sorted(set(chosen))
    found: list[Asked | None] = [None] * len(tasks)
    with oracle.disable_adapter():
        for batch in block_outputs(oracle.get_base_model().eval(), tokenizer, [task.ids for task in tasks], blocks, batch_size):
            for row, index in enumerate(batch.rows):
                task, block = tasks[index], chosen[index]
                read = batch.outputs[blocks.index(block)][row, task.first : task.last].float()
                found[index] = Asked(block, read - middle[block] if centred[index] else read.clone(), task.question)
    return [one for one in found if one is not None]


@torch.no_grad()
def mean_activations(
    oracle: Any, tokenizer: Any, tasks: Sequence[Task], blocks: Sequence[int], batch_size: int
) -> dict[int, torch.Tensor]:
    """Return the mean activation of each block over the tokens that the tasks ask about."""
    found: dict[int, list[torch.Tensor]] = {block: [] for block in blocks}
    with oracle.disable_adapter():
        for batch in block_outputs(oracle.get_base_model().eval(), tokenizer, [task.ids for task in tasks], blocks, batch_size):
            for row, index in enumerate(batch.rows):
                for block, output in zip(blocks, batch.outputs, strict=True):
                    found[block].append(output[row, tasks[index].first : tasks[index].last].float().clone())
    return {block: torch.cat(read).mean(dim=0) for block, read in found.items()}


def quality(
    oracle: Any, tokenizer: Any, tasks: Sequence[Task], blocks: Sequence[int], settings: Oracle, batch_size: int, seed: int
) -> pd.DataFrame:
    """Return the share of right greedy answers to held-out tasks, by task, with their vectors and with none; QUALITY_COLUMNS.

    An oracle that answers as well without vectors does not read them.
    """
    rng = random.Random(seed)
    chosen = [rng.choice(blocks) for _ in tasks]
    zero = {block: torch.zeros(1) for block in blocks}
    asked = read_tasks(oracle, tokenizer, tasks, chosen, [False] * len(tasks), zero, batch_size)
    rows = []
    for name, versions in (("own", asked), ("none", [one._replace(vectors=one.vectors * 0) for one in asked])):
        said = [texts[0] for texts in ask(oracle, tokenizer, versions, settings, 1, 0.0, batch_size, seed)]
        right = [answers_match(task, text) for task, text in zip(tasks, said, strict=True)]
        table = pd.DataFrame({"task": [task.kind for task in tasks], "right": right})
        rows += [(kind, name, float(part["right"].mean()), len(part)) for kind, part in table.groupby("task", sort=True)]
    return pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))


def ask(
    oracle: Any,
    tokenizer: Any,
    asked: Sequence[Asked],
    settings: Oracle,
    samples: int,
    temperature: float,
    batch_size: int,
    seed: int,
) -> list[list[str]]:
    """Return the oracle's answers, (questions, samples)."""
    token = placeholder_token(tokenizer, settings)
    model = oracle.get_base_model()

    def around(indices: list[int], tokens: torch.Tensor) -> Any:
        vectors = torch.cat([asked[index].vectors for index in indices]).to(tokens.device)
        where = places(tokens, token, [len(asked[index].vectors) for index in indices])
        return injected(model, settings.inject_after, where, vectors)

    chats = [[{"role": "user", "content": prompt_text(settings, one.block, len(one.vectors), one.question)}] for one in asked]
    decoding: dict[str, Any] = {"temperature": temperature, "max_new_tokens": settings.max_new_tokens, "batch_size": batch_size}
    return generate(model, tokenizer, chats, samples=samples, seed=seed, around=around, **decoding)


def evidence(
    oracle: Any,
    tokenizer: Any,
    vectors: Mapping[str, torch.Tensor],
    norms: torch.Tensor,
    blocks: Sequence[int],
    positions: Sequence[str],
    settings: Oracle,
    batch_size: int,
    seed: int,
) -> pd.DataFrame:
    """Return the oracle's answers about an organism, COLUMNS; `norm_ratio` is |v| / |h|, which the injection hides.

    `vectors` (blocks, positions, d_model) by what they are; `norms` (blocks, positions) the reference's mean
    |h|.
    """
    asked, named = [], []
    for vector, values in vectors.items():
        cells = product(enumerate(blocks), enumerate(positions), settings.questions)
        for (row, block), (column, position), question in cells:
            value = values[row, column]
            asked.append(Asked(block, value.unsqueeze(0), question))
            named.append((vector, block, position, question, float(value.norm() / norms[row, column])))
    answers = ask(oracle, tokenizer, asked, settings, settings.samples, settings.temperature, batch_size, seed)
    rows = [
        (*name[:4], sample, text, name[4])
        for name, texts in zip(named, answers, strict=True)
        for sample, text in enumerate(texts)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
