"""What train, test, predict and preview share: from a config to its parts, and the work directory."""

__all__: list[str] = []
