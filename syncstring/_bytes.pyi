# For kernels alone: nothing here has a face in Python.
__all__: list[str] = []
