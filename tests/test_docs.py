"""The documentation: every snippet runs, every public name is described, every file is there."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from snippets import snippets

import gaia
import gaia.ops
import gaia.testing

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

# What readers are shown and no test runs, by reason. Nothing else is left out.
NOT_RUN = {
    "an outline": 1,
    "changes the shell": 1,
    "code of a peer": 4,
    "installs packages": 2,
    "needs a cluster": 3,
    "needs the internet": 1,
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_snippets(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each page runs in a process of its own; buckets of its `gs://` are the emulator's."""
    environment = dict(os.environ)
    if "gs://" in page.read_text():
        bucket = request.getfixturevalue("gcs")
        type(bucket)(bucket.server, "my-bucket").allow("read-write")
        environment |= bucket.environment()
    environment["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "snippets.py", page],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_what_is_not_run() -> None:
    found: dict[str, int] = {}
    for page in PAGES:
        for snippet in snippets(page):
            if snippet.not_run:
                found[snippet.not_run] = found.get(snippet.not_run, 0) + 1
    assert found == NOT_RUN


def test_troubleshooting_quotes_what_gaia_says() -> None:
    page = (DOCS / "troubleshooting.md").read_text()
    quoted = re.findall(r"\*\*`([^`]+)`\*\*", page)
    parts = {part.strip(" ,()") for message in quoted for part in message.split("...")}
    said = messages()
    assert len(quoted) > 15
    assert [part for part in parts if not any(part in text for text in said)] == []


def messages() -> set[str]:
    """All texts in Gaia's code; of those with fields, what stands between them."""
    trees = [ast.parse(file.read_text()) for file in (ROOT / "gaia").rglob("*.py")]
    nodes = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {node.value for node in nodes if isinstance(node.value, str)}


def described() -> set[str]:
    """The names that the reference describes."""
    directive = re.compile(r"^\.\. (?:auto\w+|py:data|py:class):: (?:gaia\.)?(\S+)", re.MULTILINE)
    return {
        name
        for page in (DOCS / "reference").glob("*.rst")
        for name in directive.findall(page.read_text())
    }


def test_reference_is_complete() -> None:
    names = {name for name in gaia.__all__ if name != "ops"}
    names |= {f"ops.{name}" for name in gaia.ops.__all__}
    names |= {f"testing.{name}" for name in public_of(gaia.testing)}
    assert names - described() == set()


def public_of(module: Any) -> set[str]:
    """What a module without `__all__` defines for its users."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=name_of)
def test_links_to_files(page: Path) -> None:
    """Of the pages that the documentation's own build does not check."""
    links = [
        str(token.attrs.get("href") or token.attrs.get("src"))
        for block in MarkdownIt().enable("table").parse(page.read_text())
        for token in block.children or ()
        if token.type in ("link_open", "image")
    ]
    files = [link.partition("#")[0] for link in links if "://" not in link]
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert files or page.name == "CONTRIBUTING.md"
