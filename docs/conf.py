"""Sphinx: `make docs` builds these pages, and stops at the first warning."""

import gaia

project = "Gaia"
author = "the Gaia authors"
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
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"Gaia {version}"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
copybutton_here_doc_delimiter = "END"
