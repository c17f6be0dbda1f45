"""One small reader a format: whether a raw record is of it, and the record of messages that it stands for.

A reader changes names and places only. What a message, a call, a result or a list of tools is, `tl.trajectory` knows.
"""
