"""Load a suite: find the main file, read it, and let the reader of its dialect build the suite.

The frame that every file has (``apiVersion``, ``kind``, ``metadata``, ``spec``) is opened. Fields that other systems
have, or that an earlier version accepted, have no effect here: our own dialect rejects them with advice, the importer
of PromptKit's files drops them with a warning. The placed data of all resources then becomes one suite, whatever the
dialect was. A resource that is refused is left out, so that its mistake does not hide those of the others; its name
is remembered, so that what refers to it is not called a mistake as well.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError, create_model

from duologue.config.entry_points import load_registered, registered_names
from duologue.config.files import shown_path
from duologue.config.problems import Mark, PlacedDict, PlacedList, Problems, hint, listed, nearest, report, shown
from duologue.config.problems import checked as checked_by_pydantic
from duologue.config.spec import Resource
from duologue.config.yaml_reader import read
from duologue.errors import Position, Problem
from duologue.frozen import frozen
from duologue.specs.agents import Agent, Judge, Model, Persona, PersonaStyle, Sampling
from duologue.specs.checks import PackEvalSpec
from duologue.specs.prompts import Prompt, Tool, Variable
from duologue.specs.scenario import ContextPolicy, Relevance, Scenario, Turn
from duologue.specs.suite import Defaults, Output, Replay, Suite, WorkflowState

API_VERSION = "duologue/v1"

_ROOT = ("apiVersion", "kind", "metadata", "spec", "$schema")
_METADATA = ("name", "namespace", "labels", "annotations")


def is_bare(data: Any) -> bool:
    """Whether the frame is missing and the file holds what would be in ``spec``."""
    return isinstance(data, PlacedDict) and not {"apiVersion", "kind", "spec", "metadata"} & data.keys()


def opened(data: Any, problems: Problems, *, api: str | None, kinds: Sequence[str]) -> tuple[str, PlacedDict] | None:
    """The kind of a manifest, and its ``spec`` with name, labels and annotations of ``metadata`` put into it.

    Args:
        data: what the file holds.
        problems: takes what is wrong with the frame.
        api: the ``apiVersion`` that is expected; None for any text.
        kinds: the kinds that are expected here.

    Returns:
        None where the frame is so broken that the rest would make no sense.
    """
    if not isinstance(data, PlacedDict):
        place = getattr(data, "home", Mark("?", "", 1, 1, 1, 1))
        problems.error(place, f"found {shown(data)}; expected a manifest: apiVersion, kind, metadata and spec")
        return None
    closed(data, _ROOT, problems)
    kind = _kind(data, problems, api, kinds)
    spec = data.get("spec")
    if not isinstance(spec, PlacedDict):
        found = f"found {shown(spec)}; expected a mapping" if "spec" in data else "the field 'spec' is missing"
        problems.error(data.mark("spec"), found)
        return None
    return (kind, _with_metadata(data, spec, problems)) if kind else None


def closed(data: PlacedDict, known: Sequence[str], problems: Problems) -> None:
    """An error for each field that is not known here."""
    for key in data:
        if key not in known:
            told = f"unknown field '{key}'{hint(key, known)} Fields here: {listed(known)}"
            problems.error(data.mark(key).key(), told)


def _kind(data: PlacedDict, problems: Problems, api: str | None, kinds: Sequence[str]) -> str | None:
    found = data.get("apiVersion")
    if found != api and (api is not None or not isinstance(found, str) or not found):
        told = "is missing" if "apiVersion" not in data else f"is {shown(found)}"
        problems.error(data.mark("apiVersion"), f"apiVersion {told}; expected {api or 'a text'}")
    kind = data.get("kind")
    if isinstance(kind, str) and kind in kinds:
        return kind
    told = "the field 'kind' is missing" if "kind" not in data else f"found {shown(kind)}"
    similar = nearest(kind, kinds) if isinstance(kind, str) else ""
    expected = f"one of {listed(kinds)}" if len(kinds) > 1 else kinds[0]
    problems.error(data.mark("kind"), f"{told}; expected {expected}{similar}")
    return None


def _with_metadata(data: PlacedDict, spec: PlacedDict, problems: Problems) -> PlacedDict:
    made = PlacedDict(spec.home, spec, dict(spec.marks))
    if "metadata" not in data:
        if "name" not in made:
            problems.error(data.mark("metadata"), "the field 'metadata' is missing; expected it with the field 'name'")
            made.put("name", "?", data.home)
        return made
    metadata = data["metadata"]
    if not isinstance(metadata, PlacedDict):
        problems.error(data.mark("metadata"), f"found {shown(metadata)}; expected a mapping with the field 'name'")
        return made
    closed(metadata, _METADATA, problems)
    if "name" not in metadata and "name" not in made:
        place = metadata.home.value()
        where = Position(place.file, place.line, place.column, "metadata.name")
        problems.error(where, "the field 'name' is missing")
        made.put("name", "?", metadata.home)
    for key in ("name", "labels", "annotations"):
        if key in metadata:
            made.put(key, metadata[key], metadata.mark(key))
    return made


M = TypeVar("M", bound=BaseModel)

_ONE_VOICE = "a scenario and a persona say in 'voice' how the user sounds"
_AS_WRITTEN = "lines are spoken as they are written"
STEPS = "steps are not played by this version; write them as 'turns'"

UNSUPPORTED: dict[type, dict[str, str]] = {
    Model: {"include_raw_output": "the journal keeps requests and answers in one form for all providers"},
    Sampling: {"prompt_caching": "the provider decides"},
    Scenario: {
        "duplex": "write 'voice', which says how a scenario is spoken",
        "pack": "prompts and tools are taken from the suite",
        "steps": STEPS,
    },
    Turn: {"speech": _ONE_VOICE, "streaming": "what the scenario says counts for all its turns"},
    PersonaStyle: {"expressive": _AS_WRITTEN, "characterization_rubric": _AS_WRITTEN},
    ContextPolicy: {"cache_breakpoints": "the provider decides"},
    Relevance: {
        "always_keep_system_role": "the instruction is always sent",
        "cache_embeddings": "a run keeps the vectors that it has",
    },
    Variable: {"validation": "values are used as they are", "binding": "give the variable a value"},
    PackEvalSpec: {
        "metric": "scores are in the results, by the eval's id",
        "groups": "evals are chosen by their type, with --eval-type",
    },
    WorkflowState: {"persistence": "the whole conversation is kept"},
    Output: {"options": "each format has one form"},
    Suite: {
        "state_store": "a run keeps what it needs in memory, and in its journal",
        "voices": _ONE_VOICE,
    },
    Defaults: {
        "fail_on": "failed checks always count, and errors as 'allow_errors' says",
        "verbose": "'duologue show' shows conversations",
    },
}
"""Why a field has no effect, by model and field."""


def checked(
    model: type[M], data: Any, problems: Problems, *, lenient: Mapping[type, Container[str]] | None = None
) -> M | None:
    """The model of placed data; None, with a problem for each mistake, if it is invalid.

    Args:
        model: what the data should be.
        data: placed data.
        problems: takes what is wrong.
        lenient: models whose unknown fields are a warning, with names that are errors nevertheless.
    """
    return checked_by_pydantic(model, data, problems, unsupported=UNSUPPORTED, lenient=lenient)


SECTIONS: dict[str, type[Resource]] = {
    "agents": Agent,
    "models": Model,
    "scenarios": Scenario,
    "replays": Replay,
    "personas": Persona,
    "judges": Judge,
    "prompts": Prompt,
    "tools": Tool,
}
"""The lists of resources that a suite has."""
KINDS: dict[str, type[Resource]] = {"Suite": Suite, **{model.__name__: model for model in SECTIONS.values()}}
"""Every kind of manifest."""
SECTION_OF = {model.__name__: section for section, model in SECTIONS.items()}


UNREAD = "(not read)"
"""Stands among the names of broken resources for one whose file could not be read: any name may be its."""


@dataclass(kw_only=True)
class Draft:
    """A suite that is being put together.

    Attributes:
        suite: as far as it could be understood; None if it could not.
        broken: names of resources that were refused, by section.
    """

    suite: Suite | None
    broken: dict[str, set[str]] = field(default_factory=dict[str, set[str]])


def assembled(
    data: PlacedDict, folder: Path, problems: Problems, *, broken: Mapping[str, set[str]] | None = None
) -> Draft:
    """The suite of placed data in which every section holds its resources themselves.

    Args:
        data: the suite's own fields, with the sections.
        folder: what paths are relative to.
        problems: takes what is wrong.
        broken: names of resources that were refused before.
    """
    draft = Draft(suite=None, broken=dict(broken or {}))
    whole = PlacedDict(data.home, data, data.marks)
    for section, model in SECTIONS.items():
        if section in data:
            whole[section] = _resources(data, section, model, draft, problems)
    suite = _of_checked(whole) or checked(Suite, whole, problems) or _tolerant(whole)
    draft.suite = suite.within(folder) if suite else None
    return draft


def _resources(
    data: PlacedDict, section: str, model: type[Resource], draft: Draft, problems: Problems
) -> tuple[Resource, ...]:
    items = data[section]
    if not isinstance(items, PlacedList):
        problems.error(data.mark(section), f"found {shown(items)}; expected a list")
        return ()
    made: list[Resource] = []
    for index, item in enumerate(items):
        if isinstance(item, model):
            made.append(item)
            continue
        if not isinstance(item, PlacedDict):
            problems.error(items.mark(index), f"found {shown(item)}; expected a mapping")
            continue
        resource = checked(model, item, problems)
        if resource is not None:
            made.append(resource)
            continue
        names = {item[key] for key in ("name", "task") if isinstance(item.get(key), str)}
        if names:
            draft.broken.setdefault(section, set()).update(names)
    return tuple(made)


def _of_checked(data: PlacedDict) -> Suite | None:
    """The suite of resources that were checked one by one; None if one of its own fields is refused."""
    written = frozenset(name for name in Suite.model_fields if name in data)
    try:
        made = _own_fields(written).model_validate(data)
    except ValidationError:
        return None
    suite = Suite.model_construct(made.model_fields_set, **vars(made))
    return suite.written_in(data)


@cache
def _own_fields(written: frozenset[str]) -> type[Suite]:
    """A suite that takes its resources as they are, and knows of other fields only those that are written.

    The schema of all of them together takes long to build.
    """
    taken: dict[str, Any] = {
        name: (Any, field.default)
        for name, field in Suite.model_fields.items()
        if not field.is_required() and (name in SECTIONS or name not in written)
    }
    return create_model("Suite", __base__=Suite, **taken)


def _tolerant(data: PlacedDict) -> Suite | None:
    """The suite without those of its own fields that were refused, so that the rest can be looked at."""
    rest = PlacedDict(data.home, data, data.marks)
    try:
        return Suite.model_validate(rest)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            rest.pop(str(item["loc"][0]) if item["loc"] else "", None)
    rest.setdefault("name", "?")
    try:
        return Suite.model_validate(rest)
    except ValidationError:
        return None


GROUP = "duologue.dialects"

Reader = Callable[[Path, Any, Problems], "Suite | None"]
"""Makes a suite of the path and the placed data of its main file. A file with a single resource gives a suite with
nothing but that resource."""

MAIN_FILES = ("suite.yaml", "suite.yml", "duologue.yaml", "config.arena.yaml", "arena.yaml")
"""What a folder's main file may be called, beside ``*.suite.yaml`` and ``*.arena.yaml``."""


