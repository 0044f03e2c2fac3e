"""``python -m cfgtrain`` is the command line."""

from cfgtrain_cli.start import main

if __name__ == "__main__":
    main()
