"""Baselines: what a target is known to do, with reasons, and how a run is compared with it.

==============  ===================================================================================
observation     observations without what differs from run to run, and how two are compared
model           a baseline as values: causes, and the picture of a whole run
read            reading a baseline by its name or path; errors that name the entry and the remedy
facts           what one run shows of each case, in the form that is compared
picture         the picture of one or several runs
compare         the comparison of runs with a baseline (`swn_torture.report.comparison`)
causes          the part of it about causes: new, changed, known, flaky, impossible, required, fixed
whole           the part of it about the picture: lost, choices, observations, records
words           the comparison as lines: what differs, and what to do
update          writing a baseline from runs; causes, reasons and comments stay
==============  ===================================================================================

docs/baselines.md explains the file.
"""
