"""`python -m vlsbench`."""

from vlsbench.cli import main

main()
