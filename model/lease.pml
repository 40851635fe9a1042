/*
 * A lease as docs/model.md has it: a supervisor and a keeper on one host, a store, a taker
 * elsewhere. No interleaving has two jobs alive under one slot.
 *
 * Time is in ticks. What is measured is an age: ticks since a request was sent, or since the store
 * carried one out; all grow together. Whoever is up
 * does what is due, and reads what has come, before the next tick; whoever is stopped does not.
 *
 *   SESSION         the store frees the slot when a connection ends, which it may do at any
 *                   moment, and tells a taker how long to wait; otherwise it gives the slot
 *                   away once it has not been renewed for a ttl
 *   HOST_STOPS      supervisor, keeper and job may be stopped all at once
 *   FENCED          what is asked is not who lives, but whose writes get through
 *
 * BROKEN_* macros each spoil one rule. check.py lists what has to come of each.
 */

#ifndef SESSION
#define SESSION 0
#endif
#ifndef HOST_STOPS
#define HOST_STOPS 0
#endif
#ifndef FENCED
#define FENCED 0
#endif

/* The terms. A tick is whatever is short against the ttl and long against a step of a program. */
#define TTL 4
#define DRIFT 1                 /* what the terms allow for clocks in one ttl */
#define GONE_IN 1               /* ticks from KILL until the kernel has removed the last process */
#ifndef GRACE
#define GRACE 0                 /* the harder case: nothing is left for a verb that hangs */
#endif
#define RENEW 1
#ifndef PATIENCE
#define PATIENCE 1              /* how long a verb of the store may take */
#endif

/* By how much the host's clock falls behind in one ttl: its deadlines come so much later for
 * everybody else. */
#ifndef SLIP
#define SLIP DRIFT
#endif
#ifdef BROKEN_NO_DRIFT
#define KILL (TTL - GONE_IN + SLIP)
#else
#define KILL (TTL - DRIFT - GONE_IN + SLIP)
#endif
#define STOP (KILL - GRACE)

#ifdef BROKEN_GUARD
#define GUARD (KILL + GONE_IN)
#else
#define GUARD KILL
#endif

/* No age grows beyond what makes a difference. What is due at an age happens before the next tick,
 * so the store's ttl is over in the tick after it. */
#define OLD GUARD
#define EXPIRED (stored > TTL)

mtype = { up, stopped, dead };                  /* supervisor and keeper */
mtype = { nobody, ours, theirs };               /* who has the slot */
mtype = { none, waiting, working };             /* the job; a waiting one has not been told to go */
mtype = { idle, acquire, renew, release };      /* the verb that the keeper waits for */
mtype = { renewed, refused };                   /* what a verb is answered */
mtype = { obtain, ready, asked, going, busy, done };

/* The store. */
mtype slot = nobody;
bit clean = 1;                  /* the holder before has said that its work is over */
byte stored = 0;                /* age of what it carried out last for us */
mtype late = idle;              /* a request that is still on its way */

/* The keeper. */
mtype keeper = up;
mtype verb = idle;
byte sent;                      /* age of that verb */
mtype reply = 0;                /* has come, and was not read yet */
bit granted;
bit lost;
bit known;                      /* it can find the job */
bit ending;                     /* it ends the job itself */
byte lease = OLD;               /* age of the last request that was confirmed */
byte heard = OLD;               /* the same, as far as the supervisor has said to know */

/* The pipe to the supervisor: lines that were not read yet. Their order is left open. */
bit line_granted, line_renewed, line_lost, line_go;

/* The supervisor. */
mtype supervisor = up;
mtype phase = obtain;
bit over;                       /* it takes the lease for lost */
byte told = OLD;                /* age of the lease, as far as it knows */
bit owes;                       /* it has read a renewal and not yet said so */

/* The pipe to the keeper. */
bit line_job, line_seen, line_done;
byte seen_age;

mtype job = none;
bit killed;
byte kill_age;

byte waited;                    /* the taker's age of our last renewal, once it was granted */
bit taken;                      /* the taker works */

bit host_stopped;
bit taker_wrote;

#define GONE (job == none)
#define WORKS (job == working)
#define MUST_GO (killed && !GONE && kill_age >= GONE_IN && !host_stopped)

#if FENCED
#define NEVER_TWO
#else
#define NEVER_TWO assert(!(taken && WORKS))
#endif

