#!/bin/sh
# What a look reads of scrape jobs: their blocks, and what Prometheus runs of them. The head of
# facts.sh says what each kind of fact holds.

# By the file that each receipt names.
blocks_of_jobs() {
  for folder in "$STORE"/scrape-job-*; do
    if [ -f "$folder/config" ]; then
      block_of_job "${folder##*/}" "$(cat "$folder/config")"
    fi
  done
}

# What stands in a file of a job, by whose name the library lib/job.sh looks for it (JOB).
block_of_job() { # PART FILE
  JOB=$(job_of "$1")
  our_block_in "$2" 2>/dev/null | fact block "$1"
  grep -Es "^[[:space:]]*(# (BEGIN|END)|-?[[:space:]]*job_name:) $JOB([[:space:]]|$)" "$2" |
    fact mark "$1"
}

job_of() { # PART
  echo "metrics-tunnel-${1#scrape-job-}"
}

# Each Prometheus that receipts name is asked once, however many jobs it has.
jobs_that_run() {
  urls_of_jobs | while IFS= read -r api_url; do
    configuration=$(http_get "$api_url/api/v1/status/config")
    if [ -n "$configuration" ]; then
      echo "$api_url yes" | fact answers
    else
      echo "$api_url no" | fact answers
    fi
    # shellcheck disable=SC2013 # a list of files
    for file in $(grep -lxF -e "$api_url" "$STORE"/scrape-job-*/url); do
      part=${file%/url}
      part=${part##*/}
      JOB=$(job_of "$part")
      printf '%s\n' "$configuration" | job_in_answer | fact job "$part"
    done
  done
}

urls_of_jobs() { cat "$STORE"/scrape-job-*/url 2>/dev/null | grep '^http://' | sort -u; }

# The block of a job whose receipt is lost, in the file that the Prometheus of its values reads;
# nothing where there is none.
lost_job() { # OWNER
  begin
  if [ -n "$(owner_files)" ] || [ -n "$(out_of_place "$@")" ]; then
    return 0
  fi
  config_file=$(find_prometheus >/dev/null 2>&1 3>&1 && echo "$config_file") || return 0
  block_of_job "$PART" "$config_file"
}
