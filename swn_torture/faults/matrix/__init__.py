"""The fault matrix: the suite is run against every fault, and the result says which case caught which fault.

* `trials`: runs the suite against faulty servers, each in its own process, several at the same time.
* `subjects`: which requirements are about the same subject.
* `matrix`: evaluates the trials.
* `page`: the figures, and the page of the documentation.
* `picture`: the HTML page, from the template in ``template/``.

``tools/fault_matrix.py`` is the command.
"""
