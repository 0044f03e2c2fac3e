"""What lets work that was written for other toolkits run; nothing here is imported unless it is asked for."""

__all__: list[str] = []
