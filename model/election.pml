/*
 * The election of docs/model.md: several starters of one command, no lock, at most one runs.
 *
 * Size and features are macros, so that each run stays small enough to be exhaustive:
 *
 *   N=3             contenders
 *   DEATHS          kill -9 of any contender at any step, also while it runs
 *   TIMEOUTS        a wait (settle), or the re-reading of an empty command line, may run out
 *   EXEC_HIDES      a runner may become something that the process table does not show as the
 *                   command (--exec, a rewritten title); only its record tells
 *   PASSIVE         a process that stands down may live on under a passive marker and contend
 *                   again; one that ran may retire the same way
 *   WAITS           with PASSIVE: one that stands down may wait, and contends again as soon as
 *                   the process that kept it from running has gone, or has become passive
 *   PLAIN           one more process, of any age, that just is the command: it never looks
 *   AGES            all orders of age are chosen by hand, see "age" below
 *
 * BROKEN_* macros each spoil one rule, RECORD_LOST and MARKER_LOST let a file disappear. check.py
 * lists what has to come of each.
 */

#ifndef N
#define N 3
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif
#ifndef EXEC_HIDES
#define EXEC_HIDES 0
#endif
#ifndef PASSIVE
#define PASSIVE 0
#endif
#ifndef WAITS
#define WAITS 0
#endif
#ifndef PLAIN
#define PLAIN 0
#endif
#ifndef AGES
#define AGES 0
#endif

/* Where nobody dies, no time runs out and no plain process is about, somebody has to run.
 * Runs without a death are exactly the runs of a model without deaths, so no flag is kept. */
#define ELECTION (!DEATHS && !TIMEOUTS && !PLAIN)

#define SLOTS (N + PLAIN)
#define NONE SLOTS
#if SLOTS < 2 || SLOTS > 5
#error "2 to 5 processes, see READ and POLL"
#endif

/* What the table shows of a process. Between fork and exec it still shows its parent's command
 * line, which is as good as absent. */
mtype = { absent, blank, shown, disguised, gone }

mtype command[SLOTS] = absent;
bit marker[SLOTS];              /* the passive marker, a file named after pid and start time */
byte record = NONE;             /* whom the run record names; it outlives that process */

/* Bookkeeping of the checker; no process reads it. */
byte running;
bit ran;
bit contested;
byte waiting;                   /* how many wait for somebody else (WAITS) */
byte plain = NONE;
byte after_plain;               /* set: the plain process was there when their look began */

#define BIT(p) (1 << (p))
#define IN(set, p) (((set) >> (p)) & 1)
#define ALIVE(p) (command[p] == blank || command[p] == shown || command[p] == disguised)

/* Age is a total order that has nothing to do with who shows up first. Contenders differ in
 * nothing else, start in any order and scan in any order, so the number can be the rank: any
 * other ranking is this one with the names changed. AGES does it the long way, as a check. */
#if AGES
byte rank[SLOTS];
#define OLDER(a, b) (rank[a] < rank[b])
#else
#define OLDER(a, b) ((a) < (b))
#endif

/* To have decided to stand down is one thing, to be gone from the table a later one. What a
 * process no longer needs is cleared, or equal states would count as different ones. */
#define CLEAR todo = 0; rivals = 0; at = 0; after_plain = after_plain & ~BIT(me)
#define STAND_DOWN CLEAR; goto stand_down
#define LEAVE CLEAR; FORGET; command[me] = gone; goto rest

/* Who waits, waits for the process that it stood down for. */
#if WAITS
#define AWAIT(p) awaited = p
#define FORGET awaited = NONE
#else
#define AWAIT(p) skip
#define FORGET skip
#endif

/* One alternative of every choice: the process is killed here. */
#if DEATHS
#define MAY_DIE :: atomic { true -> printf("p%d is killed\n", me); LEAVE }
#else
#define MAY_DIE
#endif

/* What a scan does with one process that is visible and not passive. */
#ifdef BROKEN_NAIVE
#define COUNT(p) printf("p%d sees p%d, any other will do\n", me, p); AWAIT(p); STAND_DOWN
#else
#define COUNT(p) \
    if \
    :: OLDER(p, me) -> printf("p%d sees p%d, older\n", me, p); AWAIT(p); STAND_DOWN \
    :: else -> printf("p%d sees p%d, younger\n", me, p); rivals = rivals | BIT(p) \
    fi
