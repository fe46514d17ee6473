# No face in Python: `_common.pxd` is what other kernels see.
__all__: list[str]