/* What nobody asks for any more is cleared, or equal states would count as different ones. */
inline forget_verb() { verb = idle; reply = 0; sent = 0 }
inline bury_keeper()
{
    forget_verb(); keeper = dead; granted = 1; lost = 0; known = 0; ending = 0; heard = OLD;
    line_job = 0; line_seen = 0; line_done = 0; seen_age = 0
}
inline bury_supervisor()
{
    supervisor = dead; phase = done; over = 0; told = OLD; owes = 0;
    line_granted = 0; line_renewed = 0; line_lost = 0; line_go = 0
}
inline tell(line) { if :: supervisor != dead -> line = 1 :: else fi }
inline end_job() { job = none; killed = 0; kill_age = 0 }

inline kill_job() { if :: !killed -> killed = 1; kill_age = 0 :: else fi }

/* --- the store ----------------------------------------------------------------------------- */

#define OURS_STILL (slot == ours)

/* What the store does with a request of ours. Some stores forget a lease when its time is up,
 * others renew it for as long as nobody has taken it. */
inline carry_out(request)
{
    if
    :: request == acquire && (slot == nobody || OURS_STILL) ->
        printf("the store grants the slot to us\n");
#ifdef BROKEN_RETRY
        if
        :: slot == nobody -> stored = 0
        :: else                 /* the second time it only says so */
        fi;
#else
        stored = 0;
#endif
        slot = ours; clean = 0; reply = renewed
#ifdef BROKEN_RECREATES
    :: request == renew ->
        printf("the store renews, whoever has the slot\n"); slot = ours; clean = 0; stored = 0;
        reply = renewed
#else
    :: request == renew && OURS_STILL ->
        printf("the store renews\n"); stored = 0; reply = renewed
    :: request == renew && OURS_STILL && EXPIRED && !SESSION ->
        printf("the store has forgotten the lease\n"); slot = nobody; clean = 1; stored = TTL + 1; reply = refused
    :: request == renew && !OURS_STILL ->
        printf("the store says that the lease is lost\n"); reply = refused
#endif
    :: request == acquire && slot == theirs -> reply = refused
    :: request == release && OURS_STILL ->
        printf("the store frees the slot\n"); slot = nobody; clean = 1; stored = TTL + 1; reply = renewed
    :: request == release && !OURS_STILL -> reply = refused
    fi
}

active proctype Network()
{
    mtype request;

end:
    do
    /* It arrives at any time, also long after the keeper has given up, or never (the next one takes
     * its place); the answer may be lost. */
    :: atomic { late != idle ->
        request = late; late = idle; carry_out(request);
        if
        :: verb == request
        :: true -> printf("the answer is lost\n"); reply = 0
        fi;
        request = 0 }
#if SESSION
    :: atomic { OURS_STILL -> printf("the connection ends, the slot is free\n"); slot = nobody }
#endif
    od
}

/* --- the taker ----------------------------------------------------------------------------- */

active proctype Taker()
{
end:
    do
    :: atomic { granted && slot == nobody ->
        printf("the taker is granted the slot\n");
        slot = theirs; waited = (clean -> TTL + 1 : stored); stored = TTL + 1 }
#if !SESSION
    :: atomic { OURS_STILL && EXPIRED ->
        printf("the taker takes over\n"); slot = theirs; waited = TTL + 1 }
#endif
    /* It renews meanwhile, but what it heard last may be a while ago: it does not look again. */
#ifdef BROKEN_HASTY
    :: atomic { waited && !taken ->
#else
    :: atomic { waited > TTL && !taken ->
#endif
        printf("THE TAKER'S JOB WORKS\n"); taken = 1; waited = TTL + 1; NEVER_TWO }
#if FENCED
    :: atomic { taken && !taker_wrote -> printf("the taker writes\n"); taker_wrote = 1 }
    /* A guard compares the fences: theirs is greater. */
    :: atomic { WORKS && !host_stopped ->
#ifdef BROKEN_NO_FENCE
        printf("our job writes\n"); assert(!taker_wrote) }
#else
        if
        :: taker_wrote -> printf("our job's write is refused\n")
        :: else
        fi }
#endif
#endif
    od
}

/* --- the keeper ---------------------------------------------------------------------------- */

#define READS (keeper == up && verb == idle)

/* No verb begins that could be in the way of what the guard has to do. */
#ifdef BROKEN_BUSY
#define LEISURE true
#else
#define LEISURE (heard + PATIENCE <= GUARD)
#endif

