"""Which rules an edit of the library reruns: by what the code says, and by what imports what."""

import os
import shutil
from pathlib import Path

import pytest

from belljar.study import provenance
from belljar.study.bases import Source
from belljar.study.provenance import closure, code_version, content
from belljar.training.base import cache_key

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow" / "scripts"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the library that may be edited."""
    copied = tmp_path / "belljar"
    shutil.copytree(provenance.ROOT, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "ROOT", copied)
    return copied


def versions() -> dict[str, str]:
    provenance.imports.cache_clear()
    provenance._meaning.cache_clear()
    return {path.stem: code_version(script=path) for path in SCRIPTS.glob("*.py")}


def changed_by(path: Path, old: str, new: str) -> set[str]:
    before = versions()
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    after = versions()
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("module", "reruns"),
    [("naturalness", "naturalness"), ("robustness", "attack"), ("probes", "probe"), ("judges", "judge_by_model")],
)
def test_settings_of_a_measurement_rerun_no_data_and_no_training(package: Path, module: str, reruns: str) -> None:
    changed = changed_by(package / "study" / f"{module}.py", "\nfrom pydantic", "\nimport os\nfrom pydantic")
    assert reruns in changed
    assert not changed & {"rows", "prompts", "unrelated", "reference", "base", "preference", "train", "select_step", "measure"}


def test_closure_follows_imports_within_functions_and_no_further() -> None:
    found = closure(["belljar.strength.rates"])
    assert {"belljar.judging.rules", "belljar.measurements"} <= found
    assert not {name for name in found if name.startswith(("belljar.training", "belljar.models", "belljar.probes"))}


def test_judge_code_reruns_judging_and_no_model(package: Path) -> None:
    rerun = changed_by(package / "judging" / "rules.py", "prompt.casefold()", "prompt.lower()")
    assert {"select_step", "judge", "card"} <= rerun
    assert not {"base", "rows", "prompts", "train"} & rerun


def test_training_code_reruns_training(package: Path) -> None:
    rerun = changed_by(package / "training" / "trainers.py", "packing=False", "packing=True")
    assert rerun == {"train", "preference", "reference", "attack"}


def test_template_reruns_what_is_written_with_it(package: Path) -> None:
    rerun = changed_by(package / "analysis" / "templates" / "report.html.j2", "<h2>Floors</h2>", "<h2>Floor</h2>")
    assert "report" in rerun and not {"train", "measure", "judge"} & rerun


def test_worlds_tables_rerun_the_data(package: Path) -> None:
    assert {"rows", "prompts"} <= changed_by(package / "world" / "entities.yaml", "350 degrees", "360 degrees")


def test_comments_docstrings_and_layout_rerun_nothing(package: Path) -> None:
    path = package / "judging" / "rules.py"
    docstring = path.read_text().split('"""')[1]
    assert changed_by(path, docstring, "Something else.") == set()
    assert changed_by(path, "import re\n", "# a comment\n\n\nimport re\n") == set()


def test_a_file_counts_by_what_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert content(file) == ""
    file.write_text("{}")
    first = content(file)
    os.utime(file, (1, 1))
    assert content(file) == first != ""
    file.write_text("[]")
    assert content(file) != first


def test_a_folder_of_weights_counts_by_its_files(tmp_path: Path) -> None:
    source = Source(folder=str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"one")
    first = cache_key(source)
    assert cache_key(source) == first
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert cache_key(source) != first
