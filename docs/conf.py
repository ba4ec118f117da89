"""How Sphinx makes the pages of the documents: ``make docs``.

The documents link to each other as files, ```cli.rst <cli.rst>`__``, so that the links also work where the files are
shown as they are. Here these become links between pages, and one that leads nowhere is a warning. The theme asks the
network for nothing.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Final

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

import p2p

__all__ = ["setup"]

_ROOT: Final = Path(__file__).resolve().parent.parent
#: Documents that lie in the root of the project, and the pages that include them.
_INCLUDED: Final = {"../README": "readme", "../CHANGELOG": "changelog", "../CONTRIBUTING": "contributing"}

_log = logging.getLogger(__name__)

project = "p2p"
author = "the p2p authors"
release = version = p2p.__version__

exclude_patterns = ["_build"]
highlight_language = "text"
html_theme = "furo"
html_title = f"p2p {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_copyright = False
html_show_sphinx = False


def _page(reference: str, page: str) -> str:
    """The page that a link to a document means, as seen from ``page``, without the ending."""
    folder = ".." if page in _INCLUDED.values() else posixpath.dirname(page)
    target = posixpath.normpath(posixpath.join(folder, reference.removesuffix(".rst")))
    inside = target.removeprefix("../docs/")
    return _INCLUDED.get(inside, inside)


def _resolve_links(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Make links to files of the project links to their pages; of files without a page, the words stay.

    A link that just shows the name of the file shows the title of its page.
    """
    for node in list(doctree.findall(nodes.reference)):
        uri = node.get("refuri", "")
        if node.get("internal") or not uri or ":" in uri or uri.startswith("#"):
            continue
        path, _, anchor = uri.partition("#")
        target = _page(path, page)
        if target in app.env.found_docs:
            if anchor and anchor not in app.env.get_doctree(target).ids:
                _log.warning("the document %s has no section #%s", path, anchor, location=node)
            node["refuri"] = app.builder.get_relative_uri(page, target) + (f"#{anchor}" if anchor else "")
            node["internal"] = True
            if node.astext() == posixpath.basename(path):
                node.children = [nodes.Text(app.env.titles[target].astext())]
        else:
            if not (_ROOT / "docs" / target).exists():
                _log.warning("a link to %s, which isn't there", uri, location=node)
            node.replace_self(node.children)


def _drop_contents(app: Sphinx, doctree: nodes.document) -> None:
    """Leave out a document's own table of contents: each page has one beside it."""
    for node in list(doctree.findall(nodes.topic)):
        if "contents" in node["classes"]:
            node.parent.remove(node)
    for title in doctree.findall(nodes.title):
        title.attributes.pop("refid", None)  # the way back to where its line was


def _find_pictures(app: Sphinx, path: Path, page: str, content: list[str]) -> None:
    """Have a document that is included find the pictures in ``docs/``, where it is read now."""
    content[0] = content[0].replace(".. image:: docs/", ".. image:: ")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.connect("include-read", _find_pictures)
    app.connect("doctree-read", _drop_contents)
    app.connect("doctree-resolved", _resolve_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
