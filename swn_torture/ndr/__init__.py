"""The suite, first part: encodings. Layouts, byte order, notification buffers, malformed stub data."""
