#!/usr/bin/env bash
# A search over several machines with SLURM: the first task is the chief, the others are
# workers. Submit it with `sbatch slurm.sh`, and again to go on.
#SBATCH --job-name=keras-rnnx
#SBATCH --ntasks=5
#SBATCH --cpus-per-task=4
#SBATCH --time=02:00:00
#SBATCH --requeue
set -euo pipefail

# Readable and writable from all machines.
DIRECTORY=${DIRECTORY:-$PWD/run}

KERASTUNER_ORACLE_IP=$(hostname --ip-address | cut -d' ' -f1)
KERASTUNER_ORACLE_PORT=$((20000 + SLURM_JOB_ID % 20000))
export KERASTUNER_ORACLE_IP KERASTUNER_ORACLE_PORT DIRECTORY
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK

srun bash -c '
    export KERASTUNER_TUNER_ID=worker$SLURM_PROCID
    if [ "$SLURM_PROCID" = 0 ]; then export KERASTUNER_TUNER_ID=chief; fi
    exec keras-rnnx tune trec --trials 100 --dir "$DIRECTORY"
'