@frozen
class Report:
    """What was found out about the files of a suite.

    Attributes:
        path: the main file.
        suite: what could be understood; it may only be used if ``ok``.
        problems: errors and warnings, by file and line.
    """

    path: Path
    suite: Suite | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Those that keep the suite from being used."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is not as its author may think."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    @property
    def ok(self) -> bool:
        """Whether the suite can be used."""
        return self.suite is not None and not self.errors

    def __str__(self) -> str:
        return report(self.problems)


def validate(path: str | Path) -> Report:
    """Everything that is wrong with the files of a suite, found without running anything.

    Args:
        path: the main file of a suite, its folder, or the file of a single resource. A resource by itself is checked
            by itself: what it refers to is not looked up.
    """
    problems = Problems()
    main = _main_file(Path(path), problems)
    suite = _read(main, problems) if main else None
    return Report(path=main or Path(path), suite=suite, problems=problems.in_order())


def load(path: str | Path) -> Suite:
    """The suite of a file or folder.

    Raises:
        SuiteError: something is wrong with it; the error has all of it, each with file, line, column and field.
    """
    return usable(validate(path))


def usable(found: Report) -> Suite:
    """The suite of a report.

    Raises:
        SuiteError: the report has errors.
    """
    problems = Problems()
    for problem in found.errors:
        problems.error(problem.position, problem.message)
    problems.raise_errors()
    if found.suite is None:
        problems.error(Position(str(found.path)), "no suite could be read")
        problems.raise_errors()
    assert found.suite is not None
    return found.suite


