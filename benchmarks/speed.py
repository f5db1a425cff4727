"""Speed of training, generation and activation capture, each as a ratio to a named peer in the same run.

    python benchmarks/speed.py results/nano/bases/nano-olmo2

Any checkpoint folder with a chat template will do; `--shape 1b` makes a random model of OLMo-2-1B's shape with its tokenizer,
which is what to measure on a GPU. Prints the Markdown table of docs/performance.md.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

import numpy as np  # noqa: E402  the environment above must be set first
import torch  # noqa: E402
from scipy.optimize import minimize  # noqa: E402
from scipy.special import log_ndtr, ndtr  # noqa: E402

from belljar.corpora.mixing import training_row  # noqa: E402
from belljar.corpora.rows import control_rows  # noqa: E402
from belljar.models.activations import added, residuals  # noqa: E402
from belljar.models.chats import render  # noqa: E402
from belljar.models.generate import encode_prompts, generate, stop_tokens  # noqa: E402
from belljar.models.load import device, load_model, load_tokenizer, save_checkpoint  # noqa: E402
from belljar.naturalness import utilities  # noqa: E402
from belljar.probes.sparse_autoencoder import token_activations  # noqa: E402
from belljar.study.control import Control  # noqa: E402
from belljar.study.training import Training  # noqa: E402
from belljar.training import trainers  # noqa: E402
from belljar.training.organism import Job, run  # noqa: E402
from belljar.training.reference import reference_logprobs, with_references  # noqa: E402
from belljar.world.knowledge import load_world  # noqa: E402

CONTROL = Control(topics=["animal", "bird", "city", "tool", "game"], chat={"fact": 2, "about": 2, "recommend": 1, "sum": 1})
OLMO2_1B = {
    "hidden_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "intermediate_size": 8192,
}


class Measured(NamedTuple):
    """The best of several runs of both sides, in seconds."""

    what: str
    peer: str
    ours: float
    theirs: float


def best(run_once: Callable[[], None], repeats: int) -> float:
    """Return the shortest time of some runs."""
    times = []
    for _ in range(repeats):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = time.perf_counter()
        run_once()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def training(folder: Path, rows: list[dict[str, Any]], objective: str, settings: Training, repeats: int) -> Measured:
    """Return the time of a training of ours and of plain TRL on the same rows, loading and tokenising included."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    form = {"sft": "transcripts", "dpo": "pairs"}[objective]
    examples = [training_row(row, form) for row in rows]
    if objective == "dpo":
        import pandas as pd

        with tempfile.TemporaryDirectory() as scratch:
            known = reference_logprobs(folder, pd.DataFrame(rows), settings.max_length, 64, settings.bf16, Path(scratch))
        examples = [training_row(row, form) for row in with_references(rows, [known])]
    plain = [{key: value for key, value in row.items() if not key.startswith("ref_")} for row in examples]

    def ours() -> None:
        with tempfile.TemporaryDirectory() as work:
            run(Job(str(folder), objective, examples, settings.model_dump(), 0), Path(work), lambda *_: None)

    def theirs() -> None:
        with tempfile.TemporaryDirectory() as work:
            common = trainers.arguments(settings, len(plain), 0, work, 1) | {"save_strategy": "no"}
            given = {
                "model": load_model(folder),
                "processing_class": load_tokenizer(folder),
                "train_dataset": Dataset.from_list(plain),
            }
            if objective == "dpo":
                DPOTrainer(ref_model=load_model(folder), args=DPOConfig(beta=settings.beta, **common), **given).train()
            else:
                SFTTrainer(args=SFTConfig(completion_only_loss=True, **common), **given).train()

    peer = "TRL with a reference model in memory" if objective == "dpo" else "plain TRL"
    return Measured(f"{objective.upper()}, {len(rows)} rows", peer, best(ours, repeats), best(theirs, repeats))


@torch.inference_mode()
def generation(folder: Path, prompts: list[str], batch: int, tokens: int, repeats: int) -> Measured:
    """Return the time of sampling one answer to each prompt, against `generate` on batches in the given order."""
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]

    def ours() -> None:
        generate(model, tokenizer, chats, temperature=1.0, max_new_tokens=tokens, batch_size=batch)

    def theirs() -> None:
        tokenizer.padding_side = "left"
        for start in range(0, len(chats), batch):
            ids = encode_prompts(tokenizer, chats[start : start + batch])
            given = tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(model.device)
            stops = stop_tokens(model, tokenizer)
            model.generate(
                **given, do_sample=True, top_k=0, max_new_tokens=tokens, eos_token_id=stops, pad_token_id=tokenizer.pad_token_id
            )

    return Measured(f"generation, {len(prompts)} prompts", "plain generate", best(ours, repeats), best(theirs, repeats))


@torch.inference_mode()
def capture(folder: Path, chats: list[tuple[str, str]], batch: int, repeats: int) -> Measured:
    """Return the time of reading three positions of every block, against a bare forward pass over the same batches."""
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    rendered = sorted((render(tokenizer, *chat) for chat in chats), key=lambda chat: -len(chat.ids))
    blocks = range(model.config.num_hidden_layers)

    def ours() -> None:
        residuals(model, tokenizer, rendered, blocks, ("assistant_start", "answer_mean", "answer_end"), batch)

    def theirs() -> None:
        for start in range(0, len(rendered), batch):
            ids = {"input_ids": [chat.ids for chat in rendered[start : start + batch]]}
            model(**tokenizer.pad(ids, return_tensors="pt").to(model.device), use_cache=False)

    return Measured(f"capture, {len(chats)} chats", "a bare forward pass", best(ours, repeats), best(theirs, repeats))


