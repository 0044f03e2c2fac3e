"""What Python knows of code: signatures, definitions in source files, import paths."""

__all__: list[str] = []
