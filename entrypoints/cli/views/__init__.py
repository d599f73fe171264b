"""Tables and layout of the command-line output."""
