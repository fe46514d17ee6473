# No face in Python: `_bisect.pxd` is what other kernels see.
__all__: list[str]
