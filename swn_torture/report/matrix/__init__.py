"""The matrix: the results of several targets, or of several runs of one, side by side on one page.

- ``model``: ``Matrix``: the columns, and the rows of each table with a verdict for each column.
- ``causes``: what explains the findings, over all columns.
- ``evidence``: what is behind a verdict of a case, as values that the page shows after a click.
- ``pack``: all this as one compact JSON value, each text once.
- ``page``: ``render_matrix``: the HTML page; ``template/`` has its parts.
"""

from swn_torture.report.matrix.model import Matrix
from swn_torture.report.matrix.page import render_matrix

__all__ = ["Matrix", "render_matrix"]
