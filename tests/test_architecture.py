"""The house rules of the code, read from its source."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from streamer.codes import EXPLANATIONS

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "streamer").rglob("*.py"))

GROUND = {"", "codes", "errors", "packets"}
"""Modules (and the package itself) that anything may import."""
SHARED = {"batching", "endpoints", "hub", "ort"}
CRAFTS = {"asr", "audio", "captions", "dialogue", "events", "mqtt", "tts", "turns", "vad"}
MAY_IMPORT = {
    **dict.fromkeys(GROUND, GROUND),
    **dict.fromkeys(SHARED, GROUND | SHARED),
    "batching": GROUND | {"trace"},
    **dict.fromkeys(CRAFTS, GROUND | SHARED | CRAFTS),
    "trace": GROUND | {"trace"},
    "graph": GROUND | {"graph", "trace"},
    "nodes": GROUND | SHARED | CRAFTS | {"nodes", "graph"},
    "serve": GROUND | SHARED | CRAFTS | {"serve", "nodes", "graph", "trace"},
    "cli": GROUND | SHARED | CRAFTS | {"cli", "serve", "nodes", "graph", "trace"},
    "__main__": {"cli"},
}
"""What each part may import; arrows only point down."""

CODE = re.compile(r"[a-z]+(?:\.[a-z][a-z0-9-]*)+")


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def part(module: str) -> str:
    """``streamer.graph.plan`` -> ``graph``."""
    return (module.split(".") + [""])[1]


def imports(path: Path) -> set[str]:
    """The modules of this project that a file imports, in functions too."""
    found: set[str] = set()
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.add(module)
            if module == "streamer":
                found |= {f"streamer.{alias.name}" for alias in node.names
                          if (ROOT / "streamer" / alias.name).is_dir()
                          or (ROOT / "streamer" / f"{alias.name}.py").is_file()}  # fmt: skip
    return {name for name in found if name.split(".")[0] == "streamer"}


def test_arrows_only_point_down() -> None:
    wrong = []
    for path in FILES:
        here = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        allowed = MAY_IMPORT[part(here)]
        wrong += [f"{here} -> {name}" for name in imports(path) if part(name) not in allowed]
    assert not wrong


def test_nothing_that_ships_imports_the_tools() -> None:
    for path in FILES:
        for node in ast.walk(parse(path)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.split(".")[0] in ("tools", "tests") for name in names), path


def test_modules_are_small_and_say_what_they_are() -> None:
    texts = {path: path.read_text("utf-8") for path in FILES}
    assert not [path for path, text in texts.items() if len(text.splitlines()) > 400]
    assert not [p for p, text in texts.items() if text.strip() and not ast.get_docstring(parse(p))]


def test_public_names_are_listed_and_there() -> None:
    wrong = []
    for path in FILES:
        defined, public, exported = names_in(parse(path).body)
        if exported is None:
            wrong += [(path, name, "no __all__") for name in public]
        else:
            wrong += [(path, name, "not there") for name in set(exported) - defined]
    assert not wrong


def names_in(body: list[ast.stmt]) -> tuple[set[str], set[str], list[str] | None]:
    """What a module defines or imports, its own public functions and classes, its ``__all__``."""
    defined: set[str] = set()
    public: set[str] = set()
    exported: list[str] | None = None
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
            if not node.name.startswith("_"):
                public.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            defined |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            leaves = [leaf for target in targets for leaf in ast.walk(target)]
            names = {leaf.id for leaf in leaves if isinstance(leaf, ast.Name)}
            defined |= names
            if "__all__" in names and node.value is not None:
                exported = ast.literal_eval(node.value)
    return defined, public, exported


def codes_in(path: Path) -> set[str]:
    """Texts in the source of a file that have the shape and the first word of an error code."""
    families = {code.split(".")[0] for code in EXPLANATIONS}
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            value = node.value
            if CODE.fullmatch(value) and value.split(".")[0] in families:
                found.add(value)
    return found


def raised_codes(path: Path) -> set[str]:
    """Texts given as ``code=`` or as the code of a problem."""
    found = set()
    for node in ast.walk(parse(path)):
        if not isinstance(node, ast.Call):
            continue
        given = [k.value for k in node.keywords if k.arg == "code"]
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("Problem", "problem", "_problem"):
            given += node.args
        for value in given:
            for leaf in ast.walk(value):
                if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str):
                    found.add(leaf.value)
    return {code for code in found if CODE.fullmatch(code)}


SOURCES = [path for path in FILES if path.name != "codes.py"]


def test_every_code_in_use_is_explained() -> None:
    raised = {(code, path) for path in SOURCES for code in raised_codes(path)}
    assert not [(code, path) for code, path in raised if code not in EXPLANATIONS]


def test_every_explained_code_is_in_use() -> None:
    used = set().union(*(codes_in(path) for path in SOURCES))
    assert not EXPLANATIONS.keys() - used
    assert all(CODE.fullmatch(code) and text.endswith(".") for code, text in EXPLANATIONS.items())


def test_no_queue_without_a_limit() -> None:
    for path in FILES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr in ("Queue", "SimpleQueue", "LifoQueue", "PriorityQueue"):
                    assert node.args or node.keywords, f"{path}:{node.lineno} has no limit"
