"""The controller ``command``: the commands of a vendor, one for each call, from the profile.

- ``template``: ``Command``, one command line with placeholders.
- ``output``: ``Shown``, reads what a command printed: JSON, or lines that match a pattern.
- ``settings``: ``CommandSettings``, the ``[controller]`` table of a profile.
- ``controller``: ``CommandController``, the calls.
"""
