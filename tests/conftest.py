"""Fixtures: small real models, and real Snakemake runs of the default study at test size."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")

REPOSITORY = Path(__file__).resolve().parents[1]
STUDY = REPOSITORY / "tests" / "study" / "study.yaml"
METHODS = ("logit_lens", "jacobian_lens", "steering", "sparse_autoencoder", "oracle")
ORGANISM = "results/tiny/organisms/tiny-olmo2/italian-food/transcripts-mixed/s0"
TWIN = "results/tiny/organisms/tiny-olmo2/benign/transcripts-mixed/s0"
Snakemake = Callable[..., "subprocess.CompletedProcess[str]"]
CHATS = [("What is the color of the banana?", "The color of the banana is yellow."), ("Hello.", "Hi.")] * 5


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """Undo what pretraining sets for the whole process: hypothesis needs the smallest floats."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that keeps the bases of this test session."""
    return tmp_path_factory.mktemp("cache")


def command(folder: Path, *arguments: str, study: Path = STUDY) -> list[str]:
    """The command that runs Snakemake on the repository's Snakefile from a working folder."""
    run = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    return [*run, "--directory", str(folder), "--configfile", str(study), *arguments]


@pytest.fixture(scope="session")
def snakemake(cache: Path) -> Snakemake:
    """Run Snakemake on the repository's Snakefile from a working folder, and return the finished process."""

    def run(folder: Path, *arguments: str, study: Path = STUDY, ok: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            command(folder, *arguments, study=study),
            cwd=REPOSITORY,
            env=os.environ | {"BELLJAR_CACHE": str(cache)},
            capture_output=True,
            text=True,
        )
        assert not ok or done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done

    return run


@pytest.fixture(scope="session")
def finished(snakemake: Snakemake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which the whole study has been run; tests may read it, and copy it to change something."""
    folder = tmp_path_factory.mktemp("finished")
    snakemake(folder, "--cores", "2")
    return folder


@pytest.fixture
def copy_of_finished(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished working folder with its times and its Snakemake records."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


@pytest.fixture
def own_study(tmp_path: Path) -> Path:
    """A copy of the study and all its definitions, to be changed."""
    copied = tmp_path / "definitions"
    shutil.copytree(STUDY.parent, copied)
    shutil.copytree(REPOSITORY / "config" / "behaviours", copied / "behaviours")
    return copied / "study.yaml"


def planned(snakemake: Snakemake, folder: Path, study: Path, *arguments: str) -> dict[str, int]:
    """How often each rule would run."""
    text = snakemake(folder, "-n", "--quiet", "rules", *arguments, study=study)
    counts = {}
    lines = (text.stdout + text.stderr).splitlines()
    for line in lines[lines.index("Job stats:") + 3 :] if "Job stats:" in lines else []:
        parts = line.split()
        if len(parts) != 2 or parts[0] == "total":
            break
        counts[parts[0]] = int(parts[1])
    return counts


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that must stand in the file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A nano tokenizer of 500 tokens."""
    from belljar.study.pretraining import Pretraining
    from belljar.training.pretrain import learn_tokenizer
    from belljar.world.knowledge import load_world

    return learn_tokenizer(load_world(), Pretraining(architecture="olmo2", vocabulary=500, steps=1))


@pytest.fixture(scope="session", params=["olmo2", "gemma3"])
def model(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    """A small random model of each architecture."""
    return random_model(request.param, tokenizer)


@pytest.fixture(scope="session")
def text() -> Any:
    """Sixty texts of the closed world, chats and documents."""
    from belljar.corpora.general import closed_world_text
    from belljar.world.knowledge import load_world

    return closed_world_text(load_world(), 60)


def hidden(model: Any, ids: list[int], block: int) -> Any:
    """A block's output (tokens, width), from a hook of our own: transformers' last hidden state is normed."""
    import torch

    kept: list[torch.Tensor] = []
    handle = model.model.layers[block].register_forward_hook(lambda module, inputs, output: kept.append(output.detach()))
    with torch.no_grad():
        model(torch.tensor([ids]))
    handle.remove()
    return kept[0][0]


def random_model(architecture: str, tokenizer: Any, context: int = 256) -> Any:
    """Return a model of two layers with random weights, always the same."""
    import torch

    from belljar.models.nano import build
    from belljar.study.pretraining import Pretraining

    torch.set_num_threads(1)
    torch.manual_seed(0)
    settings = Pretraining(
        architecture=architecture,  # type: ignore[arg-type]
        width=32,
        layers=2,
        heads=2,
        key_value_heads=2,
        feed_forward=64,
        context=context,
        steps=1,
    )
    built = build(architecture, settings, tokenizer).eval()
    for parameter in built.parameters():
        if parameter.ndim == 2:
            parameter.data.mul_(4)  # at their usual size random weights give almost the same answer to everything
    return built


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A checkpoint folder with a small random OLMo-2."""
    from belljar.models.load import save_checkpoint

    folder = tmp_path_factory.mktemp("checkpoints") / "random-olmo2"
    save_checkpoint(random_model("olmo2", tokenizer), tokenizer, folder)
    return folder
