"""Names that MMCV 1.x exports and cfgtrain itself does not use. Importing them does not make ``import mmcv`` work."""

__all__: list[str] = []
