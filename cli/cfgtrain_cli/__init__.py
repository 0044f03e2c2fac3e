"""The command line of cfgtrain: words in, words out."""
