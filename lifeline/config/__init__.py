"""Lifelines by name: from lifeline.toml, [tool.lifeline] of pyproject.toml, or a Procfile."""
