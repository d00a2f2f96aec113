"""The modules of the pages as one script, and the files that a server sends."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from duologue import web
from duologue.terminal_text import UNSEEN
from duologue.web import bundle

STATIC = Path(web.__file__).parent / "static"
ENTRIES = ("report.js", "view.js", "serve.js")


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_becomes_one_script(entry):
    script = web.script(entry)
    assert not re.findall(r"^(?:import|export)\b", script, re.MULTILINE)
    assert script.count('modules["dom.js"] =') == 1
    assert script.index('modules["dom.js"] =') < script.index('= modules["dom.js"]')


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ('import x from "./other.js";\n', "import x"),
        ('import * as x from "./other.js";\n', r"import \* as x"),
        ("export default 1;\n", "export default"),
        ("export let x = 1;\n", "export let"),
        ('const x = await import("./other.js");\n', r"import\("),
        ('export { x } from "./other.js";\n', "export {"),
    ],
)
def test_what_cannot_be_translated_is_named(monkeypatch, source, part):
    monkeypatch.setattr(bundle, "module_text", lambda name: {"made.js": source, "other.js": ""}[name])
    with pytest.raises(ValueError, match=f"made.js: .*{part}"):
        bundle.script.__wrapped__("made.js")


def test_a_circle_is_named(monkeypatch):
    modules = {"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'}
    monkeypatch.setattr(bundle, "module_text", modules.__getitem__)
    with pytest.raises(ValueError, match=r"a.js -> b.js -> a.js"):
        bundle.script.__wrapped__("a.js")


def test_a_translated_module_does_what_it_did(monkeypatch, tmp_path):
    node = shutil.which("node") or pytest.skip("needs node")
    modules = {
        "start.js": 'import { add as plus, Box,\n  ONE } from "./other.js";\n'
        "console.log(new Box(plus(ONE, 2)).value);\n",
        "other.js": "export const ONE = 1;\nexport function add(a, b) {\n  return a + b;\n}\n"
        "export class Box {\n  constructor(value) {\n    this.value = value;\n  }\n}\n",
    }
    monkeypatch.setattr(bundle, "module_text", modules.__getitem__)
    (tmp_path / "all.js").write_text(bundle.script.__wrapped__("start.js"))
    said = subprocess.run([node, str(tmp_path / "all.js")], capture_output=True, text=True, check=True)
    assert said.stdout == "3\n"


@pytest.mark.parametrize(
    "name", ["", "..", "../assets.py", "tokens.css", "none.js", "/etc/passwd", "dom.js/", "DOM.JS"]
)
def test_only_files_of_the_pages_are_sent(name):
    assert web.static_file(name) is None


@pytest.mark.parametrize("name", ["none.bundle.js", "duologue.css.bundle.js", ".bundle.js", "../x.bundle.js"])
def test_what_is_no_module_has_no_bundle(name):
    assert web.static_answer(name) is None


@pytest.mark.parametrize("entry", ["view.js", "serve.js"])
def test_a_page_loads_one_script_and_one_style_sheet_that_a_browser_keeps(entry):
    page = web.app_page(entry).decode()
    named = re.findall(r"/static/([\w.]+)\?v=(\w+)", page)
    assert [name for name, _ in named] == ["duologue.css", entry.replace(".js", ".bundle.js")]
    assert "modulepreload" not in page
    for name, version in named:
        found = web.static_answer(name, version=version)
        assert found.status == 200
        assert "immutable" in found.headers["Cache-Control"]
        assert web.static_answer(name, version="another").headers["Cache-Control"] == "no-cache"
        assert web.static_answer(name).headers["Cache-Control"] == "no-cache"
        known = web.static_answer(name, version=version, known=found.headers["ETag"])
        assert (known.status, known.content) == (304, b"")
    assert web.static_answer(named[1][0]).content.decode() == web.script(entry)


def test_what_is_asked_for_first_stands_in_the_frame_as_an_address():
    page = web.app_page("view.js", ['/api/x?a=1&b="><script>']).decode()
    assert 'href="/api/x?a=1&amp;b=&quot;&gt;&lt;script&gt;"' in page
    assert "%" not in page


def test_files_have_their_types():
    assert web.static_file("dom.js").media_type == "text/javascript; charset=utf-8"
    style = web.static_file("duologue.css")
    assert style.media_type == "text/css; charset=utf-8"
    assert b"--paper" in style.content


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_modules_never_make_markup_or_styles_of_text(path):
    text = path.read_text("utf-8")
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function|srcdoc", text)
    assert not re.findall(r"""setAttribute\(["']style|style:\s*["'`]""", text)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert all(len(line) <= 120 for line in text.splitlines())


def test_no_rule_but_the_tokens_names_a_colour():
    for path in STATIC.glob("*.css"):
        if path.name != "tokens.css":
            text = re.sub(r"/\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
            assert not re.findall(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(", text), path.name


def test_every_export_is_imported_somewhere():
    modules = {path.name: path.read_text("utf-8") for path in STATIC.glob("*.js")}
    exported, imported = set(), set()
    for name, text in modules.items():
        found = re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", text, re.MULTILINE)
        exported |= {(name, word) for word in found}
        for words, source in re.findall(r'^import \{([^}]*)\} from "\./([\w.]+)";', text, re.MULTILINE):
            imported |= {(source, word.split()[0]) for word in words.split(",") if word.strip()}
    assert exported - imported == set()


def test_every_token_of_the_style_sheet_is_described_and_used():
    styles = {path.name: path.read_text("utf-8") for path in STATIC.glob("*.css")}
    head, _, rules = styles["tokens.css"].partition("*/")
    tokens = set(re.findall(r"(--[\w-]+):", rules))
    named = set(re.findall(r"--[\w-]+\w", head))
    everything = "".join([*styles.values(), *(path.read_text("utf-8") for path in STATIC.glob("*.js"))])
    assert tokens - named == set()
    assert {token for token in tokens if f"var({token})" not in everything and f'"{token}"' not in everything} == set()


def test_the_policy_allows_nothing_inline_and_no_other_host():
    assert "unsafe" not in web.POLICY
    assert "*" not in web.POLICY
    assert "http" not in web.POLICY


def test_pages_name_the_characters_that_terminals_name():
    """What is not seen is not seen anywhere."""
    classes = re.findall(r'^  "\[(.*)\]",$', (STATIC / "dom.js").read_text("utf-8"), re.MULTILINE)
    here = "".join(classes).replace("\\\\", "\\")
    here = re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: f"\\U{int(found[1], 16):08x}", here)
    everything = [chr(code) for code in range(0x110000)]
    assert [
        char for char in everything if bool(re.match(f"[{here}]", char)) != bool(re.match(f"[{UNSEEN}]", char))
    ] == []
    hidden = "\u200b\u202e\u2066\u061c\u3164\u115f\u034f\U000e0041\U000e0100\U000e01ef\ud800\x00\x1b"
    assert all(re.match(f"[{here}]", char) for char in hidden)
    assert not re.search(f"[{here}]", "a é \u200d\u200c\ufe0f \u2800 \t\n\u00a0 \u4e2d\U0001f600")