#endif

/* The marker is a second read, of a file, after the command line. */
#if PASSIVE
#define VISIBLE(p) printf("p%d reads p%d's command line\n", me, p); at = p; goto read_marker
#else
#define VISIBLE(p) COUNT(p)
#endif

/* Read one process, in any order. An empty command line is not an answer: it stays to be read
 * (the guard blocks, which is what reading again until it is not empty comes to). */
#ifdef BROKEN_NO_REREAD
#define READABLE(p) true
#else
#define READABLE(p) (command[p] != blank)
#endif

#if TIMEOUTS
#define UNREADABLE(p) \
    :: atomic { IN(todo, p) && command[p] == blank -> \
        printf("p%d cannot tell what p%d is\n", me, p); AWAIT(p); STAND_DOWN }
#else
#define UNREADABLE(p)
#endif

#define READ(p) \
    UNREADABLE(p) \
    :: atomic { IN(todo, p) && READABLE(p) -> \
        todo = todo & ~BIT(p); \
        if \
        :: command[p] == shown -> VISIBLE(p) \
        :: else -> printf("p%d does not see p%d (%e)\n", me, p, command[p]) \
        fi }

/* Waiting for one rival. A look by pid and start time would still find a hidden one; a look by
 * command line would not. The model lets it pass for gone, which is the harder case: the record
 * is what catches it. Marker and command line are one step here, since only the later of the two
 * reads can end the wait. */
#ifdef BROKEN_NO_REREAD
#define LEFT(p) (command[p] == gone || command[p] == disguised || command[p] == blank || marker[p])
#else
#define LEFT(p) (command[p] == gone || command[p] == disguised || marker[p])
#endif

#if TIMEOUTS
#define TIMEOUT(p) \
    :: atomic { IN(rivals, p) -> \
        printf("p%d waited for p%d long enough\n", me, p); AWAIT(p); STAND_DOWN }
#else
#define TIMEOUT(p)
#endif

#define POLL(p) \
    TIMEOUT(p) \
    :: atomic { IN(rivals, p) && LEFT(p) -> \
        printf("p%d waited for p%d, which is gone\n", me, p); rivals = rivals & ~BIT(p) }

