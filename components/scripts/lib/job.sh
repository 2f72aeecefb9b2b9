#!/bin/sh
# Our job: its block in a prometheus.yml, and what Prometheus runs of it.
# It goes with prometheus-yml.awk and running-job.awk.
#
# Values: JOB (its name).

# Reads a prometheus.yml and prints it as prometheus-yml.awk edits it, or fails with the reason as
# the only line.
edited_config() { # removed | shown | placed ITEMS | twice ITEMS
  { cat && printf x; } |
    JOB="$JOB" ITEMS="${2-}" AS_A_LIST="$(as_a_list)" awk -v action="$1" "$PROMETHEUS_YML_AWK"
}

# Our block as it stands in a file, marks and all.
our_block_in() { edited_config shown <"$1"; } # FILE

as_a_list() {
  echo "write scrape_configs: alone on its line, and each job below it as - job_name: ..."
}

# Reads what the API tells of the configuration that runs; prints our job, or nothing.
job_in_answer() { sed 's/\\n/\n/g' | JOB="$JOB" awk "$RUNNING_JOB_AWK"; }
