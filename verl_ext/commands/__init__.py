"""What the commands in the root of the repository do. Nothing in the package imports them."""