proctype Contender(byte me)
{
    byte todo;                  /* set: not yet read in this look */
    byte rivals;                /* set: younger contenders of this look that are still there */
    byte at;                    /* the process whose marker, or whose record, is being judged */
#if WAITS
    byte awaited = NONE;        /* the process that it stood down for */
#endif

    if
    :: atomic { true -> printf("p%d begins exec\n", me); command[me] = blank }
#if ELECTION
    /* Otherwise a late starter could hide that the ones before it elected nobody. */
    :: atomic { true -> printf("p%d never starts\n", me); goto rest }
#endif
#if PASSIVE
    :: atomic { true -> printf("p%d has been passive for long\n", me);
        command[me] = shown; marker[me] = 1; goto passive }
#endif
    fi;

    /* 1. The flag. */
    if
    :: atomic { true -> printf("p%d has its flag up\n", me); command[me] = shown }
    MAY_DIE
    fi;
#ifdef BROKEN_HIDES_EARLY
    if
    :: atomic { true -> printf("p%d rewrites its title, undecided\n", me);
        command[me] = disguised }
    :: true
    MAY_DIE
    fi;
#endif

    /* 2. The look. */
look:
    if
    :: atomic { true -> printf("p%d begins its look\n", me);
        todo = (BIT(SLOTS) - 1) & ~BIT(me);
#if ELECTION
        contested = 1;
#endif
#if PLAIN
        /* Stronger than "its flag was up": it is enough that its exec had begun. */
        if
        :: ALIVE(plain) -> after_plain = after_plain | BIT(me)
        :: else
        fi;
#endif
        }
    MAY_DIE
    fi;
#ifdef BROKEN_RECORD_FIRST
    if
    :: atomic { record != NONE && record != me && ALIVE(record) -> AWAIT(record); STAND_DOWN }
    :: atomic { !(record != NONE && record != me && ALIVE(record)) ->
        printf("p%d finds no live record\n", me) }
    MAY_DIE
    fi;
#endif

scan:
    do
    READ(0)
    READ(1)
#if SLOTS > 2
    READ(2)
#endif
#if SLOTS > 3
    READ(3)
#endif
#if SLOTS > 4
    READ(4)
#endif
    :: todo == 0 -> break
    MAY_DIE
    od;
#ifdef BROKEN_RECORD_FIRST
    if
    :: rivals != 0 -> goto wait
    :: rivals == 0 -> goto decide
    MAY_DIE
    fi;
#else
    goto read_record;
#endif

#if PASSIVE
read_marker:
    if
    :: atomic { marker[at] -> printf("p%d sees p%d, passive\n", me, at); at = 0; goto scan }
    :: atomic { !marker[at] -> COUNT(at); at = 0; goto scan }
    MAY_DIE
    fi;
#endif

    /* 3. The record, after the table: who left the table by deciding wrote it before. First the
     * file is read, then the process is looked up. */
read_record:
    if
    :: atomic { true -> at = record }
    MAY_DIE
    fi;
    if
    :: atomic { at != NONE && at != me && ALIVE(at) ->
        printf("p%d finds the live record of p%d\n", me, at); AWAIT(at); STAND_DOWN }
    :: atomic { !(at != NONE && at != me && ALIVE(at)) ->
        printf("p%d finds no live record\n", me);
        at = 0;
#ifdef BROKEN_OLDEST_WINS
        rivals = 0;
#endif
        if
        :: rivals != 0 -> goto wait
        :: else -> goto decide
        fi }
    MAY_DIE
    fi;

    /* 4. Only younger ones were seen: each has decided, or will see me. A newcomer will, too. */
wait:
    do
    POLL(0)
    POLL(1)
#if SLOTS > 2
    POLL(2)
#endif
#if SLOTS > 3
    POLL(3)
#endif
#if SLOTS > 4
    POLL(4)
#endif
    :: atomic { record != NONE && record != me && ALIVE(record) ->
        printf("p%d, waiting, finds the live record of p%d\n", me, record);
        AWAIT(record); STAND_DOWN }
#if PLAIN && !TIMEOUTS
    /* A plain process may stay for ever, so for that one the wait has to end. */
    :: atomic { IN(rivals, plain) && ALIVE(plain) -> AWAIT(plain); STAND_DOWN }
#endif
#ifdef BROKEN_NO_LAST_RECORD
    :: rivals == 0 -> goto decide
#else
    /* The last one may have gone by deciding and hiding: the record once more. */
    :: rivals == 0 -> goto read_record
#endif
    MAY_DIE
    od;

    /* 5. Nobody is left. The write is a step of its own: others move between it and the look. */
decide:
    if
    :: atomic { true -> printf("p%d DECIDES, writes its record and runs\n", me);
        assert(running == 0);
#if PLAIN
        assert(!IN(after_plain, me));
#endif
#if PASSIVE
        marker[me] = 0;         /* does nothing, except in BROKEN_MARKER_LATE */
#endif
        running++;
#if ELECTION
        ran = 1;
#endif
        record = me }
    MAY_DIE
    fi;

end_run:
    do
#ifdef RECORD_LOST
    :: atomic { record == me -> printf("the record of p%d is lost\n", me); record = NONE }
#endif
#if EXEC_HIDES
    /* An exec has its empty moment. A rewritten title is the same with no look in between. */
    :: atomic { command[me] == shown -> printf("p%d begins another exec\n", me);
        command[me] = blank }
    :: atomic { command[me] == blank -> printf("p%d no longer looks like the command\n", me);
        command[me] = disguised }
#endif
#if PASSIVE
    /* Marker before record: in between the record still speaks for it. */
    :: atomic { command[me] == shown -> printf("p%d has finished and lives on\n", me);
        marker[me] = 1; running--; break }
#endif
#if PASSIVE && !DEATHS
    :: atomic { true -> printf("p%d has finished\n", me); running--; LEAVE }
    :: atomic { command[me] != blank -> goto rest } /* runs for ever */
#endif
#if DEATHS
    :: atomic { true -> printf("p%d is killed while it runs\n", me); running--; LEAVE }
#endif
#if !DEATHS && !PASSIVE && !EXEC_HIDES
    :: false                    /* runs for ever; Promela wants an alternative */
#endif
    od;
#if PASSIVE
    if
    :: atomic { true -> record = NONE; goto passive }
    MAY_DIE
    fi;
#endif

stand_down:
#if PASSIVE
    if
    :: atomic { true -> printf("p%d stands down and lives on\n", me);
        marker[me] = 1; FORGET; goto passive }
#if WAITS
    :: atomic { true -> printf("p%d stands down and waits for p%d\n", me, awaited);
        marker[me] = 1; waiting++; goto wait_turn }
#endif
    :: atomic { true -> printf("p%d stands down and leaves\n", me); LEAVE }
    MAY_DIE
    fi;

passive:
    if
#ifdef BROKEN_MARKER_LATE
    :: atomic { true -> printf("p%d contends again\n", me); goto look }
#else
    :: atomic { true -> printf("p%d contends again\n", me); marker[me] = 0; goto look }
#endif
    :: atomic { true -> printf("p%d stays passive\n", me); goto rest }
#ifdef BROKEN_MARKER_REMOVED
    :: atomic { true -> printf("p%d, passive, removes its marker and leaves\n", me);
        marker[me] = 0; LEAVE }
#else
    :: atomic { true -> printf("p%d, passive, leaves\n", me); LEAVE }
#endif
#ifdef MARKER_LOST
    :: atomic { true -> printf("the marker of p%d is lost\n", me); marker[me] = 0; goto rest }
#endif
    MAY_DIE
    fi;
#if WAITS
wait_turn:
end_wait_turn:
    if
#ifdef BROKEN_WAIT_FOR_END
    :: atomic { command[awaited] == gone ->
#else
    :: atomic { command[awaited] == gone || marker[awaited] ->
#endif
        printf("p%d need not wait for p%d any longer\n", me, awaited);
        FORGET; waiting--; marker[me] = 0; goto look }
#if DEATHS
    :: atomic { true -> printf("p%d is killed while it waits\n", me); waiting--; LEAVE }
#endif
    fi;
#endif
#else
    atomic { true -> printf("p%d stands down and leaves\n", me); LEAVE }
#endif

rest:
end_rest:
    false
}

#if PLAIN
/* The command, started by hand. It may execute itself again at any time, and die at any time. */
proctype Plain(byte me)
{
end_absent:
    do
    :: atomic { command[me] != blank -> printf("p%d (plain) begins exec\n", me);
        command[me] = blank }
    :: atomic { command[me] == blank -> printf("p%d (plain) is up\n", me); command[me] = shown }
    :: atomic { command[me] != absent -> printf("p%d (plain) dies\n", me);
        after_plain = 0; command[me] = gone; break }
    od;
end_rest:
    false
}
#endif

init {
    byte p;
#if AGES
    byte used;
    byte r;
#endif
    atomic {
#if AGES
        do
        :: p == SLOTS -> break
        :: p < SLOTS ->
            r = 0;
            do
            :: !IN(used, r) -> break
            :: ((BIT(SLOTS) - 1) & ~used) >> (r + 1) -> r++
            od;
            rank[p] = r;
            used = used | BIT(r);
            p++
        od;
        used = 0; r = 0; p = 0;
#endif
#if PLAIN
        plain = 0;
        do
        :: break
        :: plain < SLOTS - 1 -> plain++
        od;
#endif
        do
        :: p == SLOTS -> p = 0; break
        :: p < SLOTS ->
            if
#if PLAIN
            :: p == plain -> run Plain(p)
#endif
            :: p != plain -> run Contender(p)
            fi;
            p++
        od
    }
#if ELECTION || WAITS
    timeout;                    /* true only when nobody can move any more */
#endif
#if WAITS
    assert(waiting == 0 || running > 0);
#endif
#if ELECTION
    assert(ran || !contested);
#if !PASSIVE
    assert(running == contested);
#endif
#endif
}
