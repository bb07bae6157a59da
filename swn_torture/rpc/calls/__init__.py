"""Calls on an association: call ids, fragments, multiplexing, cancels, faults."""
