"""Sphinx: `make docs` builds these pages, and stops at the first warning."""

import re
from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

import gaia

project = "Gaia"
author = copyright = "the Gaia authors"
version = release = gaia.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]

# Links to headings are checked like those to files.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

# `name` in a docstring is a link where it names something.
default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"Gaia {version}"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
copybutton_here_doc_delimiter = "END"


def setup(app: Any) -> None:
    app.add_transform(Twins)
    app.connect("autodoc-process-docstring", code_as_it_stands)
    app.connect("autodoc-process-signature", no_constructor)


class Twins(SphinxTransform):
    """A picture `name-light.png` has a twin `name-dark.png`, which dark pages show in its place."""

    # Before Sphinx collects the pictures.
    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        for light in list(self.document.findall(nodes.image)):
            name, end, _ = light["uri"].partition("-light.png")
            if end:
                dark = light.deepcopy()
                dark["uri"] = f"{name}-dark.png"
                light["classes"].append("only-light")
                dark["classes"].append("only-dark")
                light.parent.insert(light.parent.index(light) + 1, dark)


def code_as_it_stands(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """In backticks, names are links, and all else is code in which a backslash is a backslash."""
    paragraphs = "\n".join(lines).split("\n\n")
    for number, paragraph in enumerate(paragraphs):
        if not paragraph.lstrip().startswith(">>>"):
            paragraphs[number] = re.sub(r"(?<!`)`([^`]+)`(?!`)(\w?)", _literal, paragraph)
    lines[:] = "\n\n".join(paragraphs).split("\n")


def _literal(match: re.Match[str]) -> str:
    code, behind = match.groups()
    shown = f"`{code}`" if re.fullmatch(r"[\w.]+", code) else f"``{code}``"
    return rf"{shown}\ {behind}" if behind else shown


def no_constructor(app: Any, what: str, name: str, *rest: Any) -> tuple[str, None] | None:
    """A context is made by Gaia alone."""
    return ("", None) if name == "gaia.Context" else None
