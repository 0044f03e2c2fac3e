"""What Python knows of code and of its own process: signatures, definitions, import paths, call stacks, CPUs."""

__all__: list[str] = []
