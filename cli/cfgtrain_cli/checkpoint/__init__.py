"""``cfgtrain checkpoint``: look at checkpoints, verify them, and write others from them."""
