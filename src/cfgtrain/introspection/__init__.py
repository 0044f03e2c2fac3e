"""Information about code and the process: signatures, definitions, import paths, call stacks, CPUs."""

__all__: list[str] = []
