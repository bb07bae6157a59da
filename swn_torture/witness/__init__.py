"""The Service Witness Protocol itself: its constants, its messages as values, their encodings, a client.

``constants`` and ``win32`` give the numbers their names, ``messages`` and ``notifications`` hold what
travels, ``codec`` turns it into stub data and back for NDR32 and NDR64, and ``client`` makes the calls. Only
``client`` does I/O.
"""
