job_text(){
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
preflight(){
find_prometheus
command -v promtool >/dev/null||fail "no promtool; install it here$(promtool_beside)"
[ -f "$config_file" ]||fail "$config_file does not exist; correct configFile, or leave it out"
refuse_other_config
valid "$config_file"||refuse_invalid
items=$(known_items)
refuse_misplaced "$config_file" "$items"
too_many=$(blinded)
[ -z "$too_many" ]||fail "$too_many"
}
promtool_beside(){
program=$(readlink "/proc/$prometheus_process/exe")||return 0
[ ! -e "${program%/*}/promtool" ]||echo ": cp ${program%/*}/promtool /usr/local/bin/"
}
refuse_other_config(){
its_config=$(config_it_reads "$api_url")
[ -n "$its_config" ]||fail "Prometheus does not answer on $api_url; give url"
case $its_config in
/*)seen_from=/proc/$prometheus_process/root;;
*)seen_from=/proc/$prometheus_process/cwd/
esac
[ "$(same_file "$seen_from$its_config")" = "$(same_file "$config_file")" ]||fail "Prometheus reads $its_config, not $config_file; correct configFile, or leave it out"
}
valid(){
complaint=$(promtool check config "$1" 2>&1)||{
complaint=$(echo "$complaint"|tail -n 2|tr -s '\n ' ' ')
false
}
}
refuse_invalid(){
tools_version=$(promtool --version 2>&1|version)
its_version=$(version_of_prometheus)
case $complaint in
*"not found in type"*)if
[ -n "$its_version" ]&&[ "$its_version" != "$tools_version" ]
then
fail "promtool $tools_version is not of the release of Prometheus $its_version" \
"and does not know what $config_file may hold: $complaint;" \
"put the promtool of Prometheus $its_version into /usr/local/bin"
fi
esac
fail "$config_file is invalid, mend it: $complaint"
}
version_of_prometheus(){
http_get "$api_url/metrics"|sed -n 's/^prometheus_build_info{\(.*\)}.*/\1/p'|tr ',' '\n'|version
}
version(){ sed -n 's/^\(promtool, version \|version="\)\([0-9.]*\).*/\2/p'|head -n 1;}
known_items(){
alone=$(echo "scrape_configs:"&&job_text)
unknown_lines=$(echo "$alone"|promtool check config /dev/stdin 2>&1|sed -n 's/.*line \([0-9]*\): field [a-z_]* not found.*/\1d/p')
echo "$alone"|sed "$unknown_lines"|tail -n +2
}
refuse_misplaced(){
with_two=$(edited_config twice "$2" <"$1")||fail "$config_file: $with_two"
said_of_two=$(echo "$with_two"|promtool check config /dev/stdin 2>&1||:)
case $said_of_two in
*"multiple scrape configs with job name \"$JOB\""*);;
*)fail "$config_file: our job would not come into its list; $(as_a_list)"
esac
}
blinded(){
limit_before=$(our_block_in "$config_file"|sed -n 's/.*sample_limit: //p')
[ "${limit_before:-0}" -gt "$SAMPLE_LIMIT" ] 2>/dev/null||return 0
above=$(targets_above "$SAMPLE_LIMIT")
[ -z "$above" ]||echo "$above samples, more than $SAMPLE_LIMIT; raise scrape.sampleLimit"
}
targets_above(){
hosts=$(ls "/etc/metrics-tunnel/targets/$STACK" 2>/dev/null|sed -n 's/.json$/%7C/p'|tr -d '\n')
query="scrape_samples_post_metric_relabeling%7Binstance=~%22${hosts%???}%22%7D%3E$1+and+up==1"
http_get "$api_url/api/v1/query?query=$query"|sed 's/{"metric/\n&/g'|sed -n 's/.*"instance":"\([^"]*\)".*,"\([0-9]*\)"\].*/\1 brings \2/p'|paste -sd ,
}
change(){
mkdir -p "/etc/metrics-tunnel/targets/$STACK"
write_candidate "$config_file" placed "$items"
refuse_misplaced "$candidate" "$items"
if ! cmp -s "$candidate" "$config_file"||! is_loaded;then
swap
fi
clear_earlier_config
}
is_loaded(){
recorded_job=$(kept running)
[ -n "$recorded_job" ]&&[ "$(running_job)" = "$recorded_job" ]&&[ "$(our_block_in "$config_file")" = "$(kept block)" ]
}
write_candidate(){
candidate=$1.mt-new
remember "$1"
cp -p "$1" "$candidate"
edited_config "$2" "${3-}" <"$1" >"$candidate"||fail "$1: $(cat "$candidate")"
}
swap(){
valid "$candidate"||fail "promtool refuses our change: $complaint"
if ! cmp -s "$config_file.mt-old" "$config_file";then
keep_others_edit
fail "$config_file was changed by somebody else meanwhile; run again"
fi
swapped_in=$(checksum "$candidate")
cmp -s "$candidate" "$config_file"||replace "$config_file" "$candidate"||fail "cannot replace $config_file; if it is a mount of its own, mount its folder instead"
label "$config_file"
reload
poll 30 loaded||refuse_not_loaded
}
keep_others_edit(){ forget_copies;}
reload(){
reloaded_before=$(last_reload)
started_at=$(date +%s)
kill -HUP "$prometheus_process"
}
last_reload(){
http_get "$api_url/metrics" 3|sed -n 's/^prometheus_config_last_reload_success_timestamp_seconds //p'
}
reloaded(){
reloaded_now=$(last_reload)
[ -n "$reloaded_now" ]&&[ "$reloaded_now" != "$reloaded_before" ]&&awk -v now="$reloaded_now" -v start="$started_at" 'BEGIN { exit !(now >= start) }'
}
loaded(){
reloaded||return 1
if [ -n "$(our_block_in "$config_file")" ];then
[ -n "$(running_job)" ]
else
[ -z "$(running_job)" ]
fi
}
refuse_not_loaded(){
if reloaded;then
why="it read a configuration in which our change is not; does it read this file?"
else
why=$(journalctl -u "$prometheus_unit" -qo cat --since "@$started_at"|sed -n 's/.* err="\(.*\)".*/\1/p'|tail -n 1)
fi
if [ "$(checksum "$config_file")" != "$swapped_in" ];then
keep_others_edit
edited_by_others=yes
fi
fail "Prometheus did not load $config_file${why:+ ($why)}; see: journalctl -u $prometheus_unit"
}
clear_earlier_config(){
recorded_config=$(kept config)
if [ -z "$recorded_config" ]||[ ! -f "$recorded_config" ];then
return 0
fi
earlier_config=$(readlink -f "$recorded_config")
[ "$(same_file "$earlier_config")" != "$(same_file "$config_file")" ]||return 0
write_candidate "$earlier_config" removed
cmp -s "$candidate" "$earlier_config"||replace "$earlier_config" "$candidate"
label "$earlier_config"
}
prove(){
poll 5 watches||fail "Prometheus cannot watch its target files: $(user_of_prometheus) has no inotify instance" \
"left; raise fs.inotify.max_user_instances (sysctl), and restart $prometheus_unit"
}
watches(){ [ -n "$(find "/proc/$prometheus_process/fd" -lname '*inotify*' 2>/dev/null)" ];}
user_of_prometheus(){ id -un "$(stat -c %u "/proc/$prometheus_process")";}
record(){
keep url "$api_url"
keep config "$config_file"
keep unit "$prometheus_unit"
keep block "$(our_block_in "$config_file")"
keep running "$(running_job)"
}
undo(){
[ -d "$RECEIPT" ]||drop_targets_folder
[ -n "${swapped_in-}" ]||return 0
reload
flock -u 9
poll 30 reloaded||lost="Prometheus did not load $config_file; see: journalctl -u $prometheus_unit"
[ -z "${edited_by_others-}" ]||lost="$config_file stays as somebody else has changed it meanwhile; run again"
}
restore(){
recorded_config=$(kept config)
if [ -n "$recorded_config" ]&&[ -z "$(running_prometheus)" ];then
config_file=$(readlink -f "$recorded_config")
if [ -e "$config_file" ];then
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
drop_targets_folder(){ rmdir -p "/etc/metrics-tunnel/targets/$STACK" 2>/dev/null||:;}
running_job(){ http_get "$api_url/api/v1/status/config"|job_in_answer;}
same_file(){ stat -Lc %d:%i "$1" 2>/dev/null||echo "none";}
checksum(){ sha256sum <"$1";}
