#!/bin/sh
# On a server: one marked block in prometheus.yml, a job that reads a folder of target files.
#
# Values: JOB (its name), INTERVAL and TIMEOUT (of a scrape, durations), SAMPLE_LIMIT;
#         SERVICE (unit of Prometheus), CONFIG (its prometheus.yml) and URL (of its API), each empty
#         where it is to be found.
# Found:  prometheus_process, prometheus_unit, config_file, api_url; see find_prometheus.
# Uses: core receipt files process http metrics-answer.awk prometheus
# Uses: job prometheus-yml.awk running-job.awk

# The job, where Prometheus knows all of that; an old one gets less, see known_items.
# Prometheus hears of a changed target file at once; where it cannot, as where no inotify watch is
# left, it looks each refresh_interval.
job_text() {
  cat <<JOB_TEXT
- job_name: $JOB
  scrape_interval: $INTERVAL
  scrape_timeout: $TIMEOUT
  honor_labels: false
  honor_timestamps: false
  follow_redirects: false
  fallback_scrape_protocol: PrometheusText0.0.4
  sample_limit: $SAMPLE_LIMIT
  body_size_limit: 32MB
  label_limit: 64
  label_value_length_limit: 4096
  file_sd_configs:
    - files: [/etc/metrics-tunnel/targets/$STACK/*.json]
      refresh_interval: 10s
JOB_TEXT
}

# --- What refuses before anything is changed.

# Sets: items (what our block shall hold)
preflight() {
  find_prometheus
  command -v promtool >/dev/null || fail "no promtool; install it here$(promtool_beside)"
  [ -f "$config_file" ] || fail "$config_file does not exist; correct configFile, or leave it out"
  refuse_other_config
  valid "$config_file" || refuse_invalid
  items=$(known_items)
  refuse_misplaced "$config_file" "$items"
  too_many=$(blinded)
  [ -z "$too_many" ] || fail "$too_many"
}

# The one that lies beside Prometheus is not run from there: whoever may write to that folder is
# perhaps not root.
promtool_beside() {
  program=$(readlink "/proc/$prometheus_process/exe") || return 0
  [ ! -e "${program%/*}/promtool" ] || echo ": cp ${program%/*}/promtool /usr/local/bin/"
}

# Refuses a configFile that Prometheus does not read: what runs there of our job would come from
# somewhere else.
refuse_other_config() {
  its_config=$(config_it_reads "$api_url")
  [ -n "$its_config" ] || fail "Prometheus does not answer on $api_url; give url"
  # As its own process sees it.
  case $its_config in
  /*) seen_from=/proc/$prometheus_process/root ;;
  *) seen_from=/proc/$prometheus_process/cwd/ ;;
  esac
  [ "$(same_file "$seen_from$its_config")" = "$(same_file "$config_file")" ] ||
    fail "Prometheus reads $its_config, not $config_file; correct configFile, or leave it out"
}

# Whether promtool likes a file.
# Sets: complaint (what it says against it)
valid() { # FILE
  complaint=$(promtool check config "$1" 2>&1) || {
    complaint=$(echo "$complaint" | tail -n 2 | tr -s '\n ' ' ')
    false
  }
}

# Of a file that Prometheus runs with and promtool does not know, the file is not to blame.
refuse_invalid() {
  tools_version=$(promtool --version 2>&1 | version)
  its_version=$(version_of_prometheus)
  case $complaint in
  *"not found in type"*)
    if [ -n "$its_version" ] && [ "$its_version" != "$tools_version" ]; then
      fail "promtool $tools_version is not of the release of Prometheus $its_version" \
        "and does not know what $config_file may hold: $complaint;" \
        "put the promtool of Prometheus $its_version into /usr/local/bin"
    fi
    ;;
  esac
  fail "$config_file is invalid, mend it: $complaint"
}

version_of_prometheus() {
  http_get "$api_url/metrics" | sed -n 's/^prometheus_build_info{\(.*\)}.*/\1/p' |
    tr ',' '\n' | version
}

# Reads what promtool says of itself, or the labels of Prometheus' build, a line each.
version() { sed -n 's/^\(promtool, version \|version="\)\([0-9.]*\).*/\2/p' | head -n 1; }

# Prints the job, less what this Prometheus is too old to know. promtool says it of a file that
# holds nothing else.
known_items() {
  alone=$(echo "scrape_configs:" && job_text)
  unknown_lines=$(echo "$alone" | promtool check config /dev/stdin 2>&1 |
    sed -n 's/.*line \([0-9]*\): field [a-z_]* not found.*/\1d/p')
  echo "$alone" | sed "$unknown_lines" | tail -n +2
}

# Refuses a file in whose list our job would not stand. promtool tells: with the job in it twice it
# has to complain of two by that name, which it does before it looks for any other file.
refuse_misplaced() { # FILE ITEMS
  with_two=$(edited_config twice "$2" <"$1") || fail "$config_file: $with_two"
  said_of_two=$(echo "$with_two" | promtool check config /dev/stdin 2>&1 || :)
  case $said_of_two in
  *"multiple scrape configs with job name \"$JOB\""*) ;;
  *) fail "$config_file: our job would not come into its list; $(as_a_list)" ;;
  esac
}

