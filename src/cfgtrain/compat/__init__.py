"""Support for projects that were written for other toolkits."""
