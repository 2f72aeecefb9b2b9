preflight(){ :;}
change(){
api_url=$(cat "$STORE/scrape-job-$STACK/url")
mkdir -p "/etc/metrics-tunnel/targets/$STACK"
text_changed=
put "$(target_file)" "$TARGETS"
changed_at=0
[ -z "$text_changed" ]||changed_at=$(utc_text now)
}
target_file(){ echo "/etc/metrics-tunnel/targets/$STACK/$HOST.json";}
record(){ manifest "$(target_file)";}
places(){ target_file;}
restore(){ away "$(target_file)";}
prove(){
flock -u 9
wanted_targets=$(printf '%s\n' "$LISTED"|as_letters)
wanted_verdicts=$(printf '%s\n' "$LISTED"|sed 's/.*/up/')
deadline=$(($(date +%s)+WAIT))
[ "$changed_at" = 0 ]||sleep 1
poll "$WAIT" all_up||fail "Prometheus does not report $HOST up in $WAIT s; see the targets on $api_url: $reason"
}
all_up(){
[ "$(date +%s)" -lt "$deadline" ]||hopeless=1
verdicts=$(states_of_targets|while read -r health scraped_at place error;do
verdict "$health" "$scraped_at" "$place" "$error"
done)
[ "$verdicts" = "$wanted_verdicts" ]||{
reason=$(printf '%s\n' "$verdicts"|grep -vx up|head -n 1)
false
}
}
states_of_targets(){
http_get "$(targets_url)"|as_letters|TARGET_FILE=$(target_file) WANTED=$wanted_targets awk "$TARGETS_ANSWER_AWK"
}
targets_url(){ echo "$api_url/api/v1/targets?state=active&scrapePool=metrics-tunnel-$STACK";}
as_letters(){
sed 's/\\u003c/</g;s/\\u003e/>/g;s/\\u0026/\&/g;s/{"discoveredLabels":/\n&/g'
}
verdict(){
case $1 in
no-list)echo "its list of targets is not to be had: $(what_is_no_list)";;
unlisted)why_not_listed;;
*)if
[ "$1" = unknown ]||! since_the_change "$2"
then
echo "it has not scraped it since${4:+ ($4)}"
elif [ "$1" = up ]||is_health "$3" "$4";then
echo up
else
echo "${4:-it calls it $1}"
fi
esac
}
since_the_change(){
first=$(printf '%s\n' "$changed_at" "$(utc_text "$1")"|sort|head -n 1)
[ "$first" = "$changed_at" ]
}
utc_text(){
date -u -d "$1" +%Y-%m-%dT%H:%M:%S.%N 2>/dev/null||:
}
why_not_listed(){
prometheus_unit=$(cat "$STORE/scrape-job-$STACK/unit" 2>/dev/null||:)
if [ -n "$prometheus_unit" ]&&since_its_start "$prometheus_unit"|grep -q 'Error adding file watch';then
echo "it does not know the target yet, and cannot watch its file," \
"so that it looks every 10 s at best; raise fs.inotify.max_user_watches" \
"and max_user_instances (sysctl), and restart $prometheus_unit"
else
echo "it does not know the target yet; see: journalctl -u ${prometheus_unit:-prometheus}"
fi
}
what_is_no_list(){
said_instead=$(http_answer "$(targets_url)" 6|tr -d '\r'|sed -n '1p;s/.*"error":"\(.*\)"}.*/\1/p'|tail -n 1)
echo "${said_instead:-no answer}"
}
since_its_start(){
journalctl -b -qo cat "_SYSTEMD_INVOCATION_ID=$(shows "$1" InvocationID)"
}
is_health(){
case $2 in
*EOF|*"connection reset by peer");;
*)return 1
esac
refused_before=$(refusals)
[ -z "$(http_answer "http://$1" 6)" ]&&[ "$(refusals)" -gt "$refused_before" ]
}
refusals(){
journalctl -b -qo cat "_PID=$(shows "metrics-tunnel-$HOST.service" MainPID)"|grep -c '^channel [0-9]*: open failed: connect failed: Connection refused'||:
}
