"""The innocence matrix: the suite is run against every unusual server, and must not fail a conforming one.

* `trials`: runs the suite against unusual servers (`swn_torture.trials`), and chooses a sample of them.
* `matrix`: evaluates the trials: what is a false alarm, and what is not tested.
* `page`: the page of the documentation.

``tools/innocence_matrix.py`` is the command.
"""
