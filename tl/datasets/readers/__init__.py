"""One small reader per format: detects the format of a raw record and converts it to a record of messages.

Readers only rename and move fields; `tl.trajectory` interprets messages, calls, results and lists of tools.
"""
