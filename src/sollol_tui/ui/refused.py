"""The answer to a command that cannot be done."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not a fault of the program
    """A command was understood and cannot be done; the text is the sentence to show."""
