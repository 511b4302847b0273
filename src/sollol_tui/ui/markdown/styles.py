"""The names of the styles that laid-out Markdown uses; a span may have several, blanks between."""

from __future__ import annotations

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
INLINE = ("strong", "em", "s", "codespan", "link", "muted")
BLOCKS = ("marker", "bar", "quote", "th", "code", "label")
CODE = ("keyword", "string", "number", "comment", "call", "name", "added", "removed")
"""Behind `code`, where a block is coloured."""
