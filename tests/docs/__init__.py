"""What the documentation, the compose file and the Makefile say, held to what the code does."""
