"""What each key of `[lifeline.NAME]` does, in a sentence that needs no other.

The schema for editors, the reference, the manual page and `run --help-all` show it; no tick
reads it.
"""

from __future__ import annotations

#: Keys that are no options.
OWN = {
    "command": "What is run: a list of words, or a text that is split into words as a shell would.",
    "cwd": "The working directory, relative to this file. Default: the directory of this file.",
    "env": "Variables that are added to the command's environment.",
    "env_file": "Files of NAME=value lines that are added to the environment; `env` wins over "
    "them.",
    "every": "How often cron looks after it: 1m, 5m, 1h. Default: every minute.",
    "cron": "When cron looks after it: the five fields of a crontab line, or false for no line.",
}

#: Options of `lifeline run`: the effect, then units and the default.
OPTIONS = {
    "name": "Recognise the lifeline by this name, and not by its command. Default: the command, "
    "or the NAME in the file.",
    "exec": "Become the command, with no process beside it. Options that need one, such as "
    "--grace or --log, are refused then.",
    "on_running": "What a start does if the command runs already: skip leaves at once, wait waits "
    "for its end, replace ends it first. Default: skip.",
    "exit_code_if_running": "Leave with this exit code, 0 to 255, if the command runs already or "
    "all slots are taken. Default: 0, so that cron stays quiet.",
    "settle": "If several start in the same instant, wait at most so long for the others to "
    "leave; 1s or more. Default: 10s.",
    "leftovers": "What to do with processes that a run which was killed has left behind: end ends "
    "them and starts, count takes them for the running command. Default: end.",
    "jitter": "Delay the start by a random time of at most this, so that many machines do not "
    "start together. Default: 0s.",
    "restart": "Start the command again when it ends, without waiting for cron: never, "
    "on-failure (after any exit code but 0) or always. Default: never.",
    "backoff": "The delay before a restart, from the shortest to the longest; it doubles with each "
    "quick failure. Default: 1s..60s.",
    "lock": "Start only with a lease from this store (a URL, env:NAME or file:), so that one "
    "machine of a fleet runs the command. Default: no lock, this machine only.",
    "slots": "How many may run at once under the lock, 1 to 1000; all who use a name have to say "
    "the same. Default: 1.",
    "wait": "If no slot is free, stand by until one is, for this long at most; without a time, "
    "for ever. Default: leave at once.",
    "ttl": "How long the store keeps the lease of a machine that has fallen silent before another "
    "may take over. Default: 30s.",
    "per_host": "How many of the slots one machine may have, 0 to 1000; 0 is any number. "
    "Default: 1.",
    "on_signal": "Run this shell command for each payload that lifeline signal sends, with the "
    "payload on its stdin. Default: none.",
    "forward_signals": "Turn these payloads of lifeline signal into signals to the job: with "
    "USR1,HUP the payload SIGUSR1 sends USR1. Default: none.",
    "grace": "When the run is ended, wait this long from TERM to KILL; 0 kills at once. "
    "Default: 10s.",
    "signal_to": "Whom TERM, INT and signals that are passed on reach: group is the job's process "
    "group, main its first process alone. Default: group.",
    "timeout": "End a run that takes longer than this, with exit code 124. Default: no limit.",
    "max_memory": "End a run whose processes together hold more memory (resident) than this, with "
    "exit code 137; looked at every 5s. Default: no limit.",
    "heartbeat": "Watch this file, which the job has to touch; the job is ended as hung if the "
    "file does not change for --heartbeat-timeout. Default: none.",
    "heartbeat_timeout": "End the job, with exit code 124, if the file of --heartbeat does not "
    "change for so long. Default: none; the two go together.",
    "log": "Append the job's output to this file, and rotate it by size; HUP to the runner opens "
    "it anew. Default: output goes where the runner's goes.",
    "log_size": "Rotate the file of --log when it has grown to this size. Default: 10MB.",
    "log_keep": "Keep so many rotated files of --log, 0 to 1000. Default: 5.",
    "timestamps": "Put the local time before each line of output. Default: off.",
    "quiet": "Show the job's output only if the run failed, whole and in order. Default: off.",
    "ping": "Tell a monitor of each start and end at this URL, in the manner of healthchecks.io; "
    "env:NAME takes the URL from the environment. Default: none.",
    "ping_every": "Also tell the monitor of --ping that the job is alive, each time so much time "
    "has passed. Default: at start and end only.",
    "on_start": "Run this shell command at each start of the job, beside it. Default: none.",
    "on_exit": "Run this shell command at each end of the job; LIFELINE_CODE and "
    "LIFELINE_OUTCOME tell how it ended. Default: none.",
    "syslog": "Send starts, ends and other events to syslog or the journal, too. Default: off.",
}
