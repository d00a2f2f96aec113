"""The repository keeps its promises: light imports, pins without addresses, documentation that hangs together."""

import ast
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from waiting import LONG

import duologue
import duologue.runs

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

HEAVY = {"httpx", "numpy", "openai", "opentelemetry", "pydantic_ai", "rich", "typer", "yaml"}
ADDRESSES = [
    r"index-url",
    r"find-links",
    r"/simple/",
    r"files\.python" + "hosted",
    r"pypi\." + r"(?:org|python)",
    r"registry\." + "npmjs",
    r"deb\." + "debian",
    r"file:" + "//",
]
MACHINE_PATHS = [
    r"(?<![\w.:/~}-])/(?:root|home/\w+|Users/\w+|workspace|work)/",
    r"(?<![\w.:~}-])/tmp/\w+",
]
WORKPLACE = [r"\bshared/(?:design|reference|cases)\b", r"\b[Ss]econd house\b", r"\bissues? (?:show|#\d)"]
"""Words about the place where this was written. Readers elsewhere do not know it."""

# Run in a new interpreter: import the package while an audit hook notes everything that leaves a trace.
IMPORT_PROBE = """
import _thread, json, sys
seen = []

def noting(name):
    start = getattr(_thread, name)
    def noted(*args, **kwargs):
        seen.append("starts a thread")
        return start(*args, **kwargs)
    return noted

for name in {"start_new_thread", "start_joinable_thread"} & set(dir(_thread)):
    setattr(_thread, name, noting(name))

def hook(event, args):
    if event == "open" and (set("wax+") & set(args[1] or "") or (args[1] is None and args[2] & 3)):
        seen.append(f"writes {args[0]}")
    elif event.startswith(("socket.", "subprocess.", "os.system", "os.mkdir", "os.remove", "os.rename")):
        seen.append(event)

sys.addaudithook(hook)
import duologue
print(json.dumps({"seen": seen, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def probe_import(code: str = IMPORT_PROBE) -> tuple[list[str], set[str]]:
    """What importing the package did, and the top-level modules that are loaded after it."""
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, timeout=LONG, check=True)
    found = json.loads(done.stdout)
    return found["seen"], set(found["modules"])


@cache
def texts() -> dict[str, str]:
    """The text files of the repository by their paths: what is committed, or would be."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, timeout=LONG, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    found = {}
    for name in names.splitlines():
        try:
            found[name] = (ROOT / name).read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return found


def hits(patterns: list[str]) -> list[str]:
    """Every place where one of the patterns is found, but for this file."""
    pattern = re.compile("|".join(patterns))
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts().items()
        if name != "tests/test_repository.py"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def pins() -> dict[str, str]:
    """Version by name, as constraints.txt has them."""
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", line) for line in lines)
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def declared() -> list[Requirement]:
    """Everything that pyproject.toml asks for: core, extras, development tools, build."""
    project = PROJECT["project"]
    groups = [entry for group in PROJECT["dependency-groups"].values() for entry in group if isinstance(entry, str)]
    extras = [entry for extra in project["optional-dependencies"].values() for entry in extra]
    every = [
        Requirement(text) for text in [*project["dependencies"], *extras, *groups, *PROJECT["build-system"]["requires"]]
    ]
    return [requirement for requirement in every if requirement.name != "duologue"]


def closure(wanted: list[Requirement]) -> dict[str, Requirement]:
    """What is asked for and everything that it needs in turn, as far as it is installed here."""
    found: dict[str, Requirement] = {}
    todo, visited = list(wanted), set[tuple[str, frozenset[str]]]()
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in visited:
            continue
        visited.add(key)
        found.setdefault(key[0], requirement)
        try:
            needs = importlib.metadata.requires(requirement.name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for need in map(Requirement, needs):
            marker = need.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ["", *requirement.extras]):
                todo.append(need)
    return found


def test_public_modules_are_attributes_of_the_package_and_are_loaded_when_they_are_used() -> None:
    code = """
import json, sys
import duologue
heavy = [name for name in sys.modules if name.startswith("duologue.")]
seen = [name for name in sorted(duologue._MODULES) if getattr(duologue, name) is not sys.modules[f"duologue.{name}"]]
seen += [name for name in duologue._MODULES if name not in dir(duologue)]
seen += [name for name in heavy if name.split(".")[1] in duologue._MODULES]
print(json.dumps({"seen": seen, "modules": []}))
"""
    assert probe_import(code) == ([], set())


def test_importing_the_package_loads_nothing_heavy_and_leaves_no_trace() -> None:
    seen, modules = probe_import()
    assert modules & HEAVY == set()
    assert seen == []


