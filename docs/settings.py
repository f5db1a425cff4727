"""Write docs/settings.md: every key that a config may have, from the schema's own classes, annotations and comments.

Run as `python docs/settings.py`; a test compares the page with what this would write.
"""

import ast
import tokenize
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
SCHEMA = REPOSITORY / "src" / "belljar" / "study"
ROOTS = {
    "A study": ("settings", "Study", "`config/config.yaml`, `config/studies/*.yaml`"),
    "A base": ("bases", "Base", "`config/bases/*.yaml`"),
    "A behaviour": ("behaviours", "Behaviour", "`config/behaviours/*/spec.yaml`"),
    "A technique": ("techniques", "Technique", "`config/techniques/*.yaml`"),
}
KINDS = {
    "Name": "id",
    "Share": "0 to 1",
    "Count": "whole number from 1",
    "Whole": "whole number from 0",
    "Positive": "above 0",
    "str": "text",
    "bool": "true or false",
    "float": "number",
    "int": "whole number",
    "Any": "any",
}
BOUNDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below", "min_length": "at least", "multiple_of": "a multiple of"}


class Module(NamedTuple):
    """One module of the schema: its classes, what else it assigns, where its names come from, its comments by line."""

    classes: dict[str, ast.ClassDef]
    aliases: dict[str, ast.expr]
    imported: dict[str, str]
    comments: dict[int, str]


def modules() -> dict[str, Module]:
    """Return the schema's modules by name."""
    return {path.stem: _module(path) for path in sorted(SCHEMA.glob("*.py"))}


def _module(path: Path) -> Module:
    text = path.read_text("utf-8")
    body = ast.parse(text).body
    tokens = tokenize.generate_tokens(StringIO(text).readline)
    return Module(
        {node.name: node for node in body if isinstance(node, ast.ClassDef)},
        {
            node.targets[0].id: node.value
            for node in body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        },
        {
            name.name: node.module.rsplit(".", 1)[1]
            for node in body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("belljar.study.")
            for name in node.names
        },
        {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT},
    )


class Page:
    """The page as it grows: a section for each class of settings, in the order in which keys lead to them."""

    def __init__(self) -> None:
        """Begin with nothing written."""
        self.modules = modules()
        self.waiting: list[tuple[str, str]] = []
        self.seen: set[tuple[str, str]] = set()

    def home(self, module: str, name: str) -> str:
        """Return the module that a name is defined in."""
        return self.modules[module].imported.get(name, module)

    def kind(self, node: ast.expr, module: str) -> str:
        """Return what an annotation allows, in words; a class of settings is a link, and gets a section."""
        match node:
            case ast.BinOp(left=left, right=ast.Constant(value=None)):
                return self.kind(left, module)
            case ast.BinOp(left=left, right=right):
                return f"{self.kind(left, module)} or {self.kind(right, module)}"
            case ast.Constant(value=str(text)):
                return self.kind(ast.parse(text, mode="eval").body, module)
            case ast.Name(id=name) if name in KINDS:
                return KINDS[name]
            case ast.Name(id=name):
                home = self.home(module, name)
                if name in self.modules[home].aliases:
                    return self.kind(self.modules[home].aliases[name], home)
                if (home, name) not in self.seen:
                    self.seen.add((home, name))
                    self.waiting.append((home, name))
                return f"[{name}](#{anchor(home, name)})"
            case ast.Subscript(value=ast.Name(id="Literal"), slice=given):
                return " or ".join(f"`{ast.literal_eval(one)}`" for one in getattr(given, "elts", [given]))
            case ast.Subscript(value=ast.Name(id="list"), slice=item):
                return f"list of {self.kind(item, module)}"
            case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, value])):
                return f"{self.kind(key, module)}: {self.kind(value, module)}"
            case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[plain, *rest])):
                return ", ".join([self.kind(plain, module), *limits(rest)])
        raise ValueError(f"{module}.py: no words for {ast.unparse(node)}")

    def section(self, module: str, name: str) -> str:
        """Return one class of settings: its description and its keys."""
        own = self.modules[module]
        rows = ["| key | value | default | |", "|---|---|---|---|", *self.keys(module, name)]
        return "\n".join([ast.get_docstring(own.classes[name]) or "", "", *rows])

    def keys(self, module: str, name: str) -> list[str]:
        """Return a row for each key of a class of settings, those that it inherits first."""
        own = self.modules[module]
        rows = []
        for parent in own.classes[name].bases:
            home = self.home(module, ast.unparse(parent))
            if home != "schema" and ast.unparse(parent) in self.modules[home].classes:
                rows += self.keys(home, ast.unparse(parent))
        for field in own.classes[name].body:
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            cells = (
                f"`{field.target.id}`",
                self.kind(field.annotation, module),
                default(field.value),
                own.comments.get(field.end_lineno or 0, ""),
            )
            rows.append(f"| {' | '.join(cells)} |")
        return rows


def anchor(module: str, name: str) -> str:
    """Return the anchor of a class; two modules may have one of the same name."""
    return f"{module}-{name}".lower()


def limits(rest: list[ast.expr]) -> Iterator[str]:
    """Yield the bounds of an annotated number or list, in words."""
    for call in rest:
        for keyword in call.keywords if isinstance(call, ast.Call) else []:
            if keyword.arg in BOUNDS:
                text = f"{BOUNDS[keyword.arg]} {ast.unparse(keyword.value)}"
                yield "not empty" if text == "at least 1" else text


def default(value: ast.expr | None) -> str:
    """Return a default in words: a key without one must be given."""
    match value:
        case None:
            return "**required**"
        case ast.Constant(value=None) | ast.Constant(value="") | ast.Dict(keys=[]) | ast.List(elts=[]):
            return "none"
        case ast.Call():
            return "its own"
        case ast.Constant(value=bool(truth)):
            return f"`{str(truth).lower()}`"
        case ast.Constant(value=str(text)):
            return f"`{text}`"
        case ast.Name(id=name):
            return f"`{name.lower()}`"
    return f"`{ast.unparse(value)}`".replace("'", "").replace("|", "\\|")


def document() -> str:
    """Return the whole page."""
    page = Page()
    parts = [
        "# Settings",
        "",
        "Every key that a config may have. Written by `docs/settings.py` from `src/belljar/study`; an unknown key is refused.",
    ]
    for title, (module, name, where) in ROOTS.items():
        page.seen.add((module, name))
        parts += ["", f"## {title}", "", f"In {where}.", "", page.section(module, name)]
        while page.waiting:
            inner = page.waiting.pop(0)
            parts += ["", f'### <a id="{anchor(*inner)}"></a>{inner[1]}', "", page.section(*inner)]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (REPOSITORY / "docs" / "settings.md").write_text(document(), "utf-8")
