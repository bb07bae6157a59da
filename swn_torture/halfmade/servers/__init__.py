"""The half-made servers.

transport   connections, binds, security, endpoint mapper, transfer syntaxes
methods     methods left out, handles ignored, no events
encodings   responses whose stub data are wrong in one field
"""