def test_naming_the_parts_of_a_conversation_loads_nothing_heavy_either() -> None:
    names = "run AgentAdapter AgentInput ScenarioResult user agent judge configure read_result"
    _, modules = probe_import(
        IMPORT_PROBE.replace("import duologue", f"from duologue import {names.replace(' ', ', ')}")
    )
    assert modules & HEAVY == set()


@pytest.mark.parametrize(
    ("deed", "trace"),
    [
        ("open('made-by-a-test.txt', 'w').close()", "writes made-by-a-test.txt"),
        ("import os; os.close(os.open('made-by-a-test.txt', os.O_CREAT | os.O_WRONLY))", "writes made-by-a-test.txt"),
        ("import socket; socket.socket().close()", "socket.__new__"),
        ("import threading; t = threading.Thread(target=int); t.start(); t.join()", "starts a thread"),
    ],
)
def test_the_import_probe_notices(deed: str, trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen, _ = probe_import(IMPORT_PROBE.replace("import duologue", deed))
    assert trace in seen


def test_no_file_names_a_registry_or_a_download_address() -> None:
    assert hits(ADDRESSES) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert hits(MACHINE_PATHS) == []


def test_no_file_speaks_of_the_place_where_it_was_written() -> None:
    assert hits(WORKPLACE) == []


def test_every_declared_dependency_is_pinned_within_its_range() -> None:
    pinned = pins()
    wrong = [
        f"{requirement}: pinned {pinned.get(canonicalize_name(requirement.name))}"
        for requirement in declared()
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]
    assert wrong == []


def test_everything_that_dependencies_bring_is_pinned() -> None:
    missing = sorted(closure(declared()).keys() - pins().keys())
    assert missing == [], "run: make constraints"


def test_what_tests_and_benchmarks_import_is_pinned() -> None:
    """A package that only happens to be installed here is missing elsewhere."""
    owners = importlib.metadata.packages_distributions()
    pinned = pins()
    missing: set[str] = set()
    for path in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.append(node.module)
            tops = {name.partition(".")[0] for name in names} & owners.keys() - {"duologue"}
            missing |= {
                f"{path.relative_to(ROOT)}: {top}"
                for top in tops
                if not any(canonicalize_name(owner) in pinned for owner in owners[top])
            }
    assert sorted(missing) == [], "add it to the dependency groups in pyproject.toml, then run: make constraints"


def test_weights_are_pinned_by_version_and_hash() -> None:
    lines = [line for line in (ROOT / "requirements-weights.txt").read_text("utf-8").splitlines() if line[0] != "#"]
    assert lines
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}  # [0-9.]+ MB", line) for line in lines)


def test_changelog_has_the_current_version() -> None:
    assert f"\n## [{duologue.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_navigation_names_every_page_once() -> None:
    def pages(entry: object) -> list[str]:
        if isinstance(entry, dict):
            return [page for value in entry.values() for page in pages(value)]
        return [page for item in entry for page in pages(item)] if isinstance(entry, list) else [str(entry)]

    navigation = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    assert sorted(navigation) == sorted(
        path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")
    )


def test_every_public_name_is_in_the_reference() -> None:
    pages = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs" / "reference").glob("*.md"))
    named = re.findall(r"^::: (\S+)", pages, re.MULTILINE)
    # A page may show a module, or only the names of it that are public.
    described = {*named, *(name.rpartition(".")[0] for name in named)}
    homes = {
        *(f"duologue.{home}" for home in duologue._HOMES.values()),
        *duologue.runs._HOMES.values(),
        *(f"duologue.voice{home}" for home in duologue.voice._HOMES.values()),
    }
    assert sorted(home for home in homes - described if importlib.util.find_spec(home)) == [], "add a line '::: module'"


def test_no_page_of_the_reference_describes_a_module_twice() -> None:
    for path in (ROOT / "docs" / "reference").glob("*.md"):
        named = re.findall(r"^::: (\S+)", path.read_text("utf-8"), re.MULTILINE)
        assert sorted(named) == sorted(set(named)), path.name


def test_every_design_note_is_in_the_index() -> None:
    index = (ROOT / "design" / "README.md").read_text("utf-8")
    assert [path.name for path in (ROOT / "design").glob("[0-9]*.md") if f"({path.name})" not in index] == []


def test_every_link_between_the_files_at_the_top_leads_somewhere() -> None:
    broken = [
        f"{page}: {target}"
        for page in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "design/README.md"]
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text("utf-8"))
        if not (ROOT / page).parent.joinpath(target).exists()
    ]
    assert broken == []