# Prints which targets a limit that is lower than before would blind, of those that are up.
blinded() {
  limit_before=$(our_block_in "$config_file" | sed -n 's/.*sample_limit: //p')
  # What is no number was never a limit.
  [ "${limit_before:-0}" -gt "$SAMPLE_LIMIT" ] 2>/dev/null || return 0
  above=$(targets_above "$SAMPLE_LIMIT")
  [ -z "$above" ] || echo "$above samples, more than $SAMPLE_LIMIT; raise scrape.sampleLimit"
}

# Prints "HOST brings NUMBER" for each target of ours that is up and brings more, with commas
# between.
targets_above() { # LIMIT
  # shellcheck disable=SC2012 # names of hosts, which are plain
  hosts=$(ls "/etc/metrics-tunnel/targets/$STACK" 2>/dev/null |
    sed -n 's/.json$/%7C/p' | tr -d '\n')
  # samples{instance=~"HOST|HOST"} > LIMIT and up == 1
  query="scrape_samples_post_metric_relabeling%7Binstance=~%22${hosts%???}%22%7D%3E$1+and+up==1"
  http_get "$api_url/api/v1/query?query=$query" | sed 's/{"metric/\n&/g' |
    sed -n 's/.*"instance":"\([^"]*\)".*,"\([0-9]*\)"\].*/\1 brings \2/p' | paste -sd ,
}

# --- The change.

change() {
  mkdir -p "/etc/metrics-tunnel/targets/$STACK"
  write_candidate "$config_file" placed "$items"
  refuse_misplaced "$candidate" "$items"
  if ! cmp -s "$candidate" "$config_file" || ! is_loaded; then
    swap
  fi
  clear_earlier_config
}

# Whether Prometheus runs what stands in its file, by the receipt: a run that was killed between the
# two has another block there than the one that was proven last.
is_loaded() {
  recorded_job=$(kept running)
  [ -n "$recorded_job" ] && [ "$(running_job)" = "$recorded_job" ] &&
    [ "$(our_block_in "$config_file")" = "$(kept block)" ]
}

# Writes a file as it shall be, with mode and owner of the one that is there.
# Sets: candidate (its path)
write_candidate() { # FILE removed | FILE placed ITEMS
  candidate=$1.mt-new
  remember "$1"
  cp -p "$1" "$candidate"
  edited_config "$2" "${3-}" <"$1" >"$candidate" || fail "$1: $(cat "$candidate")"
}

# Puts the candidate in place of config_file, which promtool must like, and waits until Prometheus
# has read it.
# Sets: swapped_in (checksum of what was put there)
swap() {
  valid "$candidate" || fail "promtool refuses our change: $complaint"
  if ! cmp -s "$config_file.mt-old" "$config_file"; then
    keep_others_edit
    fail "$config_file was changed by somebody else meanwhile; run again"
  fi
  swapped_in=$(checksum "$candidate")
  cmp -s "$candidate" "$config_file" || replace "$config_file" "$candidate" ||
    fail "cannot replace $config_file; if it is a mount of its own, mount its folder instead"
  label "$config_file"
  reload
  poll 30 loaded || refuse_not_loaded
}

# The copy of before is not put back over what somebody else has written since.
keep_others_edit() { forget_copies; }

# Sets: reloaded_before (when Prometheus last read its configuration and took it, as far as it says
#       so now), started_at (when it was told to read it again)
reload() {
  reloaded_before=$(last_reload)
  started_at=$(date +%s)
  kill -HUP "$prometheus_process"
}

