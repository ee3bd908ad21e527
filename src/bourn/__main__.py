"""`python -m bourn`: the command `bourn` where no script was installed."""

from bourn.cli import main

main()
