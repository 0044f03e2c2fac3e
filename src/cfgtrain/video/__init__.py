"""Read, write and convert videos, and read, write and apply optical flow."""

__all__: list[str] = []
