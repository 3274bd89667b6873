"""Gathers lines of steps into batches, carries these to their ends, and wakes the steps.

A batch goes through the states of its row (see the table `batches`). Any number of processes may
carry; one at a time holds a batch. What may take effect at the platform is a state of its own,
which is committed before anything is sent:

    gathered -> uploading -> uploaded -> creating -> running -> reading -> clearing -> ended
        ^          |            ^            |
        +- refused +            +-- refused -+     (or never arrived, as the platform's list shows)

A process that dies leaves the batch in the state that it has recorded, and the next one goes on:

- in `uploading` or `creating`, it looks for our reference in the platform's list, and adopts what
  it finds. Only if that lists nothing, although the call is long over, the call is made again;
- in `reading`, it reads all files again. A line ends once, so what was recorded stays;
- in `clearing`, it deletes the files that are left.

A batch that is refused as a whole, or whose files lack a line, still ends each of its lines.
"""
