"""`python -m vlsbench`."""

from vlsbench.cli.main import main

main()
