"""The command line of cfgtrain."""
