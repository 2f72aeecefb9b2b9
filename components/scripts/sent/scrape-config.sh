#!/bin/sh
main(){
exec 3>&2
by_its_command "$@"
begin
wrong=$(out_of_place "$@")
if [ -n "$wrong" ];then
printf '%s\n' "metrics-tunnel: $wrong" >&2
exit 3
fi
trap finish EXIT
trap 'finish 143' HUP INT TERM
trap : PIPE
able
case $1 in
apply)apply "$2" "$3";;
remove)remove "$2"
esac
}
apply(){
lock
sign_lock
only_ours "$1"
preflight
closed_to_others
OWNER=$1
recorded_before=$(recorded_by_others "$OWNER")
undo_paths=' '
step=change
mend_folders
change
step=proof
prove
lock
trap '' HUP INT TERM
record
record_owner "$1" "$2"
say_applied "$2"
}
remove(){
lock
sign_lock
step=restore
OWNER=$1
if [ -z "$(owner_files)" ];then
restore_and_forget
elif [ -z "$(recorded_as "$1")" ]&&! damaged "$1";then
return
elif [ -z "$(recorded_by_others "$1")" ];then
restore_and_forget
else
forget_owner "$1"
fi
}
restore_and_forget(){
restore
trap '' HUP INT TERM
rm -rf "$RECEIPT"
}
say_applied(){
printf '\nmetrics-tunnel applied %s\n' "$1"||:
}
by_its_command(){
case $0,${1-} in
metrics-tunnel,*|sh,apply|sh,remove);;
*)echo "a startup file of this login has put another shell in place of our command" >&2
exit 3
esac
}
begin(){
set -eu
umask 022
export LC_ALL=C PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LOCK=/run/metrics-tunnel.lock
STORE=/var/lib/metrics-tunnel
RECEIPT=$STORE/$PART
undo_paths=
path_in_work=
step=preflight
said=
read -r own_process rest </proc/self/stat
}
able(){
set -- $(systemctl --version) 0 0
systemd_version=${2%%[!0-9]*}
if [ "$(id -u)" != 0 ]||[ ! -d /run/systemd/system ]||! [ "$systemd_version" -ge 247 ];then
fail "needs root and a running systemd >= 247; log in as root or with sudo"
fi
}
out_of_place(){
for word in "$@";do
case $word in *:*)plain_name "the command line" "${word%%:*}";esac
plain_name "the command line" "${word#*:}"
done
plain_name MACHINE "$MACHINE"
plain_name PART "$PART"
plain_name STACK "$STACK"
plain_name PROJECT "${PROJECT-none}"
plain_name HOST "${HOST-none}"
plain_name ID "${ID-none}"
plain_name COMMENT "${COMMENT-none}"
plain_name JOB "${JOB-none}"
plain_name LOGIN "${LOGIN-none}"
plain_name PORT "${PORT-0}"
plain_name WAIT "${WAIT-0}"
plain_name KEY_ID "${KEY_ID:-none}"
plain_address ADDRESS "${ADDRESS:-none}"
plain_forwards FORWARDS "${FORWARDS-0:0}"
plain_duration INTERVAL "${INTERVAL-1s}"
plain_duration TIMEOUT "${TIMEOUT-1s}"
plain_number SAMPLE_LIMIT "${SAMPLE_LIMIT-1}"
plain_number SSH_PORT "${SSH_PORT-22}"
plain_path CONFIG "${CONFIG:-/}"
plain_path METRICS "${METRICS:-/}"
case ${SERVICE-} in
-*|*[!A-Za-z0-9@._-]*)echo "SERVICE is no plain name; use letters, digits, . _ @ and -"
esac
if [ -n "${KEY-}" ];then
plain_name KEY "${KEY#/etc/metrics-tunnel/keys/}"
fi
}
plain_name(){
case $2 in
''|.|..|-*|*[!A-Za-z0-9._-]*)echo "$1 is no plain name; use letters, digits, . _ and -"
esac
}
plain_address(){
case $2 in
''|-*|*[!A-Za-z0-9.:-]*)echo "$1 is no plain address; use letters, digits, . : and -"
esac
}
plain_forwards(){
case $2 in
''|*[!][0-9.:' ']*)echo "$1 are no plain forwards; use digits, . : [ and ] with a blank between two"
esac
}
plain_duration(){
case $2 in ''|*[!0-9a-z]*)echo "$1 is no duration; use digits and letters, such as 15s";esac
}
plain_number(){
case $2 in ''|*[!0-9]*)echo "$1 is no number; use digits";esac
}
plain_path(){
case $2 in
[!/]*|*//*|*/./*|*/../*|*/.|*/..|*[!A-Za-z0-9@._+/-]*)echo "$1 is no plain absolute path; use letters, digits and . _ + @ - between slashes"
esac
}
lock(){
take_lock||fail "another run holds the lock (pid $(cat "$LOCK")); wait and run again"
}
sign_lock(){
echo "$$, $(date)" >"$LOCK"
}
take_lock(){
while :;do
exec 9>>"$LOCK"
flock -w 60 9||return 1
! lock_is_in_place||return 0
done
}
lock_is_in_place(){
[ "$(stat -Lc %i /dev/stdin <&9)" = "$(stat -c %i "$LOCK" 2>/dev/null)" ]
}
drop_lock(){
if [ ! -d "$STORE" ]&&flock -n 9&&lock_is_in_place;then
rm -f "$LOCK"
fi 2>/dev/null
}
fail(){
said=$*
read -r process rest </proc/self/stat
[ "$process" = "$own_process" ]||printf '%s\n' "$said" >&3
exit 3
}
finish(){
exit_code=${1-$?}
trap '' EXIT HUP INT TERM
set +eu
if [ "$exit_code" != 0 ];then
said=${said:-stopped at $step; mend the above, run again}
if [ -n "$undo_paths" ];then
put_all_back
fi
printf '%s\n' "$MACHINE $PART: $said" >&2
fi
drop_copies
rmdir "$STORE" 2>/dev/null
drop_lock
exit "$exit_code"
}
put_all_back(){
take_lock
[ "$(recorded_by_others "$OWNER")" = "$recorded_before" ]||return
lost=
put_back
forget_first_apply
undo
forget_first_apply
said="$said; $(outcome)"
}
outcome(){
if [ -n "$not_back" ];then
echo "not put back could be:$not_back; where there is a copy," \
"it has .mt-old behind its name: move it back"
elif [ -n "$lost" ];then
echo "its old files are back, but $lost"
else
echo "its old state is restored"
fi
}
prove(){ :;}
undo(){ :;}
shared(){ false;}
places(){ :;}
forms_of(){
printf '%s\n' "$1" "${1#*:}"
}
is_form_of(){
for form in $(forms_of "$2");do
[ "$form" != "$1" ]||return 0
done
false
}
file_of(){
echo "${1%.*}"
}
stack_of(){
echo "${1%.*}"
}
owner_files(){
ls "$RECEIPT/owners" 2>/dev/null||:
}
recorded_as(){
for form in $(forms_of "$1");do
case $(kept "owners/$(file_of "$form")") in
"$form "*)echo "$form"
return
esac
done
}
damaged(){
for form in $(forms_of "$1");do
file=$(file_of "$form")
[ -e "$RECEIPT/owners/$file" ]||continue
case $(kept "owners/$file") in
"$file."?*' '?*);;
*)return 0
esac
done
false
}
recorded_by_others(){
for file in $(owner_files);do
is_form_of "$file" "$(file_of "$1")"||echo "$file $(kept "owners/$file")"
done
}
only_ours(){
! shared||return 0
for file in $(owner_files);do
if is_of_this_stack "$file"&&! is_form_of "$(stack_of "$file")" "$(stack_of "$(file_of "$1")")";then
fail "project ${file%%:*} has a stack $STACK too, and this is its; rename one of the two" \
"stacks (pulumi stack rename), or take this out there"
fi
done
}
held_by_this_stack(){
for file in $(owner_files);do
! is_of_this_stack "$file"||return 0
done
false
}
is_of_this_stack(){
is_form_of "$STACK" "$(stack_of "$1")"
}
record_owner(){
keep "owners/$(file_of "$1")" "$1 $2"
for form in $(forms_of "$1");do
[ "$form" = "$1" ]||rm -f "$RECEIPT/owners/$(file_of "$form")"
done
}
forget_owner(){
for form in $(forms_of "$1");do
rm -f "$RECEIPT/owners/$(file_of "$form")"
done
}
forget_first_apply(){
rm -f "$RECEIPT/.new"
if rmdir "$RECEIPT/owners" 2>/dev/null;then
rm -r "$RECEIPT"
fi
}
keep(){
mkdir -p "$RECEIPT/owners"
printf '%s\n' "$2" >"$RECEIPT/.new"
replace "$RECEIPT/$1" "$RECEIPT/.new"
}
kept(){
cat "$RECEIPT/$1" 2>/dev/null||:
}
put(){
remember "$1"
{ printf '%s\n' "$2" >"$1.mt-new";} 2>/dev/null||full "$1"
if ! cmp -s "$1.mt-new" "$1"||! touch -r "$1" "$1.mt-new";then
text_changed=1
fi
replace "$1" "$1.mt-new"
label "$1"
}
replace(){
sync "$2" 2>/dev/null||:
mv -fT "$2" "$1"
}
remember(){
path_in_work=$1
rm -rf "$1.mt-old"
! there "$1"||cp -aT "$1" "$1.mt-old" 2>/dev/null||full "$1"
undo_paths="$undo_paths $1"
}
full(){
fail "cannot write $1; see: df -h, mount"
}
there(){
[ -e "$1" ]||[ -L "$1" ]
}
label(){
restorecon "$1" 2>/dev/null||:
}
away(){
while [ $# -gt 0 ];do
rm -rf "$1" "$1".mt-*||return 1
shift
done
}
manifest(){
keep manifest "$(stat -c '%a %U %n' "$@"&&sha256sum "$@")"
}
put_back(){
not_back=
for path in $undo_paths;do
if is_copy "$path" "$path.mt-old";then
rm -f "$path.mt-old"
elif there "$path.mt-old";then
replace "$path" "$path.mt-old"||not_back="$not_back $path"
else
away "$path"||not_back="$not_back $path"
fi
done
drop_copies
undo_paths=
path_in_work=
}
is_copy(){
[ -f "$1" ]&&[ -f "$2" ]&&cmp -s "$1" "$2"&&[ "$(stat -c '%a %u %g %Y' "$1")" = "$(stat -c '%a %u %g %Y' "$2")" ]
}
drop_copies(){
for path in $undo_paths $path_in_work;do
case " ${not_back-} " in
*" $path "*);;
*)rm -rf "$path".mt-*
esac
done
}
forget_copies(){
drop_copies
undo_paths=' '
path_in_work=
}
folders_of(){
for path in "$@";do
case $path in
/*);;
*)continue
esac
folder=${path%/*}
while [ -n "$folder" ];do
echo "$folder"
case $folder in
/etc|/var/lib)break
esac
folder=${folder%/*}
done
done|sort -u
}
wrong_folders(){
stat -Lc '%a %U %n' $(folders_of "$RECEIPT/owners/x" $(places)) 2>/dev/null|while read -r mode owner folder;do
may_not=022
must=0
mended=
case $folder in
/etc/metrics-tunnel/keys)may_not=077
must=0700
mended=700
;;
/etc/metrics-tunnel|/etc/metrics-tunnel/*|"$STORE"|"$STORE"/*)must=0755
mended=755
;;
/etc/ssh/authorized_keys.d)must=0111
mended=755
esac
if [ "$owner" != root ]||[ $((0$mode&may_not)) != 0 ]||[ $((0$mode&must)) != $((must)) ];then
echo "$folder $mode $owner $mended"
fi
done
}
open_to_others(){
echo "others than root may write to $1 (mode and owner $2 $3);" \
"mend that: chown root $1; chmod go-w $1"
}
closed_to_others(){
open=$(wrong_folders|grep ' $'|head -n 1)
if [ -n "$open" ];then
fail "$(open_to_others $open)"
fi
}
mend_folders(){
wrong_folders|while read -r folder mode owner mended;do
chown root "$folder"
chmod "$mended" "$folder"
done
}
poll(){
hopeless=
unanswered=
for pause in $(pauses "$1");do
$2&&return 0
[ -z "$hopeless" ]||return 1
sleep "$pause"
done
false
}
pauses(){
echo .1 .2 .2 .4
if [ "$1" -le 10 ];then
yes 1|head -n "$1"
else
yes 1|head -n 10
yes 2|head -n $((($1 - 10)/2))
fi
}
unit_of(){
sed -n 's#.*:/\([^/]*\.slice/\)*\([^/]*\.service\)$#\2#p' "/proc/$1/cgroup"|head -n 1
}
shows(){
systemctl show -p "$2" --value -- ${1:+"$1"}
}
start_again(){
systemctl reset-failed "$1" 2>/dev/null||:
systemctl restart "$1"
}
http_answer(){
env -i PATH="$PATH" timeout "$2" bash --norc --noprofile -c '
    trap "" PIPE
    url=${1#*//} place=${url%%/*} address=${place%:*}
    exec 3<>/dev/tcp/${address//[][]}/${place##*:} || exit 7
    env printf "GET /%s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "${url#*/}" "$place" >&3
    cat <&3' - "$1" 2>/dev/null </dev/null
}
http_get(){
http_answer "$1" "${2-6}"|sed -n '
    1{/^HTTP\/1\.[01] 200\( .*\)*\r*$/!q}
    1,/^\r*$/!p'
}
metrics_answer(){
{
code=0
http_answer "$1" "$2"||code=$?
echo ".$code"
}|awk -v seconds="$2" "$METRICS_ANSWER_AWK"
}
metrics_from(){
answer=$(metrics_answer "$1" "$2")
case $answer in
metrics)return 0;;
*within*)hopeless=$unanswered
unanswered=1
;;
speaks*TLS|*40[13])answer="$answer; one that wants a password or TLS is not served";;
*"status 400")answer="$answer; it may answer to names alone that it knows:"
answer="$answer let it know $(called "$1"), or give another listen"
;;
*"status 30"*)answer="$answer; redirects are not followed: give the path where its metrics are"
esac
false
}
called(){
place=${1#*//}
place=${place%%/*}
echo "${place%:*}"
}
METRICS_ANSWER_AWK='
BEGIN {
  number = "[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+|[iI][nN][fF]([iI][nN][iI][tT][yY])?|[nN][aA][nN])" \
    "([eE][-+]?[0-9]+)?"
  name = "[a-zA-Z_:][a-zA-Z0-9_:]*"
  named = "(" name "[ \t]+|(" name ")?[ \t]*[{].*[}][ \t]*)"
  sample = "^[ \t]*" named number "([ \t]+" number ")?([ \t]+#.*)?[ \t]*$"
  promised_bytes = -1
}

NR > 1 { judge_line(line, 1) }
{ line = $0 }

END {
  match(line, /[.][0-9]+$/)
  code = substr(line, RSTART + 1)
  last_line_has_its_end = RSTART == 1
  if (!last_line_has_its_end) judge_line(substr(line, 1, RSTART - 1), 0)
  print verdict()
}


function judge_line(text, newlines) {
  lines++
  if (lines == 1) first_line = text
  else if (in_body) judge_body_line(text, newlines)
  else judge_header(tolower(text))
}

function judge_header(text) {
  sub(/\r$/, "", text)
  if (text == "") in_body = 1
  if (text ~ /^content-length:[ \t]*[0-9]+$/) {
    sub(/.*:[ \t]*/, "", text)
    promised_bytes = text + 0
  }
  if (text ~ /^transfer-encoding:.*chunked/) chunked = 1
}

