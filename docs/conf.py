"""The site, which `make docs` builds in site/; docs/adr/0038-a-site-by-sphinx.md says why so."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "_extensions"))

import evengrad  # noqa: E402 - after the path, as the extensions are

# Examples and notebooks put nothing into the zoo of whoever builds the site.
os.environ["EVENGRAD_ZOO"] = tempfile.mkdtemp(prefix="evengrad-zoo-")

project = "evengrad"
author = "The evengrad developers"
project_copyright = author
version = release = evengrad.__version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
    "myst_nb",
    "sphinx_copybutton",
    # Ours.
    "docstrings",
    "reference_pages",
    "code_links",
    "mathml",
]
exclude_patterns = [
    "_build",
    "_extensions",
    "adr/0000-template.md",
    "gallery/*.ipynb",
    "gallery/*.py",
]
nitpicky = True
# Names in docstrings are code; `code_links` makes references of those that are public.
default_role = "literal"
highlight_language = "none"
suppress_warnings = [
    # Functions of the configuration are compared between builds by pickling, which they cannot be.
    "config.cache",
]

# -- The reference -----------------------------------------------

autosummary_generate = False
autodoc_member_order = "bysource"
# Docstrings say what arguments are; most take a name, a layer or a function, so `Any`.
autodoc_typehints = "none"
maximum_signature_line_length = 88
add_module_names = False

# -- Pages -------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
# Links within a page are those of its headings, as on GitHub.
myst_heading_anchors = 4
# Outputs are shown as they came, with bars of progress as text: widgets load scripts from another
# host. tqdm says so in a warning.
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
# Notebooks lie with the examples; Sphinx reads what is below its sources.
for notebook in (ROOT / "examples" / "notebooks").glob("*.ipynb"):
    (HERE / "notebooks").mkdir(exist_ok=True)
    shutil.copy2(notebook, HERE / "notebooks")

# -- The gallery -------------------------------------------------


def arguments_of_examples(_configuration: object, _script: object) -> list[str]:
    """Run examples with less of everything; figures that they leave open are shown."""
    return ["--quick", "--output", "results"]


sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "gallery",
    # Every program runs, and one that fails ends the build.
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "reset_argv": arguments_of_examples,
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "gallery/used",
    "doc_module": ("evengrad",),
    "default_thumb_file": str(HERE / "_static" / "logo.png"),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "min_reported_time": 1e9,
}

# -- HTML --------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "evengrad"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/logo.svg"
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"index": [], "get-started": []}
html_theme_options = {
    "logo": {
        "text": "evengrad",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
    },
    "icon_links": [
        {
            "name": "Repository",
            "url": "https://github.com/evengrad/evengrad",
            "icon": "fa-brands fa-github",
        }
    ],
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    # A sidebar that is folded is written once for each page, and quickly.
    "collapse_navigation": True,
    "show_nav_level": 1,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
