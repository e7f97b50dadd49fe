"""Benchmarks: minidl against another library, and against the limits of the machine.

    python -m bench --peer torch --threads 1 --workloads mlp,elementwise --json
    python -m bench --checkout ../minidl-before          # this minidl against another checkout's

The modules:

    workloads       the table of workloads: add a row here
    libraries       how each library does them, a file for each: add a peer here
    machine         thread limits, and the roofline: GEMM throughput and memory bandwidth
    measure         interleaved timing of both sides in one process, after a check of their results
    processes       measurements in fresh interpreters: imports, first steps, peak memory
    child           what such an interpreter runs
    saved_tensors   the memory that a recorded graph holds
    memory_growth   whether memory grows while a network is trained
    data_loading    the part of a training step spent waiting for a batch
    report          the table, and the line of JSON
    cli             the command
    errors          the exceptions
"""
