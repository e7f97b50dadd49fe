"""How threads share the chunks of a kernel: self-scheduling, competitive spinning.

    P. Tang and P.-C. Yew, Processor self-scheduling for multiple-nested parallel loops, 1986.
    A. Karlin, K. Li, M. Manasse, S. Owicki, Empirical studies of competitive spinning for a
    shared-memory multiprocessor, 1991.

Machine code calls `run(control, task, data, chunks)`, without the interpreter lock: it calls the C
function `task(data, chunk)` once for each chunk, and returns when all are done.  The threads of the
pool, the *workers*, and the *caller* take the chunks from a counter, one after the other.

**Nothing depends on the workers.**  The caller takes chunks until none is left, and waits only for
those that workers have taken.  So workers may come late, be too few, or be stopped at any time; and
a caller that finds the pool busy with the chunks of another does all of its own.

**Waiting.**  Who waits spins for a while, and then sleeps.  Between the kernels of a training step
workers stay awake, since being woken takes about as long as a small kernel; in an idle process they
sleep, and use no processor.  A worker that the system has put on the caller's core does not spin:
it would keep the caller from what it waits for.

**Sleeping** is locking a lock that is locked already, one for each thread; who releases it wakes
the thread.  A thread first announces that it will sleep, then looks once more for what it waits
for; who provides that does so first, and looks for sleepers then.  All four are sequentially
consistent, so at least one of the two sees the other (Dekker's algorithm).  Each announcement is
taken back once: by the sleeper itself, or by who is going to release its lock.
"""

from minidl.backends.kernels.runtime.atomics import (
    UNKNOWN,
    acquire_lock,
    add,
    address_of,
    call_task,
    clear_bits,
    compare_exchange,
    core,
    load,
    lowest_bit,
    pause,
    release_lock,
    set_bits,
    store,
)
from minidl.backends.kernels.runtime.functions import inner, outlined

# The words of the control block.  What is written at different times lies on different cache lines;
# processors fetch lines in pairs.
_APART = 16
LEFT, TASK, DATA, CHUNKS = range(4)  # LEFT: chunks that nobody has taken
CORE = CHUNKS + 1  # on which the caller runs
PENDING, ASLEEP = _APART, _APART + 1  # chunks that are not done; whether the caller sleeps
BUSY = 2 * _APART  # whether a thread is in `run`
SLEEPERS = 3 * _APART  # a bit for each worker that sleeps
STOP = 4 * _APART  # whether the workers are to stop
SERVED = STOP + 1  # a bit for each worker that there is
# What a forked process keeps, or makes anew:
SPINS = STOP + 2  # how often one looks before one sleeps
LOCK = STOP + 3  # the lock that the caller sleeps on; then those of the workers
LOCKS = LOCK + 1

MOST_WORKERS = 63  # bits of a word, without the sign


# The caller.


@outlined("i64* i64 u8* i64")
def run(control, task, data, chunks):
    """Call task(data, chunk) for all chunks, on this thread and the workers."""
    data_address = address_of(data)
    alone = chunks < 2 or address_of(control) == 0
    if alone or compare_exchange(control, BUSY, 0, 1) != 0:
        for chunk in range(chunks):
            call_task(task, data_address, chunk)
        return
    control[TASK] = task
    control[DATA] = data_address
    control[CHUNKS] = chunks
    store(control, CORE, core())
    store(control, PENDING, chunks)
    store(control, LEFT, chunks - 1)  # from here on workers take them; the first is this thread's
    _wake(control, min(chunks - 1, 2))
    call_task(task, data_address, 0)
    done = 1 + _do_chunks(control)
    if add(control, PENDING, -done) > done:
        _await_workers(control)
    store(control, BUSY, 0)


@inner
def _do_chunks(control):
    """Do chunks until none is left; how many it were.

    Who has taken a chunk knows that its run lasts, and may read what it is about.
    """
    done = 0
    while True:
        left = load(control, LEFT)
        if left == 0:
            return done
        if compare_exchange(control, LEFT, left, left - 1) == left:
            call_task(control[TASK], control[DATA], control[CHUNKS] - left)
            done += 1


@inner
def _await_workers(control):
    """Wait until the chunks that workers have taken are done."""
    for _ in range(control[SPINS]):
        if load(control, PENDING) == 0:
            return
        pause()
    while load(control, PENDING) > 0:  # a worker that was late for the last run may wake us too
        store(control, ASLEEP, 1)
        if load(control, PENDING) > 0 or compare_exchange(control, ASLEEP, 1, 0) == 0:
            acquire_lock(control[LOCK])


@inner
def _wake(control, count):
    """Wake workers; fewer if fewer sleep."""
    while count > 0:
        sleepers = load(control, SLEEPERS)
        if sleepers == 0:
            return
        others = sleepers & (sleepers - 1)
        if compare_exchange(control, SLEEPERS, sleepers, others) == sleepers:
            release_lock(control[LOCKS + lowest_bit(sleepers)])
            count -= 1


# Workers.


@outlined("i64* i64")
def work(control, worker):
    """The loop of a worker: until it is to stop, do chunks of whatever is run."""
    bit = 1 << worker
    if set_bits(control, SERVED, bit) & bit:  # by another thread, left by an interrupted start
        return
    while load(control, STOP) == 0:
        done = _do_chunks(control)
        if done > 0:
            last = add(control, PENDING, -done) == done
            if last and compare_exchange(control, ASLEEP, 1, 0) == 1:
                release_lock(control[LOCK])
        elif not _finds_work(control):
            _sleep(control, worker)
    clear_bits(control, SERVED, bit)


@inner
def _finds_work(control):
    """Whether there is something to do soon."""
    for _ in range(control[SPINS]):
        if load(control, LEFT) > 0:
            return True
        if core() == load(control, CORE) != UNKNOWN:  # the caller waits for this very core
            break
        pause()
    return False


@inner
def _sleep(control, worker):
    """Sleep until there is something to do.

    Everybody who is woken wakes two others, if there is enough for them: that takes log₂ n steps,
    and not n.
    """
    bit = 1 << worker
    set_bits(control, SLEEPERS, bit)
    idle = load(control, LEFT) == 0 and load(control, STOP) == 0
    if idle or clear_bits(control, SLEEPERS, bit) & bit == 0:
        acquire_lock(control[LOCKS + worker])
        _wake(control, min(load(control, LEFT) - 1, 2))


@outlined("i64*")
def stop(control):
    """Tell all workers to stop."""
    store(control, STOP, 1)
    _wake(control, MOST_WORKERS)


@outlined("i64")
def spin(count):
    """Spin so often, to measure how long it takes."""
    for _ in range(count):
        core()
        pause()
