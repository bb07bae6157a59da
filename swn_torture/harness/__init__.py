"""The harness: what runs a case, from the collected test function to the result in a report.

Cases never import it; they use the fixtures of ``swn_torture.plugin`` and the names of
``swn_torture.casekit``.

One session
    session        which target profile and which fault the session uses; where its results are kept
    selection      which of the collected cases run, and in what order
    case_map       every case of the suite by id, collected without a run; renamed and unknown ids
    recorder       takes the results as they arrive and writes the reports at the end

The target
    live_target    the running target of a test process, and its variants
    locks          who may use a live target at which time: shared, or one case alone
    preflight      first calls to a target, which explain why it cannot be used

One case
    case_run       runs one case: event loop, connections, controller, time limit, restoring the target
    case_result    the result of a case, from the pytest report of its set-up, call or tear-down
    allure_labels  labels and attachments for Allure
"""
