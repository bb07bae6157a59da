"""Faults: reference servers that are wrong on purpose, and the fault matrix that runs the suite against them.

Declaring and finding faults:

* `registry`: what a fault is, how one is declared, and how it is applied to a cluster.
* `library`: all faults by name.

The faults, in two kinds. Every figure is published for each kind and for both:

* `witness`, `transport`: *realistic* faults. A real server was seen to have the defect, or an implementer
  could plausibly make it.
* `narrowed`: *narrowed* faults. The defect is restricted to one condition, so that only the cases of its own
  requirement can see it.

Running the suite against them:

* `matrix`: the fault matrix.
"""
