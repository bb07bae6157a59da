"""``python -m swn_torture`` is the ``swn-torture`` command."""

from swn_torture.cli import main

if __name__ == "__main__":
    main()