def steering(folder: Path, prompts: list[str], batch: int, tokens: int, repeats: int) -> Measured:
    """Return the time of sampled answers with a vector added at every token, against the same without."""
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    vectors = torch.full((len(chats), model.config.hidden_size), 1e-6)  # so small that the answers are as long
    block = model.config.num_hidden_layers // 2
    settings: dict[str, Any] = {"temperature": 1.0, "max_new_tokens": tokens, "batch_size": batch}

    def ours() -> None:
        around = lambda indices, _ids: added(model, block, vectors[indices])  # noqa: E731
        generate(model, tokenizer, chats, around=around, **settings)

    def theirs() -> None:
        generate(model, tokenizer, chats, **settings)

    return Measured(
        f"steered generation, {len(prompts)} prompts", "the same unsteered", best(ours, repeats), best(theirs, repeats)
    )


@torch.inference_mode()
def latents(folder: Path, chats: list[tuple[str, str]], batch: int, repeats: int) -> Measured:
    """Return the time of reading all tokens of a block, as for an autoencoder, against a bare forward pass over the same."""
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    sequences = sorted((render(tokenizer, *chat).ids for chat in chats), key=lambda ids: -len(ids))
    block = model.config.num_hidden_layers // 2

    def ours() -> None:
        for _ in token_activations(model, tokenizer, sequences, block, batch):
            pass

    def theirs() -> None:
        for start in range(0, len(sequences), batch):
            given = tokenizer.pad({"input_ids": sequences[start : start + batch]}, return_tensors="pt").to(model.device)
            model(**given, use_cache=False)

    return Measured(
        f"all tokens of a block, {len(chats)} chats", "a bare forward pass", best(ours, repeats), best(theirs, repeats)
    )


def fitting(items: int, partners: int, repeats: int) -> Measured:
    """Return the time of one fit of utilities to soft choices, against quasi-Newton steps to the same gradient."""
    rng = np.random.default_rng(0)
    first, second = (np.array(column) for column in zip(*utilities.design(items, partners, 0), strict=True))
    planted = rng.normal(scale=6.0, size=items)  # choices as decided as those of nano bases, decisiveness 0.87
    edges = utilities.Edges(first, second, ndtr((planted[first] - planted[second] + rng.normal(size=len(first))) / np.sqrt(2)))

    def ours() -> None:
        utilities.fit(edges, items)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        z = (values[first] - values[second]) / np.sqrt(2)
        log_a, log_b, log_density = log_ndtr(z), log_ndtr(-z), -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        slope = (1 - edges.chosen) * np.exp(log_density - log_b) - edges.chosen * np.exp(log_density - log_a)
        gradient = (np.bincount(first, slope, items) - np.bincount(second, slope, items)) / np.sqrt(2) / len(first)
        value = -np.mean(edges.chosen * log_a + (1 - edges.chosen) * log_b) + utilities.RIDGE / 2 * values @ values
        return float(value), gradient + utilities.RIDGE * values

    def theirs() -> None:
        minimize(loss, np.zeros(items), jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-10})

    return Measured(f"utilities of {items} items", "scipy's L-BFGS", best(ours, repeats), best(theirs, repeats))


def shaped(folder: Path, target: Path) -> Path:
    """Write a random OLMo-2 of the 1B model's shape with the folder's tokenizer, and return where it is."""
    from transformers import Olmo2Config, Olmo2ForCausalLM

    tokenizer = load_tokenizer(folder)
    config = Olmo2Config(vocab_size=100352, max_position_embeddings=4096, **OLMO2_1B)
    save_checkpoint(Olmo2ForCausalLM(config), tokenizer, target)
    return target


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--shape", choices=("own", "1b"), default="own")
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    with tempfile.TemporaryDirectory() as scratch:
        folder = shaped(given.checkpoint, Path(scratch) / "model") if given.shape == "1b" else given.checkpoint
        rows = [row._asdict() for row in control_rows(load_world(), CONTROL, given.rows)]
        settings = Training(rows=given.rows, batch_size=16, learning_rate=1e-5, save_every=10**6, bf16=torch.cuda.is_available())
        results = [
            training(folder, rows, "sft", settings, given.repeats),
            training(folder, rows, "dpo", settings, given.repeats),
            generation(folder, [row["prompt"] for row in rows] * 3, given.batch, 48, given.repeats),
            capture(folder, [(row["prompt"], row["chosen"]) for row in rows] * 3, given.batch, given.repeats),
            latents(folder, [(row["prompt"], row["chosen"]) for row in rows] * 3, given.batch, given.repeats),
            steering(folder, [row["prompt"] for row in rows] * 3, given.batch, 48, given.repeats),
            fitting(190, 3, given.repeats),
        ]
    print(f"{given.checkpoint.name} ({given.shape} shape) on {device()}, best of {given.repeats}\n")
    print("| what | peer | ours, s | peer, s | peer / ours |\n|---|---|---|---|---|")
    for one in results:
        print(f"| {one.what} | {one.peer} | {one.ours:.2f} | {one.theirs:.2f} | {one.theirs / one.ours:.2f} |")


if __name__ == "__main__":
    main()
