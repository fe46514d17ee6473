"""The compiled kernels. Everything else about the package stands in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

# SYNCSTRING_DEBUG=1 builds with bounds checks, asserts and line tracing: the same tests run on it.
DEBUG = os.environ.get("SYNCSTRING_DEBUG") == "1"

directives = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "embedsignature": True,
    "auto_pickle": False,
    "linetrace": DEBUG,
}
flags = ["-O0", "-g"] if DEBUG else ["-O3"]

extensions = [
    Extension(
        f"syncstring.{path.stem}",
        [f"syncstring/{path.name}"],
        extra_compile_args=[*flags, "-Wno-unreachable-code"],
        define_macros=[("CYTHON_TRACE_NOGIL", "1")] if DEBUG else [],
    )
    for path in sorted(Path(__file__).parent.joinpath("syncstring").glob("*.pyx"))
]

setup(ext_modules=cythonize(extensions, compiler_directives=directives, annotate=DEBUG))
