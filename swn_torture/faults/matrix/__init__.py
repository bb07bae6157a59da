"""Whether the suite bites: it is run against every fault of the reference server; what caught which is told.

``hunt`` runs the suite on faulty servers, many side by side; ``matrix`` judges what came of it; ``page``
writes it down for people. ``tools/mutants.py`` is the command.
"""
