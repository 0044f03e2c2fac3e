"""Code that train, test, predict and preview share: building from a config, and the work directory."""

__all__: list[str] = []