last_reload() {
  http_get "$api_url/metrics" 3 |
    sed -n 's/^prometheus_config_last_reload_success_timestamp_seconds //p'
}

# Whether Prometheus has read its configuration since we told it to: it says when, and that is
# another time than before, which it may not have said.
reloaded() {
  reloaded_now=$(last_reload)
  [ -n "$reloaded_now" ] && [ "$reloaded_now" != "$reloaded_before" ] &&
    awk -v now="$reloaded_now" -v start="$started_at" 'BEGIN { exit !(now >= start) }'
}

# Whether it has, and runs our job where the file has our block, and else does not.
loaded() {
  reloaded || return 1
  if [ -n "$(our_block_in "$config_file")" ]; then
    [ -n "$(running_job)" ]
  else
    [ -z "$(running_job)" ]
  fi
}

# Sets: edited_by_others (not empty where the file is no longer what we put there)
refuse_not_loaded() {
  if reloaded; then
    why="it read a configuration in which our change is not; does it read this file?"
  else
    why=$(journalctl -u "$prometheus_unit" -qo cat --since "@$started_at" |
      sed -n 's/.* err="\(.*\)".*/\1/p' | tail -n 1)
  fi
  if [ "$(checksum "$config_file")" != "$swapped_in" ]; then
    keep_others_edit
    edited_by_others=yes
  fi
  fail "Prometheus did not load $config_file${why:+ ($why)}; see: journalctl -u $prometheus_unit"
}

# Where Prometheus has got another file since, our block goes from the one before, which nobody
# reads any more.
clear_earlier_config() {
  recorded_config=$(kept config)
  if [ -z "$recorded_config" ] || [ ! -f "$recorded_config" ]; then
    return 0
  fi
  # It may be a link by now, to the same file or to another.
  earlier_config=$(readlink -f "$recorded_config")
  [ "$(same_file "$earlier_config")" != "$(same_file "$config_file")" ] || return 0
  write_candidate "$earlier_config" removed
  cmp -s "$candidate" "$earlier_config" || replace "$earlier_config" "$candidate"
  label "$earlier_config"
}

# --- The proof, and what is kept.

# Without inotify Prometheus' discovery ends before it has read one target file; it says so in its
# journal alone.
prove() {
  poll 5 watches ||
    fail "Prometheus cannot watch its target files: $(user_of_prometheus) has no inotify instance" \
      "left; raise fs.inotify.max_user_instances (sysctl), and restart $prometheus_unit"
}

watches() { [ -n "$(find "/proc/$prometheus_process/fd" -lname '*inotify*' 2>/dev/null)" ]; }

user_of_prometheus() { id -un "$(stat -c %u "/proc/$prometheus_process")"; }

record() {
  keep url "$api_url"
  keep config "$config_file"
  keep unit "$prometheus_unit"
  keep block "$(our_block_in "$config_file")"
  keep running "$(running_job)"
}

# --- The way back.

undo() {
  [ -d "$RECEIPT" ] || drop_targets_folder
  [ -n "${swapped_in-}" ] || return 0
  reload
  flock -u 9
  poll 30 reloaded ||
    lost="Prometheus did not load $config_file; see: journalctl -u $prometheus_unit"
  [ -z "${edited_by_others-}" ] ||
    lost="$config_file stays as somebody else has changed it meanwhile; run again"
}

restore() {
  recorded_config=$(kept config)
  if [ -n "$recorded_config" ] && [ -z "$(running_prometheus)" ]; then
    # There is nobody to tell.
    config_file=$(readlink -f "$recorded_config")
    if [ -e "$config_file" ]; then
      write_candidate "$config_file" removed
      replace "$config_file" "$candidate"
    fi
  else
    find_prometheus
    write_candidate "$config_file" removed
    swap
  fi
  drop_targets_folder
}

# It stays where it is not empty: the files in it are other parts' or somebody's own.
drop_targets_folder() { rmdir -p "/etc/metrics-tunnel/targets/$STACK" 2>/dev/null || :; }

# --- The job.

# The job as Prometheus runs it, from its API.
running_job() { http_get "$api_url/api/v1/status/config" | job_in_answer; }

# --- Files.

# A file's own number, which is the same for all names and links of it.
same_file() { stat -Lc %d:%i "$1" 2>/dev/null || echo "none"; } # FILE

checksum() { sha256sum <"$1"; } # FILE
