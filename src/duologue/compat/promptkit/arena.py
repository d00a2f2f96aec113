"""An arena to a suite: its files, its references to them, and what it says of everything together."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duologue.compat.promptkit import resources
from duologue.compat.promptkit.arena_shapes import KINDS, LENIENT
from duologue.compat.promptkit.assertions import adapted
from duologue.compat.promptkit.field_mapping import Moved, each, given, without
from duologue.compat.promptkit.unsupported import drop_unsupported
from duologue.config.files import shown_path
from duologue.config.problems import Mark, PlacedDict, PlacedList, Problems
from duologue.config.spec import rebased_path
from duologue.config.templates import expand
from duologue.config.yaml_reader import read
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.specs.suite import Output
from duologue.suites.manifests.loader import UNREAD, UNSUPPORTED, checked, is_bare, opened

API_VERSION = "promptkit.altairalabs.ai/v1alpha1"

_KEPT = ("skills", "runtime", "compositions", "memory", "agents", "deploy")
_CALLS = {"skills": "skill__…", "memory": "memory__…"}
"""What agents call of a section that is kept."""
_SAME = ("temperature", "seed", "concurrency", "run_timeout")
_FORMATS = ("json", "html", "markdown", "junit")
_OLD = {
    "html_report": "output.html.file",
    "out_dir": "output.dir",
    "output_formats": "output.formats",
    "markdown_config": "output.markdown",
}

_HOW_ARENAS_RUN = {"stop_on_failed_check": True, "allow_undecided": "all"}
"""A failed assertion of a turn ends the conversation there, and a run without assertions counts as a success."""
_SEED = 42
"""Of arenas that name none: their plan is the same every time, until somebody asks for another seed."""
_PROVIDER_LISTS = ("providers", "tts_providers", "stt_providers", "embedding_providers", "image_providers")


@frozen
class Found:
    """A resource of an arena.

    Attributes:
        data: the manifest's spec and metadata, checked.
        entry: what the arena says of it, such as its group.
        below: the folder of its file, from that of the arena.
    """

    data: PlacedDict
    entry: PlacedDict
    below: str = ""


@dataclass(kw_only=True)
class ArenaReader:
    """Reads one arena."""

    spec: PlacedDict
    folder: Path
    problems: Problems
    base: str = ""
    broken: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    names: dict[str, str] = field(default_factory=dict[str, str])

    def suite(self) -> PlacedDict:
        """The suite's fields and sections."""
        spec, problems = self.spec, self.problems
        defaults = spec.get("defaults")
        self.base = self._config_dir(defaults) if isinstance(defaults, PlacedDict) else ""
        moved = Moved(spec).same("name", "labels", "annotations", "workflow", "a2a_agents")
        moved.field("pack_evals", "pack_evals", each(lambda item: adapted(item, problems)))
        moved.field("pack_file", "pack_file", lambda path: self._rebased(path) if path else None)
        moved.field("mcp_servers", "mcp_servers", each(without("transport")))
        written = defaults if isinstance(defaults, PlacedDict) else PlacedDict(spec.mark("defaults"))
        moved.put("defaults", _defaults_of(written, problems), written.home)
        moved.from_within("globals", checks="conversation_assertions")
        if "checks" in moved.made:
            moved.made["checks"] = resources.checks(problems)(moved.made["checks"])
        self._participants(moved)
        self._rehearsed(moved)
        self._kept(moved)
        return moved.made

    def _participants(self, moved: Moved) -> None:
        found = [item for key in _PROVIDER_LISTS for item in self.found(key, "Provider", "models")]
        found += self.inline("provider_specs", "Provider", "models")
        self._section(moved, "models", [resources.model(item.data, self.problems) for item in found])
        talking = [item for item in found if item.data.get("role", "llm") == "llm"]
        agents = [resources.agent(item.data, item.entry.get("group", "default")) for item in talking]
        self._section(moved, "agents", agents)
        play = self.spec.get("self_play")
        if isinstance(play, PlacedDict):
            people = self.found("personas", "Persona", "personas", of=play)
            people += self.inline("persona_specs", "Persona", "personas", of=play)
            self._section(moved, "personas", [resources.persona(item.data, self.problems) for item in people])
            if play.get("enabled", True):
                moved.field("simulators", "self_play", lambda _: each(self._simulator)(play.get("roles")))
        judges = [self._judge(item) for item in self.spec.get("judges", ())]
        for name, entry in self.spec.get("judge_specs", {}).items():
            judges.append(self._named(self._judge(entry), name))
        self._section(moved, "judges", judges)
        if isinstance(self.spec.get("judge_defaults"), PlacedDict):
            moved.field("judge_defaults", "judge_defaults", self._judge_defaults)

    def _rehearsed(self, moved: Moved) -> None:
        spec, problems = self.spec, self.problems
        prompts = [
            resources.prompt(item.data, problems, item.entry["id"], item.entry.get("vars"))
            for item in self.found("prompt_configs", "PromptConfig", "prompts")
        ]
        inline = self.inline("prompt_specs", "PromptConfig", "prompts")
        prompts += [resources.prompt(item.data, problems, item.data["name"]) for item in inline]
        self._section(moved, "prompts", prompts)
        tools = self.found("tools", "Tool", "tools") + self.inline("tool_specs", "Tool", "tools")
        self._section(moved, "tools", [resources.tool(item.data) for item in tools])
        play = spec.get("self_play")
        roles = [item["id"] for item in play.get("roles", ())] if play and play.get("enabled", True) else []
        scenarios = self.found("scenarios", "Scenario", "scenarios")
        scenarios += self.inline("scenario_specs", "Scenario", "scenarios")
        made = [resources.scenario(item.data, problems, roles) for item in scenarios]
        self._section(moved, "scenarios", [self._with_names(item) for item in made])
        evals = self.found("evals", "Eval", "replays") + self.inline("eval_specs", "Eval", "replays")
        self._section(moved, "replays", [resources.replay(item.data, problems, item.below) for item in evals])

    def _kept(self, moved: Moved) -> None:
        extensions: dict[str, Any] = {}
        for key in _KEPT:
            if self.spec.get(key):
                extensions[key] = self.spec[key]
                told = "is kept, but not used by this version of Duologue"
                calls = f"; a run that calls {_CALLS[key]} ends as an error" if key in _CALLS else ""
                self.problems.warning(self.spec.mark(key).key(), told + calls)
        if extensions:
            moved.put("extensions", extensions)

    def found(self, key: str, kind: str, section: str, *, of: PlacedDict | None = None) -> list[Found]:
        """The resources of a list of files. Those that are refused are left out."""
        items = (of if of is not None else self.spec).get(key, ())
        made = [self._read(item, kind, section) for item in self._each_once(items)]
        return [item for item in made if item is not None]

    def _each_once(self, entries: Iterable[PlacedDict]) -> Iterator[PlacedDict]:
        """The entries without those whose file is in the list a second time, with the same in every other field."""
        seen: dict[str, PlacedDict] = {}
        for entry in entries:
            first = seen.setdefault(posixpath.normpath(entry["file"]), entry)
            if first is entry or first.without("file") != entry.without("file"):
                yield entry
                continue
            place = first.mark("file").value()
            told = f"'{entry['file']}' is listed twice, first in {place}; it is read once. Remove one"
            self.problems.warning(entry.mark("file"), told)

    def inline(self, key: str, kind: str, section: str, *, of: PlacedDict | None = None) -> list[Found]:
        """The resources that are written in the arena itself, by name."""
        specs = (of if of is not None else self.spec).get(key, {})
        made: list[Found] = []
        for name, data in specs.items():
            if isinstance(data, PlacedDict):
                whole = PlacedDict(data.home, data, dict(data.marks))
                whole.put("name", name, specs.mark(name))
                checked_data = self._checked(whole, kind, section)
                made += [Found(data=whole, entry=data)] if checked_data else []
        return made

    def _read(self, entry: PlacedDict, kind: str, section: str) -> Found | None:
        asked_by = entry.mark("file").value()
        try:
            written = expand(self._rebased(entry["file"]))
        except ConfigurationError as error:
            self.problems.error(asked_by, str(error))
            self._is_broken(section, entry.get("id", UNREAD))
            return None
        path = self.folder / written
        data = read(path, self.problems, shown_as=shown_path(path), asked_by=asked_by)
        if data is None:
            self._is_broken(section, entry.get("id", UNREAD), UNREAD)
            return None
        if is_bare(data):
            data.setdefault("name", data.get("id") or path.name.split(".")[0])
            spec = data
        else:
            frame = opened(data, self.problems, api=None, kinds=[kind])
            if frame is None:
                self._is_broken(section, UNREAD)
                return None
            spec = frame[1]
        if not self._checked(spec, kind, section):
            self._is_broken(section, entry.get("id", spec.get("name")))
            return None
        below = os.path.relpath(path.parent, self.folder)
        return Found(data=spec, entry=entry, below=Path(below).as_posix())

    def _checked(self, spec: PlacedDict, kind: str, section: str) -> bool:
        shape = checked(KINDS[kind], spec, self.problems, lenient=LENIENT)
        if shape is None:
            self._is_broken(section, *(spec[key] for key in ("name", "task_type") if key in spec))
            return False
        drop_unsupported(shape, self.problems)
        self._notes_other_id(spec, section)
        return True

    def _is_broken(self, section: str, *names: Any) -> None:
        """Remember what was refused, so that what refers to it is not called a mistake as well."""
        for each_section in (section, "agents") if section == "models" else (section,):
            self.broken.setdefault(each_section, set()).update(map(str, names))

    def _notes_other_id(self, spec: PlacedDict, section: str) -> None:
        """``metadata.name`` is the name, whatever ``spec.id`` says; references to the id are understood."""
        other, name = spec.get("id"), spec.get("name")
        if isinstance(other, str) and name not in {"?", other}:
            told = f"'{other}' is not used: metadata.name is '{name}', and that is the name. Make them the same"
            self.problems.warning(spec.mark("id"), told)
            self.names.setdefault(f"{section}/{other}", str(name))

    def _name(self, section: str, name: Any, mark: Mark) -> Any:
        """A name of something; an id that is not used is replaced by the name, with a warning."""
        real = self.names.get(f"{section}/{name}")
        if real is None:
            return name
        self.problems.warning(mark, f"'{name}' is the id of '{real}'; names are what counts. Write '{real}'")
        return real

    def _with_names(self, made: PlacedDict) -> PlacedDict:
        for turn in made.get("turns", ()):
            if "persona" in turn:
                turn["persona"] = self._name("personas", turn["persona"], turn.mark("persona"))
        agents = made.get("agents")
        if isinstance(agents, PlacedList):
            names = [self._name("models", name, agents.mark(index)) for index, name in enumerate(agents)]
            made["agents"] = PlacedList(agents.home, names, agents.marks)
        return made

    def _simulator(self, role: PlacedDict) -> PlacedDict:
        model = self._name("models", role["provider"], role.mark("provider"))
        return Moved(role).field("name", "id").put("model", model, role.mark("provider")).made

    def _judge(self, entry: PlacedDict) -> PlacedDict:
        model = self._name("models", entry["provider"], entry.mark("provider"))
        return Moved(entry).same("name").put("model", model, entry.mark("provider")).field("model_name", "model").made

    def _named(self, made: PlacedDict, name: str) -> PlacedDict:
        made.put("name", name, made.home)
        return made

    def _judge_defaults(self, value: PlacedDict) -> PlacedDict:
        if value.get("prompt_registry"):
            told = "has no effect: prompts are looked up among prompt_configs; remove it"
            self.problems.warning(value.mark("prompt_registry").key(), told)
        return Moved(value).field("prompt", "prompt", given).made

    def _config_dir(self, defaults: PlacedDict) -> str:
        try:
            return expand(defaults.get("config_dir") or "")
        except ConfigurationError as error:
            self.problems.error(defaults.mark("config_dir"), str(error))
            return ""

    def _rebased(self, path: str) -> str:
        return rebased_path(path, self.base)

    def _section(self, moved: Moved, section: str, items: list[PlacedDict]) -> None:
        if items:
            home = self.spec.home
            moved.put(section, PlacedList(home, items, [item.home for item in items]))


