#!/bin/sh
#SBATCH --job-name=infomask --array=0-255 --cpus-per-task=4 --mem=2G --time=24:00:00 --requeue
# sbatch --export=ALL,PHOTOS=/data/photos,PARTS=/data/parts docker/scale/slurm.sh
# and when the array is done:  sbatch --dependency=afterok:ID --wrap 'infomask estimate --merge /data/parts/*.db --json'
set -eu
exec sh "${SHARD:-docker/scale/shard.sh}" "$PHOTOS" "$PARTS" "$SLURM_ARRAY_TASK_ID" "$SLURM_ARRAY_TASK_COUNT" \
    --threads "$SLURM_CPUS_PER_TASK"
