#!/bin/sh
# A shell script that knows nothing of lifeline. For cron:
#
# * * * * * lifeline run -- /srv/app/job.sh

log=$0.log
trap 'echo $$ end >>"$log"; exit' TERM

echo $$ start >>"$log"
while :; do
    sleep 0.1 # the work
    echo $$ alive >>"$log"
done
