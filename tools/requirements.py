"""Prints what pyproject.toml asks for, build tools and every extra included, one requirement a line.

The one list stays in pyproject.toml; pip installs it in one go, so that versions are chosen together.
"""

import tomllib
from pathlib import Path

project = tomllib.loads(Path(__file__).parent.parent.joinpath("pyproject.toml").read_text())
wanted = [
    *project["build-system"]["requires"],
    *project["project"]["dependencies"],
    *(requirement for extra in project["project"]["optional-dependencies"].values() for requirement in extra),
]
print("\n".join(dict.fromkeys(wanted)))
