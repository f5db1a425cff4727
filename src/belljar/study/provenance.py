"""What made a file: code versions by content, package versions, the revision of the checkout.

A rule carries the version of the code that it runs as a parameter. The version is a hash of what the code says, not of
when it was written: touching a file, a fresh checkout, or an edit of comments and docstrings changes nothing, and an edit
of one module changes the rules that import it and no others.
"""

import ast
import hashlib
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

PACKAGE = "belljar"
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "transformers", "trl", "nnsight", "tokenizers", "datasets")


def code_version(*modules: str, script: Path | None = None) -> str:
    """Return a hash of the modules, all of Belljar that they import, their packages' data files, and the script.

    A module is named as in an import: "belljar.probes.logit_lens".
    """
    scripts = [script] if script else []
    names = closure([*modules, *(name for path in scripts for name in imports(path))])
    folders = sorted({_path(name).parent for name in names})
    data = [path for folder in folders for path in sorted([*folder.glob("*.yaml"), *folder.glob("templates/*")])]
    parts = [_meaning(_path(name)) for name in sorted(names)] + [_meaning(path) for path in scripts]
    parts += [path.read_bytes() for path in data]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def closure(modules: Iterable[str]) -> set[str]:
    """Return the modules and every Belljar module that they import, directly or not."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(imports(_path(name)))
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the Belljar modules that a Python file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}  # from package import module
    return frozenset(name for name in names if name.split(".")[0] == PACKAGE and _is_module(name))


def _is_module(name: str) -> bool:
    return _path(name).is_file()


def _path(name: str) -> Path:
    path = ROOT.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _meaning(path: Path) -> bytes:
    """Return the file's syntax tree as bytes, without comments, docstrings and layout."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:]
    return ast.dump(tree).encode()


def content(path: Path) -> str:
    """Return a hash of what a file holds; empty where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def packages() -> dict[str, str]:
    """Return the versions of the packages that results depend on."""
    return {name: version(name) for name in PACKAGES}


def checkout() -> str:
    """Return the commit of the checkout that holds this package, with "+changes" where files differ; "unknown" outside one."""
    command = [
        "git",
        "-C",
        str(ROOT),
        "describe",
        "--always",
        "--abbrev=40",
        "--dirty=+changes",
        "--exclude=*",
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"
