#!/usr/bin/env bash
# A search over machines that ssh reaches, with a directory that all of them see:
#     ./ssh.sh /shared/run host1 host2 host3
# The chief runs here. The same command goes on with a search that was stopped.
set -euo pipefail

directory=$1
shift
KERASTUNER_ORACLE_IP=$(hostname --ip-address | cut -d' ' -f1)
KERASTUNER_ORACLE_PORT=${PORT:-8000}
export KERASTUNER_ORACLE_IP KERASTUNER_ORACLE_PORT
command="keras-rnnx tune trec --trials 100 --dir $directory"

number=0
for host in "$@"; do
    ssh "$host" "cd '$PWD' && KERASTUNER_ORACLE_IP=$KERASTUNER_ORACLE_IP \
        KERASTUNER_ORACLE_PORT=$KERASTUNER_ORACLE_PORT \
        KERASTUNER_TUNER_ID=worker$number $command" &
    number=$((number + 1))
done
# When the chief has ended, workers have none to ask.
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
KERASTUNER_TUNER_ID=chief $command