function judge_body_line(text, newlines) {
  body_bytes += length(text) + newlines
  if (text ~ sample) samples++
  else if (text !~ /^[ \t]*(#.*)?$/) strange_lines++
  if (text ~ /HTTPS|SSL|TLS/) names_tls = 1
  ends_with_last_chunk = text ~ /^0\r?$/ || (ends_with_last_chunk && text ~ /^\r?$/)
}


function verdict(   status) {
  if (!lines) return verdict_on_silence()
  if (first_line ~ /^\025\003/) return "speaks TLS"
  if (first_line !~ /^HTTP\/1[.][01] [1-5][0-9][0-9]( .*)?\r?$/) {
    return "answers with what is no HTTP"
  }
  status = substr(first_line, 10, 3)
  if (status == 400 && names_tls) return "speaks TLS"
  if (status != 200) return "answers with status " status
  if (!is_whole()) {
    return is_late() ? "does not end its answer within " seconds " s" : "cuts its answer short"
  }
  if (!samples && !strange_lines) return "answers without one sample"
  if (!samples || (strange_lines && !chunked)) return "answers with what is no metrics"
  return "metrics"
}

function verdict_on_silence() {
  if (code == 7) return "takes no connection"
  if (is_late()) return "answers nothing within " seconds " s"
  return "closes the connection without an answer"
}

function is_late() { return code == 124 || code == 143 }

function is_whole() {
  if (promised_bytes >= 0) return in_body && body_bytes >= promised_bytes
  if (chunked) return ends_with_last_chunk
  return in_body && code == 0 && last_line_has_its_end
}
'
TARGETS_ANSWER_AWK='
BEGIN {
  of_our_file = "\"__meta_filepath\":\"" ENVIRON["TARGET_FILE"] "\""
  wanted_count = split(ENVIRON["WANTED"], wanted, "\n")
}

index($0, "\"activeTargets\":") { is_list = 1 }

index($0, of_our_file) {
  for (i = 1; i <= wanted_count; i++) {
    if (index($0, wanted[i])) state[i] = state_of($0)
  }
}

END {
  for (i = 1; i <= wanted_count; i++) {
    if (!is_list) print "no-list"
    else if (!(i in state)) print "unlisted"
    else print state[i]
  }
}

function state_of(target) {
  return between(target, "\"health\":\"", "\"") " " \
    between(target, "\"lastScrape\":\"", "\"") " " \
    between(target, "\"scrapeUrl\":\"http://", "\"") " " \
    between(target, "\"lastError\":\"", "\",\"lastScrape\":")
}

function between(text, before, behind) {
  text = substr(text, index(text, before) + length(before))
  return substr(text, 1, index(text, behind) - 1)
}
'
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
