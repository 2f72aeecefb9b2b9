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
WORDS_AWK='
{
  for (i = 1; i <= length($0); i++) {
    letter = substr($0, i, 1)
    if (letter == "\\") add(substr($0, ++i, 1))
    else if (quote != "") {
      if (letter == quote) quote = ""
      else add(letter)
    }
    else if (letter == "\"" || letter == "'"'"'") {
      quote = letter
      add("")
    }
    else if (letter ~ /[ \t]/) end_word()
    else add(letter)
  }
  if (in_word) print word
}

function add(letters) {
  word = word letters
  in_word = 1
}

function end_word() {
  if (in_word) print word
  word = ""
  in_word = 0
}
'
LISTENERS_AWK='
{
  address = $4
  rest = $0
  while (match(rest, /"[^"]*",pid=[0-9]+/)) {
    split(substr(rest, RSTART + 1, RLENGTH - 1), name_and_process, /",pid=/)
    print name_and_process[2], address, name_and_process[1]
    rest = substr(rest, RSTART + RLENGTH)
  }
}
'
dropin_of(){
echo "/etc/systemd/system/$1.d/zz-metrics-tunnel.conf"
}
closed_ports(){
awk "$CLOSED_PORTS_AWK" $(dropin_of '*.service')* 2>/dev/null||:
}
own_command(){ awk "$OWN_COMMAND_AWK";}
listeners_asked(){
sed -n 's/^[ \t]*EnvironmentFile[ \t]*=[ \t]*-*//p'|while read -r environment_file;do
grep -Ho -e '--*web.listen-address[= ][^" ]*' $environment_file 2>/dev/null||:
done
}
local_addresses(){ awk '{ print $4 }'|sort -u;}
OWN_COMMAND_AWK='
{
  sub(/\r$/, "")
  sub(/^\357\273\277/, "")
}

unfinished == "" && /^# \// { in_our_dropin = /\/zz-metrics-tunnel\.conf$/ }

/^[ \t]*[#;]/ { next }

{ unfinished = unfinished $0 }

match(unfinished, /\\+$/) && RLENGTH % 2 {
  unfinished = substr(unfinished, 1, length(unfinished) - 1) " "
  next
}

{
  take(unfinished)
  unfinished = ""
}

END {
  if (unfinished != "") take(unfinished)
  for (i = 1; i <= count; i++) print commands[i]
}

function take(line) {
  gsub(/^[ \t]+|[ \t]+$/, "", line)
  if (line ~ /^\[/) section = line
  else if (section == "[Service]" && !in_our_dropin && sub(/^ExecStart[ \t]*=[ \t]*/, "", line)) {
    if (line == "") count = 0
    else commands[++count] = line
  }
}
'
CLOSED_PORTS_AWK='
match($0, /^ours=--web\.listen-address=127\.0\.0\.1:[0-9]+;/) ||
match($0, /=127\.0\.0\.1:[0-9]+'"'"' metrics-tunnel /) {
  port = substr($0, RSTART, RLENGTH)
  sub(/^.*127\.0\.0\.1:/, "", port)
  print port + 0, FILENAME
}
'
shared(){ true;}
dropin_text(){
prefix=$(exec_prefix "$1")
cat <<DROPIN
# Managed by metrics-tunnel: loopback alone.
[Service]
ExecStart=
ExecStart=$prefix/bin/sh -c ' \\
ours=--web.listen-address=127.0.0.1:$PORT; held=; \\
for word; do \\
shift; \\
case \$\$held:\$\$word in \\
:-web.listen-address | :--web.listen-address) held=\$\$word; continue ;; \\
:-web.listen-address=*:$PORT | :--web.listen-address=*:$PORT | -*:*:$PORT) set -- "\$\$@" \$\$ours; ours= ;; \\
*) set -- "\$\$@" \$\${held:+"\$\$held"} "\$\$word" ;; \\
esac; \\
held=; \\
done; \\
exec "\$\$@" \$\$held \$\$ours' metrics-tunnel $(without_prefix "$1")
DROPIN
}
places(){
closed_unit=${exporter_unit:-$(kept unit)}
[ "$MANAGE" = no ]||[ -z "$closed_unit" ]||dropin_of "$closed_unit"
}
preflight(){
if [ "$MANAGE" = no ];then
find_closed
refuse_not_bound
return 0
fi
find_exporter
find_command
if [ "$(kept command)" != "$unit_command" ]||[ ! -e "$dropin_file" ];then
refuse_without_flag
fi
}
find_exporter(){
unit_that_listens=$(only_unit)
case $unit_that_listens in
*' '*)fail "port $PORT has several owners: $unit_that_listens; give each a port of its own"
esac
case $(listeners) in
*docker-proxy*)refuse_foreign
esac
exporter_unit=${SERVICE:-$(closed_units)}
if [ -z "$exporter_unit" ];then
[ -n "$(listeners)" ]||fail "nothing listens on port $PORT; start the exporter, or give its port"
[ -n "$unit_that_listens" ]||refuse_foreign
exporter_unit=$unit_that_listens
fi
if [ -n "$unit_that_listens" ]&&[ "$unit_that_listens" != "$exporter_unit" ];then
fail "port $PORT is $unit_that_listens's; give that unit"
fi
dropin_file=$(dropin_of "$exporter_unit")
refuse_second_port
}
refuse_second_port(){
others=$(grep -lxsF "$exporter_unit" "$STORE"/exporter-*/unit|grep -vxF "$RECEIPT/unit"||:)
[ -z "$others" ]||fail "$exporter_unit is closed for another port already (${others%/unit});" \
"set manage: false for one of the two"
}
refuse_foreign(){
fail "port $PORT is a container's or socket's, no service's; bind it to 127.0.0.1 there" \
"(docker -p 127.0.0.1:$PORT:$PORT), and set manage: false"
}
by_hand(){
echo "bind it to 127.0.0.1:$PORT by its own settings, and set manage: false for this exporter"
}
find_command(){
unit_command=$(systemctl cat "$exporter_unit" 2>/dev/null|own_command)
case $(without_prefix "$unit_command") in
'')fail "unit $exporter_unit ($(shows "$exporter_unit" LoadState)) has no ExecStart;" \
"unmask it, or give the exporter's unit"
;;
*'
'*|*' ; '*)fail "unit $exporter_unit has several commands in ExecStart; $(by_hand)"
;;
[@:\|]*)fail "unit $exporter_unit has an ExecStart with @ or : or |, which is not served; $(by_hand)"
;;
*systemd-socket*)refuse_foreign
esac
case $(shows "$exporter_unit" FragmentPath) in
/run/systemd/*)fail "unit $exporter_unit is made anew at each start or boot;" \
"write a unit file for it, or $(by_hand)"
esac
}
listeners(){ ss -Hltnp "sport = :$PORT";}
listening_on(){ listeners|local_addresses;}
open_places(){ listening_on|grep -vE '^(127\.|\[::1\]|\[::ffff:127\.)'||:;}
processes(){ awk "$LISTENERS_AWK";}
only_unit(){
owners=$(owners_of_port)
if [ "$(echo "$owners"|cut -d' ' -f1|sort -u|wc -l)" = 1 ];then
echo "$owners"|sed -n '1{s/^- .*//;s/ .*//;p;}'
else
echo "$owners"|sed 's/\([^ ]*\) \([^ ]*\) \(.*\)/\3 (\1) on \2/;s/ (-)/ (no service)/'|paste -sd ,|sed 's/,/, /g'
fi
}
owners_of_port(){
listeners|processes|while read -r process address name;do
its_unit=$(unit_of "$process")
echo "${its_unit:--} $address $name"
done|sort -u
}
closed_units(){
{
find "$(dropin_of "$(kept unit)")" 2>/dev/null||:
closed_ports|sed -n "s/^$PORT //p"
}|sed 's/\.d\/[^/]*$//; s/.*\///'|sort -u
}
exec_prefix(){
echo "${1%%[!+!-]*}"
}
without_prefix(){
printf '%s\n' "${1#"$(exec_prefix "$1")"}"
}
words(){ awk "$WORDS_AWK";}
refuse_without_flag(){
main_process=$(shows "$exporter_unit" MainPID)
look_at_command
if [ -e "/proc/$main_process/root/bin" ]&&[ ! -x "/proc/$main_process/root/bin/sh" ];then
fail "unit $exporter_unit may not run /bin/sh, which our drop-in needs" \
"(RootDirectory, NoExecPaths or the like); $(by_hand)"
fi
[ -z "$scripts" ]||refuse_other_customers
case $unit_command$(cat "/proc/$main_process/environ" 2>/dev/null|tr '\0' '\n') in
*web.systemd-socket*)refuse_foreign;;
*web.listen-address*)return 0
esac
[ -n "$scripts" ]||look_at "/proc/$main_process/exe"
if [ -n "$scripts" ]&&[ -z "$flag_is_known" ];then
look_at_listeners
fi
if [ -z "$flag_is_known" ]&&[ -n "$programs_seen" ];then
refuse_unknown_flag "$program"
fi
for script in $scripts;do
grep -qe 'web\.listen-address' -e '[$]@' -e '[$][*]' "$script"||refuse_unknown_flag "$script"
done
}
look_at_command(){
program=
shell=
scripts=
programs_seen=
flag_is_known=
while IFS= read -r word;do
if [ -z "$program" ];then
word=$(with_folder "$word")
program=$word
fi
if [ -n "$shell" ];then
case $word in
-c|-[a-z]*c)fail "unit $exporter_unit has its command behind a shell of its own (-c)," \
"where no flag reaches it; $(by_hand)"
;;
[!-]*)shell=
esac
fi
case ${word##*/} in
sh|bash|dash|ash|ksh|zsh)shell=$word
esac
case $word in
@/*)fail "unit $exporter_unit has flags in a file ($word)," \
"which ours would come on top of; $(by_hand)"
esac
look_at "$word"
done <<END
$(without_prefix "$unit_command"|words)
END
}
with_folder(){
case $1 in
/*)echo "$1";;
*)command -v "$1"||echo "$1"
esac
}
look_at(){
is_program "$1"||return 0
programs_seen=yes
if [ "$(head -c 2 "$1"|tr -d '\0')" = '#!' ];then
scripts="$scripts $1"
fi
if grep -qs 'web\.listen-address' "$1";then
flag_is_known=yes
fi
}
is_program(){
case $1 in
/*);;
*)return 1
esac
[ -f "$1" ]||return 1
case $1 in
*.py|*.js|*.rb|*.pl|*.sh|*.jar);;
*)[ -x "$1" ]
esac
}
look_at_listeners(){
for process in $(listeners|processes|cut -d' ' -f1);do
look_at "/proc/$process/exe"
done
}
refuse_unknown_flag(){
fail "$1 of $exporter_unit does not know --web.listen-address," \
"so it would not start with it; $(by_hand)"
}
refuse_other_customers(){
other_places=$(ss -Hltnp|processes|while read -r process address name;do
case $unit_command in
*web.listen-address*":${address##*:}"*)continue
esac
if [ "${address##*:}" != "$PORT" ]&&[ "$(unit_of "$process")" = "$exporter_unit" ];then
echo "$address ($name)"
fi
done|sort -u|paste -sd ' ')
[ -z "$other_places" ]||fail "unit $exporter_unit serves $other_places too," \
"and may not know --web.listen-address; $(by_hand)"
}
change(){
places_before=$(listening_on)
answer_before=
ran_before=
restarted=
closed_before=$(closed_units)
if [ "$MANAGE" = no ];then
hand_over
return 0
fi
if runs "$exporter_unit";then
ran_before=yes
fi
keep unit "$exporter_unit"
if [ -z "$closed_before" ]&&[ -z "$(kept places)" ];then
keep places "$places_before"
fi
mkdir -p "${dropin_file%/*}"
text_changed=
wanted=$(dropin_text "$unit_command")
put "$dropin_file" "$wanted"
systemctl daemon-reload
if [ -n "$text_changed$(open_places)" ]||[ -z "$(listeners)" ];then
restart "$exporter_unit"
fi
}
runs(){
case $(shows "$1" ActiveState) in
active|activating|reloading)return 0
esac
false
}
restart(){
if [ -z "$restarted" ]&&[ -n "$places_before" ];then
answer_before=$(metrics_answer "$(url_of "$places_before")" "$SCRAPE_SECONDS")
fi
restarted=yes
start_again "$1"||fail "$1 does not start; see: journalctl -u $1"
}
url_of(){
echo "$1"|sed "1{
    s/^\*:/127.0.0.1:/
    s/^0\.0\.0\.0:/127.0.0.1:/
    s/^\[::\]:/127.0.0.1:/
    s/^\[::ffff:\(.*\)\]/\1/
    s/%[^]:]*//
    s|^|http://|
    s|\$|$METRICS|
    q
  }"
}
hand_over(){
for closed_unit in $exporter_unit;do
if runs "$closed_unit";then
ran_before=yes
fi
dropin_to_go=$(dropin_of "$closed_unit")
remember "$dropin_to_go"
rm -f "$dropin_to_go"
drop_folder_of "$dropin_to_go"
systemctl daemon-reload
[ -z "$ran_before" ]||restart "$closed_unit"
done
}
drop_folder_of(){
rmdir "${1%/*}" 2>/dev/null||:
}
prove(){
if [ "$MANAGE" = no ]&&[ -z "$(listeners)" ];then
return 0
fi
answer=
poll 15 answers||refuse_unproven
}
answers(){
metrics_from "http://127.0.0.1:$PORT$METRICS" "$SCRAPE_SECONDS"||return 1
[ -z "$(open_places)" ]||return 1
unit_that_answers=$(only_unit)
[ -z "$exporter_unit" ]||[ -z "$unit_that_answers" ]||[ "$unit_that_answers" = "$exporter_unit" ]
}
refuse_unproven(){
still_open=$(open_places|paste -sd ' ')
if [ -n "$still_open" ]&&[ "$MANAGE" = no ];then
fail "without our drop-in the exporter listens on $still_open;" \
"bind it to 127.0.0.1:$PORT by its own settings first"
elif [ -n "$still_open" ];then
fail "exporter still listens on $still_open;" \
"see what overrides ours: systemctl cat $exporter_unit"
elif [ -z "$exporter_unit" ];then
fail "the exporter on 127.0.0.1:$PORT $answer; see: curl http://127.0.0.1:$PORT$METRICS"
elif [ "$answer" = metrics ];then
fail "port $PORT is no longer $exporter_unit's alone: $(only_unit);" \
"see: journalctl -u $exporter_unit"
else
fail "exporter did not come back on 127.0.0.1:$PORT, which $answer;" \
"see: journalctl -u $exporter_unit"
fi
}
record(){
if [ "$MANAGE" = no ];then
keep unit ''
rm -f "$RECEIPT/manifest" "$RECEIPT/command" "$RECEIPT/asked" "$RECEIPT/places"
return 0
fi
now_asked=$(systemctl cat "$exporter_unit" 2>/dev/null|listeners_asked)
if [ -e "$RECEIPT/command" ]&&{ [ "$(kept command)" != "$unit_command" ]||[ "$(kept asked)" != "$now_asked" ];};then
rm -f "$RECEIPT/places"
fi
keep asked "$now_asked"
keep command "$unit_command"
manifest "$dropin_file"
}
undo(){
for closed_unit in $exporter_unit;do
drop_folder_of "$(dropin_of "$closed_unit")"
systemctl daemon-reload
if [ -z "$restarted" ];then
continue
elif [ -z "$ran_before" ];then
systemctl stop "$closed_unit"
else
start_again "$closed_unit"
if ! poll 15 as_before;then
lost="$closed_unit does not answer on $(in_one_line "$places_before") as it did;"
lost="$lost see: journalctl -u $closed_unit"
fi
fi
done
}
as_before(){
[ "$(listening_on)" = "$places_before" ]||return 1
[ "$answer_before" != metrics ]||metrics_from "$(url_of "$places_before")" "$SCRAPE_SECONDS"
}
in_one_line(){
echo "$1"|paste -sd ' '
}
restore(){
for closed_unit in $({ kept unit&&closed_units;}|sort -u);do
give_back "$closed_unit"
done
}
give_back(){
places_before=
if [ "$(metrics_answer "http://127.0.0.1:$PORT$METRICS" "$SCRAPE_SECONDS")" = metrics ];then
places_before=$(first_places "$1")
fi
dropin_to_go=$(dropin_of "$1")
away "$dropin_to_go"
drop_folder_of "$dropin_to_go"
systemctl daemon-reload
[ "$(shows "$1" LoadState)" != not-found ]||return 0
runs "$1"||return 0
start_again "$1"||fail "$1 does not start; see: journalctl -u $1"
answer_before=metrics
[ -z "$places_before" ]||poll 15 as_before||fail "$1 has its own command back, and does not answer on $(in_one_line "$places_before")" \
"as before; see: journalctl -u $1"
}
first_places(){
unit_text=$(systemctl cat "$1" 2>/dev/null||:)
if [ "$(printf '%s\n' "$unit_text"|own_command)" = "$(kept command)" ]&&[ "$(printf '%s\n' "$unit_text"|listeners_asked)" = "$(kept asked)" ];then
kept places
fi
}
find_closed(){
exporter_unit=$(closed_units)
}
refuse_not_bound(){
[ -z "$exporter_unit" ]||return 0
still_open=$(open_places|paste -sd ' ')
[ -z "$still_open" ]||fail "port $PORT is open on $still_open, and manage: false changes nothing;" \
"bind it to loopback (a container: docker -p 127.0.0.1:$PORT:$PORT), or take manage out"
[ -d "$RECEIPT/owners" ]||is_on_loopback||fail "nothing listens on 127.0.0.1:$PORT; start the exporter there, or give its port"
}
is_on_loopback(){
listening_on|grep -qE '^(127\.0\.0\.1|\[::ffff:127\.0\.0\.1\]):'
}