def _defaults_of(source: PlacedDict, problems: Problems) -> PlacedDict:
    """The defaults of a suite.

    Args:
        source: those of the arena.
        problems: takes warnings of old names and of what has no effect.
    """
    for old, new in _OLD.items():
        if source.get(old):
            problems.warning(source.mark(old).key(), f"is an old name; write {new}")
    for key in ("monitor", "inference"):
        if source.get(key):
            problems.warning(source.mark(key).key(), "is not used by this version of Duologue")
    moved = Moved(source).same(*_SAME).field("max_tokens", "max_tokens", given)
    for key, value in _HOW_ARENAS_RUN.items():
        moved.put(key, value)
    if source.get("seed") is None:
        moved.put("seed", _SEED)
    output = _output(source, problems)
    return moved.put("output", output, source.mark("output")).made if output else moved.made


def _output(source: PlacedDict, problems: Problems) -> PlacedDict | None:
    written = source.get("output")
    inner = written if isinstance(written, PlacedDict) else PlacedDict(source.home)
    moved = Moved(inner).same("dir", "formats")
    old = Moved(source).field("dir", "out_dir").field("formats", "output_formats").made
    for key, value in old.items():
        if value and key not in moved.made:
            moved.put(key, value, source.mark(key))
    files: dict[str, Any] = {"html": source["html_report"]} if source.get("html_report") else {}
    for mark in _with_options(source, inner):
        problems.warning(mark.key(), f"has no effect here: {UNSUPPORTED[Output]['options']}")
    for name in _FORMATS:
        of_format = inner.get(name)
        if isinstance(of_format, PlacedDict) and "file" in of_format:
            files[name] = of_format["file"]
    recording = inner.get("recording")
    if isinstance(recording, PlacedDict) and recording.get("enabled"):
        moved.put("recording", recording.get("dir") or "recordings", inner.mark("recording"))
    if files:
        moved.put("files", files, inner.home)
    return moved.made or None


def _with_options(source: PlacedDict, output: PlacedDict) -> Iterator[Mark]:
    """Where formats have options other than the name of their file."""
    if source.get("markdown_config"):
        yield source.mark("markdown_config")
    for name in _FORMATS:
        if {*(output.get(name) or {})} - {"file"}:
            yield output.mark(name)
