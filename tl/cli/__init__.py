"""The commands of `python -m tl`, one module each: flags and printing.

`main(argv)` returns the exit status, and raises `UserError` or `OSError` if a command cannot do what is asked. Those of
`dpo` and `prm`, which torchrun may start on several ranks, end the process themselves.
"""
