"""The subcommands of ``swn-torture``, one module each."""
