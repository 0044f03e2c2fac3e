"""Where the values of a config come from: per file, per value, in words."""

__all__: list[str] = []
