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
find_prometheus(){
prometheus_process=$(running_prometheus)
case $prometheus_process in
'')[ -z "$SERVICE" ]||fail "$SERVICE does not run here; start it, or correct service"
fail "Prometheus does not run here; start it or give service"
;;
*[!0-9]*)fail "two Prometheus run here; give service"
esac
prometheus_unit=$(unit_of "$prometheus_process")
[ -n "$prometheus_unit" ]||fail "Prometheus is no systemd service; run it as one"
if is_shell "$prometheus_process";then
fail "the main process of $prometheus_unit is a shell, which our signal would end;" \
"put exec before Prometheus in its command"
fi
api_url=${URL:-$(url_by_its_flags)}
named_config=${CONFIG:-$(config_it_reads "$api_url")}
[ -n "$named_config" ]||fail "Prometheus does not answer on $api_url; give url and configFile"
config_file=$(cd "/proc/$prometheus_process/cwd"&&readlink -f "$named_config")
case $config_file in
*[[:space:]*?\\[]*)fail "$config_file: move it to a path without blanks or *?[\\"
esac
}
running_prometheus(){
if [ -n "$SERVICE" ];then
prometheus_of_service "$SERVICE"
else
processes_named_prometheus
fi
}
prometheus_of_service(){
main_process=$(shows "$1" MainPID|sed 's/^0$//')
prometheus=$main_process
if is_shell "$main_process";then
its_unit=$(unit_of "$main_process")
for process in $(processes_named_prometheus);do
[ "$(unit_of "$process")" != "$its_unit" ]||prometheus=$process
done
fi
echo "$prometheus"
}
processes_named_prometheus(){ cd /proc&&grep -lsx prometheus [0-9]*/comm|cut -d/ -f1;}
is_shell(){
case $(name_of "$1") in
sh|bash|dash|ash|ksh|zsh|busybox)return 0
esac
false
}
name_of(){
if [ -n "$1" ];then
cat "/proc/$1/comm" 2>/dev/null||:
fi
}
url_by_its_flags(){
address=$(prometheus_flag web.listen-address)
address=${address:-:9090}
case ${address%:*} in
''|0.0.0.0|'[::]')address=127.0.0.1:${address##*:}
esac
prefix=$(prometheus_flag web.route-prefix)
if [ -z "$prefix" ];then
prefix=$(prometheus_flag web.external-url)
case $prefix in
*://*/*)prefix=${prefix#*://*/};;
*://*)prefix=
esac
fi
prefix=${prefix#/}
echo "http://$address${prefix:+/${prefix%/}}"
}
prometheus_flag(){
tr '\0' '\n' <"/proc/$prometheus_process/cmdline"|sed -n "s/^--*$1=//p;/^--*$1\$/{n;p;}"|tail -n 1
}
config_it_reads(){
http_get "$1/api/v1/status/flags"|sed -n 's/.*"config.file":"\([^"]*\)".*/\1/p'
}
edited_config(){
{ cat&&printf x;}|JOB="$JOB" ITEMS="${2-}" AS_A_LIST="$(as_a_list)" awk -v action="$1" "$PROMETHEUS_YML_AWK"
}
our_block_in(){ edited_config shown <"$1";}
as_a_list(){
echo "write scrape_configs: alone on its line, and each job below it as - job_name: ..."
}
job_in_answer(){ sed 's/\\n/\n/g'|JOB="$JOB" awk "$RUNNING_JOB_AWK";}
PROMETHEUS_YML_AWK='
BEGIN {
  job = ENVIRON["JOB"]
  key = "scrape_configs:"
  any_first_mark = "^ *# BEGIN metrics-tunnel-"
  any_last_mark = "^ *# END metrics-tunnel-"
}

{ line[NR] = $0 }

END {
  count = NR
  line[count] = substr(line[count], 1, length(line[count]) - 1)
  find_block()
  if (action == "shown") {
    print_block()
    exit
  }
  refuse_utf_16()
  refuse_damaged()
  if (first) take_out()
  if (action != "removed") put_in()
  print_file()
}

function print_file(   i) {
  for (i = 1; i < count; i++) print line[i]
  printf "%s", line[count]
}

function print_block(   i) {
  for (i = first; first && i <= last; i++) print line[i]
}

function refuse(reason) {
  print reason
  exit 1
}


function find_block(   i) {
  first = last = first_marks = 0
  for (i = 1; i <= count; i++) {
    if (is_first_mark(line[i])) {
      first_marks++
      if (!first) first = i
    }
    if (is_last_mark(line[i]) && first && !last) last = i
  }
}

function is_first_mark(text) {
  text = trimmed(text)
  return text == "# BEGIN " job || text == "# BEGIN " job " joined"
}

function is_last_mark(text) { return trimmed(text) == "# END " job }

function is_joined(first_mark) { return first_mark ~ / joined[ \t\r]*$/ }

function refuse_damaged(   i) {
  if (first_marks > 1 || (first && !last)) {
    refuse("the marks of " job " are damaged; delete its block")
  }
  for (i = 1; i <= count && !first; i++) {
    if (is_our_job(line[i])) refuse("the job " job " has lost its marks; delete that job")
  }
}

function is_our_job(text) {
  sub(/^[ \t]*-/, "", text)
  text = trimmed(text)
  gsub(/["'"'"']/, "", text)
  return text == "job_name: " job
}

function take_out(   key_line, joined) {
  key_line = line_of_key()
  joined = is_joined(line[first])
  if (another_block_follows()) {
    if (joined) mark_joined(last + 1)
    if (key_line) give_key_to_next_block(key_line)
  } else if (key_line && items_follow()) {
    line[last] = line[key_line]
    last--
  } else if (joined && last + 1 == count && line[count] == "") {
    last = count
  }
  remove_lines(first, last)
}

function line_of_key(   i, found) {
  found = 0
  for (i = first; i <= last; i++) if (trimmed(line[i]) == key) found = i
  return found
}

function another_block_follows() { return last < count && line[last + 1] ~ any_first_mark }

function mark_joined(number) {
  if (!is_joined(line[number])) line[number] = line[number] " joined"
}

function give_key_to_next_block(key_line) {
  line[last] = line[last + 1]
  line[last + 1] = line[key_line]
  last--
}

function items_follow(   i) {
  i = next_that_says_something(last, count + 1)
  return i <= count && is_item(line[i])
}

function remove_lines(from, to,   i, removed) {
  removed = to - from + 1
  for (i = to + 1; i <= count; i++) line[i - removed] = line[i]
  count -= removed
}


function put_in(   i, item, items, mark) {
  find_place()
  mark = "# BEGIN " job
  if (place == count && line[count] != "") {
    mark = mark " joined"
    line[++count] = ""
  }
  block_size = 0
  add_to_block(mark)
  if (list_is_new) add_to_block(key)
  items = split(ENVIRON["ITEMS"], item, "\n")
  for (i = 1; i <= items; i++) add_to_block(item[i])
  for (i = 1; i <= items && action == "twice"; i++) add_to_block(item[i])
  add_to_block("# END " job)
  insert_block()
}

function add_to_block(text) { block[++block_size] = blanks(indent) text }

function insert_block(   i) {
  for (i = count; i > place; i--) line[i + block_size] = line[i]
  for (i = 1; i <= block_size; i++) line[place + i] = block[i]
  count += block_size
}

function find_place(   margin, list) {
  find_document()
  margin = margin_of_document()
  list = line_of_list(margin)
  if (list) {
    list_is_new = 0
    find_place_in_list(list, margin)
    return
  }
  list_is_new = 1
  indent = margin
  place = document_end - 1
  if (place == count && line[count] == "") place--
}

function find_document(   i, text) {
  document_start = 0
  for (i = 1; i <= count; i++) {
    text = content(i)
    if (is_document_mark(text)) {
      if (document_start || text ~ /^[.]/) break
      document_start = i + 1
      if (!says_nothing(substr(text, 4))) {
        refuse("it begins on the line of its ---; begin it on the next line")
      }
    } else if (!document_start && !says_nothing(text) && text !~ /^%/) {
      document_start = i
    }
  }
  document_end = i
  if (!document_start) document_start = i
}

function is_document_mark(text) { return text ~ /^(---|[.][.][.])([ \t]|$)/ }

function margin_of_document(   i) {
  i = next_that_says_something(document_start - 1, document_end)
  return i < document_end ? indent_of(content(i)) : 0
}

function line_of_list(margin,   i, text, found) {
  found = 0
  for (i = document_start; i < document_end; i++) {
    text = content(i)
    if (says_nothing(text) || indent_of(text) != margin) continue
    text = substr(text, margin + 1)
    if (text ~ /^[{]/) refuse("it is written as JSON; write it as YAML: " ENVIRON["AS_A_LIST"])
    if (text ~ /^["'"'"']?<<["'"'"']?[ \t]*:/) {
      refuse("it has a merge key (<<) at its margin; write out what it brings")
    }
    if (!found && text ~ /^["'"'"']?scrape_configs["'"'"']?[ \t]*:([ \t]|$)/) found = i
  }
  return found
}

function find_place_in_list(list, margin,   i) {
  refuse_other_form(line[list])
  i = next_that_says_something(list, document_end)
  indent = margin
  if (i < document_end && is_item(line[i]) && indent_of(line[i]) >= margin) {
    indent = indent_of(line[i])
  } else if (i < document_end && indent_of(line[i]) > margin) {
    refuse_no_list()
  }
  place = list
  if (list > 1 && line[list - 1] ~ any_first_mark) {
    while (place < document_end && line[place] !~ any_last_mark) place++
  }
}

function refuse_other_form(key_line,   value) {
  value = key_line
  sub(/^[^:]*:/, "", value)
  if (value ~ /^[ \t]*&/) {
    refuse("scrape_configs has an anchor, which may be used elsewhere; take it away")
  }
  sub(/^[ \t]+!!seq/, "", value)
  if (!says_nothing(value)) refuse_no_list()
}

function refuse_no_list() { refuse("scrape_configs is no block list; " ENVIRON["AS_A_LIST"]) }

function refuse_utf_16() {
  if (line[1] ~ /^(\377\376|\376\377)/) refuse("it is not UTF-8; save it as that")
}


function content(number,   text) {
  text = line[number]
  sub(/\r$/, "", text)
  if (number == 1) sub(/^\357\273\277/, "", text)
  return text
}

function next_that_says_something(number, end) {
  number++
  while (number < end && says_nothing(content(number))) number++
  return number
}

function says_nothing(text) { return text ~ /^[ \t]*(#.*)?\r?$/ }

function is_item(text) { return text ~ /^ *-([ \t\r]|$)/ }

function indent_of(text) {
  match(text, /^ */)
  return RLENGTH
}

function trimmed(text) {
  gsub(/^[ \t]+|[ \t\r]+$/, "", text)
  return text
}

function blanks(number,   text) {
  while (length(text) < number) text = text " "
  return text
}
'
RUNNING_JOB_AWK='
BEGIN { head = "- job_name: " ENVIRON["JOB"] }

!/^ / { ours = $0 == head }
ours
'
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