inline ask(request)
{
    verb = request; sent = 0; reply = 0; late = request
}

active proctype Keeper()
{
end:
    do
    :: atomic { READS && !granted && supervisor != dead ->
        printf("the keeper asks for the slot\n"); ask(acquire) }
    :: atomic { READS && granted && !lost && lease >= RENEW && lease < STOP && LEISURE ->
        printf("the keeper asks for a renewal\n"); ask(renew) }

    /* Whatever comes of it. */
    :: atomic { keeper == up && verb == acquire && reply == renewed ->
        printf("the keeper has the slot\n");
        granted = 1; lease = sent; heard = sent; tell(line_granted); forget_verb() }
    :: atomic { keeper == up && verb == renew && reply == renewed ->
        printf("the keeper hears of the renewal\n");
        tell(line_renewed);
        if
        :: sent < lease -> lease = sent
        :: else
        fi;
        forget_verb() }
    :: atomic { keeper == up && verb == renew && reply == refused ->
        printf("the keeper hears that it is lost\n"); forget_verb(); lost = 1; tell(line_lost) }
    :: atomic { keeper == up && verb == acquire && reply == refused ->
        bury_keeper() }
    :: atomic { keeper == up && verb == release && (reply != 0 || sent >= PATIENCE) ->
        printf("the keeper leaves\n"); bury_keeper() }
    :: atomic { keeper == up && (verb == acquire || verb == renew) && reply == 0 &&
        sent >= PATIENCE -> printf("the keeper has no answer\n"); forget_verb() }
    :: atomic { READS && granted && !lost && lease >= STOP ->
        printf("the keeper could not renew in time\n"); lost = 1; tell(line_lost) }

    /* What the supervisor says. */
    :: atomic { READS && line_job -> line_job = 0; known = 1;
        if
        :: !ending -> printf("the keeper knows the job: go\n"); tell(line_go)
        :: else -> printf("the keeper knows the job, and does not let it go\n")
        fi }
    :: atomic { READS && line_seen -> line_seen = 0;
        if
        :: seen_age < heard -> heard = seen_age
        :: else
        fi;
        seen_age = 0 }
    :: atomic { READS && line_done && !line_job -> line_done = 0;
        printf("the keeper releases\n"); ask(release) }
    :: atomic { READS && supervisor == dead && !line_done && !line_job && !ending ->
        printf("the keeper sees that the supervisor is gone\n"); ending = 1; tell(line_lost) }

    /* The guard. */
    :: atomic { READS && granted && !ending && heard >= GUARD ->
        printf("the keeper hears nothing of the supervisor: it ends the job\n");
        ending = 1; tell(line_lost) }
    :: atomic { READS && ending && known && !GONE && !killed ->
        printf("the keeper kills the job\n"); kill_job() }
#ifdef BROKEN_RELEASES_EARLY
    :: atomic { READS && ending -> printf("the keeper releases\n"); ask(release) }
#else
    :: atomic { READS && ending && (GONE || !known) -> printf("the keeper releases\n"); ask(release) }
#endif
    od
}

#define KEEPER_IS_DUE (keeper == up && (reply != 0 \
    || (verb != idle && sent >= PATIENCE) \
    || (verb == idle && (line_job || line_seen || line_done \
        || (supervisor == dead && !ending) \
        || (granted && !ending && heard >= GUARD) \
        || (ending && known && !GONE && !killed && lease >= KILL)))))

/* --- the supervisor and its job ------------------------------------------------------------ */

active proctype Supervisor()
{
end:
    do
    :: atomic { supervisor == up && phase == obtain && line_granted ->
        printf("the supervisor hears that the slot is granted\n");
        line_granted = 0; told = lease; phase = ready }
    :: atomic { supervisor == up && phase == obtain && keeper == dead -> bury_supervisor() }

    /* One job, or one more after the last. */
    :: atomic { supervisor == up && phase == ready && !over && told < STOP && GONE ->
        printf("the supervisor forks a job that waits\n");
        job = waiting; known = 0; line_job = (keeper != dead); line_go = 0;
#ifdef BROKEN_NO_GO
        phase = going }
#else
        phase = asked }
