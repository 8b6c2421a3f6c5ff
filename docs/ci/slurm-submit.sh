#!/bin/bash
# Submits the trials and their merge, waits, and exits with the verdict.
set -eu
job=${1:-slurm.sbatch}

# A folder for this submission alone: merge takes everything that it finds there.
folder=.a2perf/slurm/$(date +%Y%m%d-%H%M%S)-$$
mkdir -p "$folder"
# Shards that start hours apart must balance by the same figures, or they would cut differently.
if [ -f .a2perf/durations.json ]; then cp .a2perf/durations.json "$folder"; fi

array=$(sbatch --parsable --export=ALL,A2PERF_FOLDER="$folder" "$job")
# afterany: a shard that failed or was cancelled has to be judged, too.
status=0
sbatch --wait --dependency="afterany:$array" --job-name=a2perf-merge --output="$folder/merge.log" \
    --wrap "python -m pytest_a2perf merge '$folder' --junitxml '$folder/junit.xml'" || status=$?
cat "$folder/merge.log"
exit "$status"
