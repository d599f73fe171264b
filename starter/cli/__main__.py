"""`python -m starter.cli` is `worksub`."""

from starter.cli.app import main

main()
