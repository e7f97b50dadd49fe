"""How fast minidl is, beside another library and beside what the machine could do.

    python -m bench --peer torch --threads 1 --workloads mlp,elementwise --json

The files:

    workloads     what is measured: the table to add a row to
    libraries     how each library does it: a file for each, the place to add a peer
    machine       threads, and the rates that the least possible time follows from
    measure       both sides by turns in one process, after a check that they agree
    processes     what needs an interpreter of its own: imports, first steps, peak memory
    child         what such an interpreter runs
    retained      what a recorded graph holds
    flat          whether memory stays flat while a network is trained
    report        the table, and the line of JSON
    cli           the command
    errors        what can go wrong
"""