#endif
    :: atomic { supervisor == up && phase == asked && line_go && !over && told < STOP ->
        printf("the supervisor may let it go\n"); line_go = 0; phase = going }
    :: atomic { supervisor == up && phase == going ->
        if
        :: job == waiting -> printf("OUR JOB WORKS\n"); job = working; NEVER_TWO
        :: else -> printf("the job was killed while it waited\n")
        fi;
        phase = busy }
    :: atomic { supervisor == up && phase == busy && GONE && !over -> phase = ready }
    :: atomic { supervisor == up && phase == asked && over ->
        printf("the supervisor ends the job that waits\n"); end_job(); phase = busy }
    :: atomic { supervisor == up && (phase == busy || phase == ready) && GONE ->
        printf("the supervisor has done\n"); line_done = (keeper != dead); bury_supervisor() }

    /* What the keeper says. */
    :: atomic { supervisor == up && line_renewed && phase != obtain -> line_renewed = 0;
        if
        :: !over && lease < told -> told = lease; owes = 1
        :: else
        fi }
    :: atomic { supervisor == up && owes -> owes = 0; line_seen = (keeper != dead); seen_age = (keeper != dead -> told : 0) }
    :: atomic { supervisor == up && line_lost && phase != obtain -> line_lost = 0;
        printf("the supervisor hears that it is lost\n"); over = 1 }
    :: atomic { supervisor == up && keeper == dead && phase != obtain && !over ->
        printf("the supervisor sees that the keeper is gone\n"); over = 1 }
    :: atomic { supervisor == up && phase != obtain && !over && told >= STOP ->
        printf("the supervisor has heard of no renewal in time\n"); over = 1 }
    :: atomic { supervisor == up && over && WORKS && !killed ->
        printf("the supervisor kills the job\n"); kill_job() }

    /* The job. */
    :: atomic { WORKS && !host_stopped -> printf("our job ends\n"); end_job() }
    :: atomic { job == waiting && killed && !host_stopped -> end_job() }
    :: atomic { job == waiting && supervisor == dead && !host_stopped -> end_job() }
    od
}

#define SUPERVISOR_IS_DUE (supervisor == up && phase != obtain && (owes || line_lost \
    || line_renewed || phase == going || (phase == asked && (line_go || over)) \
    || (!over && (keeper == dead || told >= STOP)) \
    || (over && WORKS && !killed && told >= KILL)))

/* --- what goes wrong ----------------------------------------------------------------------- */

/* One of the two may be dead or stopped at a time; each watches the other. */
active proctype Faults()
{
end:
    do
    :: atomic { keeper == up && (supervisor == up || (supervisor == dead && GONE)) ->
        printf("the keeper is stopped\n"); keeper = stopped }
    :: atomic { keeper == stopped && !host_stopped -> printf("the keeper goes on\n"); keeper = up }
    :: atomic { keeper == up && supervisor == up ->
        printf("the keeper is killed\n"); bury_keeper() }
    :: atomic { supervisor == up && keeper == up ->
        printf("the supervisor is stopped\n"); supervisor = stopped }
    :: atomic { supervisor == stopped && !host_stopped ->
        printf("the supervisor goes on\n"); supervisor = up }
    :: atomic { supervisor == up && keeper == up ->
        printf("the supervisor is killed\n"); bury_supervisor() }
#if HOST_STOPS
    :: atomic { supervisor == up && keeper == up && !host_stopped ->
        printf("the host is stopped\n"); host_stopped = 1; supervisor = stopped; keeper = stopped }
    :: atomic { host_stopped ->
        printf("the host goes on\n"); host_stopped = 0; supervisor = up; keeper = up }
#endif
    od
}

/* --- time ---------------------------------------------------------------------------------- */

#define GROW(age) if :: age < OLD -> age++ :: else fi

active proctype Time()
{
    do
    :: atomic { !KEEPER_IS_DUE && !SUPERVISOR_IS_DUE && !MUST_GO ->
        printf("- a tick -\n");
        if
        :: !EXPIRED -> stored++
        :: else
        fi;
        if
        :: waited && waited <= TTL -> waited++
        :: else
        fi;
        GROW(lease); GROW(heard); GROW(told);
        if
        :: verb != idle -> GROW(sent)
        :: else
        fi;
        if
        :: line_seen -> GROW(seen_age)
        :: else
        fi;
        if
        :: killed && !GONE && kill_age < GONE_IN -> kill_age++
        :: else
        fi }
    od
}
