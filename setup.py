"""The compiled kernels. Everything else about the package stands in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

# SYNCSTRING_DEBUG=1 builds with bounds checks, asserts and line tracing: the same tests run on it.
DEBUG = os.environ.get("SYNCSTRING_DEBUG") == "1"
# SYNCSTRING_SANITIZE=1 builds with bounds checks and gcc's sanitizers: tests/sanitized.py runs tests on it.
SANITIZE = os.environ.get("SYNCSTRING_SANITIZE") == "1"

directives = {
    "language_level": 3,
    "boundscheck": DEBUG or SANITIZE,
    "wraparound": False,
    "initializedcheck": DEBUG or SANITIZE,
    "cdivision": True,
    "embedsignature": True,
    "auto_pickle": False,
    "linetrace": DEBUG,
}
flags = ["-O3"]
links: list[str] = []
if SANITIZE:
    links = ["-fsanitize=address,undefined"]
    flags = [*links, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1", "-g"]
elif DEBUG:
    flags = ["-O0", "-g"]

extensions = [
    Extension(
        f"syncstring.{path.stem}",
        [f"syncstring/{path.name}"],
        extra_compile_args=[*flags, "-Wno-unreachable-code"],
        extra_link_args=links,
        define_macros=[("CYTHON_TRACE_NOGIL", "1")] if DEBUG else [],
    )
    for path in sorted(Path(__file__).parent.joinpath("syncstring").glob("*.pyx"))
]

setup(ext_modules=cythonize(extensions, compiler_directives=directives, annotate=DEBUG))