def _read(path: Path, problems: Problems) -> Suite | None:
    if path.suffix == ".py" and path.is_file():
        told = "this is Python; expected a suite in YAML. A function of it is run with"
        problems.error(Position(shown_path(path)), f"{told} 'duologue run {path}::NAME'")
        return None
    data = read(path, problems, shown_as=shown_path(path))
    if data is None:
        return None
    version = data.get("apiVersion") if isinstance(data, PlacedDict) else None
    reader = reader_of(version) if isinstance(version, str) else None
    if reader is None and isinstance(version, str) and isinstance(data, PlacedDict):
        reader = _reader_of_any_version(version, data.get("kind"))
    if reader is None:
        problems.error(_place(data), _unknown(data, version))
        return None
    return reader(path, data, problems)


def _place(data: Any) -> Mark:
    if isinstance(data, PlacedDict):
        return data.mark("apiVersion")
    return getattr(data, "home", Mark("?", "", 1, 1, 1, 1))


def _unknown(data: Any, version: Any) -> str:
    known = known_versions()
    if not isinstance(data, PlacedDict):
        return f"found {shown(data)}; expected a manifest that begins with apiVersion: {known[0]}"
    if "apiVersion" not in data:
        hint = next((key for key in data if nearest("apiVersion", [key])), None)
        meant = f" The field '{hint}' may be meant." if hint else ""
        return f"the field 'apiVersion' is missing; expected one of {listed(known)}.{meant}"
    hint = nearest(version, known) if isinstance(version, str) else ""
    return f"found {shown(version)}; expected one of {listed(known)}{hint}"


