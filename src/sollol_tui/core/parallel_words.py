"""The usual parts of an answer, by kind, for two to five writers."""

from __future__ import annotations

Titles = tuple[tuple[str, ...], ...]

PARTS_EN: dict[str, Titles] = {
    "research": (
        ("Background", "Findings"),
        ("Background", "Findings", "Open questions"),
        ("Background", "Methods", "Findings", "Open questions"),
        ("Background", "Methods", "Findings", "Applications", "Open questions"),
    ),
    "discussion": (
        ("Arguments for", "Arguments against"),
        ("Arguments for", "Arguments against", "Weighing them"),
        ("What it is about", "Arguments for", "Arguments against", "Weighing them"),
        ("What it is about", "Arguments for", "Arguments against", "In practice", "Weighing them"),
    ),
    "story": (
        ("The beginning", "The end"),
        ("The beginning", "The middle", "The end"),
        ("The beginning", "The conflict", "The turning point", "The end"),
        ("The beginning", "The departure", "The conflict", "The turning point", "The end"),
    ),
    "explanation": (
        ("The idea", "How it works"),
        ("The idea", "How it works", "Examples"),
        ("The idea", "How it works", "Examples", "Limits and pitfalls"),
        ("The idea", "Terms", "How it works", "Examples", "Limits and pitfalls"),
    ),
    "analysis": (
        ("What is there", "What follows from it"),
        ("What is there", "Differences and causes", "What follows from it"),
        ("What is there", "Strengths", "Weaknesses", "What follows from it"),
        ("What is there", "Strengths", "Weaknesses", "Causes", "What follows from it"),
    ),
}

PARTS_DE: dict[str, Titles] = {
    "research": (
        ("Hintergrund", "Ergebnisse"),
        ("Hintergrund", "Ergebnisse", "Offene Fragen"),
        ("Hintergrund", "Methoden", "Ergebnisse", "Offene Fragen"),
        ("Hintergrund", "Methoden", "Ergebnisse", "Anwendungen", "Offene Fragen"),
    ),
    "discussion": (
        ("Was dafür spricht", "Was dagegen spricht"),
        ("Was dafür spricht", "Was dagegen spricht", "Abwägung"),
        ("Worum es geht", "Was dafür spricht", "Was dagegen spricht", "Abwägung"),
        ("Worum es geht", "Was dafür spricht", "Was dagegen spricht", "Praxis", "Abwägung"),
    ),
    "story": (
        ("Der Anfang", "Das Ende"),
        ("Der Anfang", "Die Mitte", "Das Ende"),
        ("Der Anfang", "Der Konflikt", "Die Wende", "Das Ende"),
        ("Der Anfang", "Der Aufbruch", "Der Konflikt", "Die Wende", "Das Ende"),
    ),
    "explanation": (
        ("Die Idee", "Wie es funktioniert"),
        ("Die Idee", "Wie es funktioniert", "Beispiele"),
        ("Die Idee", "Wie es funktioniert", "Beispiele", "Grenzen und Fallen"),
        ("Die Idee", "Begriffe", "Wie es funktioniert", "Beispiele", "Grenzen und Fallen"),
    ),
    "analysis": (
        ("Was vorliegt", "Was daraus folgt"),
        ("Was vorliegt", "Unterschiede und Ursachen", "Was daraus folgt"),
        ("Was vorliegt", "Stärken", "Schwächen", "Was daraus folgt"),
        ("Was vorliegt", "Stärken", "Schwächen", "Ursachen", "Was daraus folgt"),
    ),
}
