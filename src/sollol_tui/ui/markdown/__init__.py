"""Streamed Markdown to laid-out lines. Pure: no widget, no clock."""