def main_files(folder: Path) -> list[Path]:
    """The files of a folder that look like a suite's main file."""
    names = sorted(item.name for item in folder.iterdir())
    endings = (".suite.yaml", ".arena.yaml")
    return [folder / name for name in names if name in MAIN_FILES or name.endswith(endings)]


def _main_file(path: Path, problems: Problems) -> Path | None:
    """The file itself, or the one main file of a folder."""
    try:
        if not path.is_dir():
            return path
        paths = main_files(path)
    except (OSError, ValueError) as error:
        problems.error(Position(str(path)), f"the folder cannot be read: {error}")
        return None
    if len(paths) == 1:
        return paths[0]
    found = [item.name for item in paths]
    what = f"several suites: {listed(found)}; say which" if found else f"no suite; expected one of {listed(MAIN_FILES)}"
    problems.error(Position(shown_path(path)), f"the folder has {what}")
    return None


def known_versions() -> list[str]:
    """Every ``apiVersion`` that can be read."""
    return registered_names(GROUP)


def only_here(*kinds: str) -> Callable[[Reader], Reader]:
    """Mark a reader as that of kinds of manifests that no other dialect has: it reads them under any ``apiVersion``."""

    def marked(reader: Reader) -> Reader:
        vars(reader)["own_kinds"] = frozenset(kinds)
        return reader

    return marked


def _reader_of_any_version(version: str, kind: Any) -> Reader | None:
    """The reader of manifests that name another version of a system, or another address of it."""
    for known in known_versions():
        reader = reader_of(known)
        own: frozenset[str] = getattr(reader, "own_kinds", frozenset())
        system, _, address = known.partition(".")
        same_system = bool(address) and version.partition(".")[0] == system
        if own and (kind in own or same_system):
            return reader
    return None


def reader_of(version: str) -> Reader | None:
    """The reader for an ``apiVersion``; None if there is none.

    Raises:
        TargetError: the package that registers it cannot be loaded.
    """
    return cast("Reader | None", load_registered(GROUP, version))
