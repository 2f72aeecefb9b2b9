#!/bin/sh
# What a look tells of the part scrape-job, behind its script.

present() { (find_prometheus) 2>/dev/null && find_prometheus && [ -n "$(block_in "$config_file")" ]; }

has_a_mark_or_the_job() {
  grep -Eqs "^[[:space:]]*(# (BEGIN|END)|-?[[:space:]]*job_name:) $JOB([[:space:]]|$)" "$config_file"
}

# A Prometheus that does not answer is health; what stands in its file is told all the same.
check() {
  config_file=$(kept config)
  block_now=$(block_in "$config_file" 2>/dev/null || :)
  if [ -z "$block_now" ] && has_a_mark_or_the_job; then
    echo "the marks around the job in $config_file are damaged"
  elif [ -z "$block_now" ]; then
    echo "the job's block is missing from $config_file"
  elif [ "$(echo "$block_now" | without_inherited)" != "$(kept block | without_inherited)" ]; then
    echo "the job's block in $config_file was edited"
  fi
  configuration=$(http_get "$(kept url)/api/v1/status/config")
  [ -z "$configuration" ] || [ "$(printf '%s\n' "$configuration" | job_in_answer)" = "$(kept running)" ] ||
    echo "Prometheus runs without the job $JOB as it was loaded"
}

# Prometheus scrapes whatever a file in its folder names.
notices() {
  folder=/etc/metrics-tunnel/targets/$STACK
  ours=$(sed -n 's/^[0-9a-f]\{64\}  //p' "$STORE"/scrape-config-*/manifest 2>/dev/null || :)
  find "$folder" -maxdepth 1 -name '*.json' 2>/dev/null | grep -vxF -e "$ours" | sort | while IFS= read -r file; do
    echo "$file is no target file of ours, and Prometheus scrapes what it names; it is left alone, delete it if nobody needs it"
  done
}
