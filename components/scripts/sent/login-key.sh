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
know_sshd(){
sshd_service=$(sshd_unit)
sshd_command=$(command_of "$sshd_service")
sshd_options=$(printf '%s\n' "$sshd_command"|options_given)
general_settings=$(sshd -T 2>/dev/null </dev/null||:)
}
refuse_invalid_settings(){
complaint=$(sshd -t 2>&1)||fail "sshd's configuration is invalid, mend it: $complaint"
}
sshd_unit(){
for service in ssh.service sshd.service;do
if systemctl is-active -q "$service";then
echo "$service"
return 0
fi
done
process=$(ss -Hltnp|sed -n 's/.*"sshd",pid=\([0-9]*\).*/\1/p'|head -n 1)
if [ -n "$process" ];then
unit_of "$process"
fi
}
command_of(){
tr '\0' ' ' 2>/dev/null <"/proc/$(shows "$1" MainPID)/cmdline"||:
}
options_given(){
sed 's/ -o */\n-o/g'|sed -n '
    s/ -.*//
    s/ \[listener\].*//
    s/^-o//p'
}
settings_for(){
from="addr=${1%,*},host=${1#*,}"
to="laddr=${HERE:-127.0.0.1},lport=${SSH_PORT:-22}"
shift
while IFS= read -r option;do
[ -z "$option" ]||set -- "$@" -o "$option"
done <<OPTIONS
$sshd_options
OPTIONS
sshd -T -C "user=$LOGIN,$from,$to,rdomain=" "$@"
}
origins(){
looks_up=$(printf '%s\n' "$general_settings"|grep -x 'usedns yes'||:)
awk '!seen[$0]++'|while read -r address;do
host=
if [ -n "$looks_up" ];then
host=$(getent hosts "$address"|awk '{ print $2; exit }')
fi
echo "$address,${host:-$address}"
done
}
say_lists_that_keep_out(){
printf '%s\n' "$2"|lists_that_keep_out "$1"|while read -r list;do
echo "sshd keeps user $LOGIN out $(how_to_let_in "$list")"
done
}
lists_that_keep_out(){
groups=$(id -Gn "$LOGIN" 2>/dev/null||:)
while read -r list pattern;do
case $list in
allowusers)names=$LOGIN;;
denyusers)names=$LOGIN
case $pattern in
*@*)is_like "$1" "${pattern#*@}"||continue
esac
;;
allowgroups|denygroups)names=${groups:-$LOGIN};;
*)continue
esac
if any_is_like "$names" "${pattern%@*}";then
echo "$list has-it"
else
echo "$list has-others"
fi
done|awk '
    { is_set[$1] }
    $2 == "has-it" { has_it[$1] }
    END { for (list in is_set) if ((list ~ /^deny/) == (list in has_it)) print list }'
}
any_is_like(){
for name in $1;do
if is_like "$name" "$2";then
return
fi
done
false
}
is_like(){
case $1 in
$2);;
*)false
esac
}
how_to_let_in(){
file=$(grep -il "^[[:space:]]*$1[[:space:]=]" /etc/ssh/sshd_config \
/etc/ssh/sshd_config.d/*.conf 2>/dev/null|head -n 1)
file=${file:-its file}
group=$(id -gn "$LOGIN" 2>/dev/null||echo "$LOGIN")
case $1 in
allowusers)echo "by AllowUsers; add the line 'AllowUsers $LOGIN' to $file";;
allowgroups)echo "by AllowGroups; add the line 'AllowGroups $group' to $file";;
denyusers)echo "by DenyUsers; take what means it out of DenyUsers in $file";;
denygroups)echo "by DenyGroups; take its groups out of DenyGroups in $file"
esac
}
say_type_that_is_not_taken(){
if [ -n "$1" ]&&! printf '%s\n' "$2"|takes_type "$1";then
echo "sshd takes no $1 keys; add $1 to PubkeyAcceptedAlgorithms there," \
"or set tunnelPrivateKey to a key of a type that it takes"
fi
}
takes_type(){
case $1 in
ssh-rsa)signs_by='rsa-sha2-512 rsa-sha2-256';;
*)signs_by=$1
esac
while read -r keyword accepted;do
case $keyword in
pubkeyaccepted*);;
*)continue
esac
for name in $signs_by;do
case ,$accepted, in
*",$name,"*)return
esac
done
return 1
done
}
public_key_in(){
echo "${1#* }"
}
key_in(){
before_name=${1% *}
echo "${before_name##* }"
}
key_type(){
before_name=${1% *}
before_key=${before_name% *}
type=${before_key##* }
echo "${type:-${KEY_TYPE-}}"
}
places_opened_by(){
printf '%s\n' "$1"|grep -o '127\.0\.0\.1:[0-9]*'||:
}
refuse_silent_ports(){
for place in $(places_opened_by "$1");do
case $2 in
*"\"$place\""*)continue
esac
port=${place#*:}
[ -n "$(ss -Hltn "sport = :$port")" ]||fail "nothing listens on port $port; start the exporter, or give its port"
done
}
our_lines(){
lines_by_whose 1 "$1"
}
other_lines(){
lines_by_whose 0 "$1"
}
lines_by_whose(){
awk -v ours="$1" -v name="$ID" -v key="$(key_in "$2")" '
    ($NF == name || (index($0, key) && !/^restrict,.* metrics-tunnel-[^ ]*$/)) == ours'
}
end_sessions(){
fingerprint=$(echo "$2"|ssh-keygen -lf - 2>/dev/null|cut -d' ' -f2)
which=$1
if [ "$which" = untold ]&&[ -z "$fingerprint" ];then
which=all
fi
for pause in 0 1;do
sleep "$pause"
for process in $(sessions_to_end "$which" "$fingerprint");do
kill "$process"||:
done
done
if poll 5 "no_session_left $which $fingerprint";then
return
fi
for process in $(sessions_to_end "$which" "$fingerprint");do
kill -KILL "$process"||:
done
poll 5 "no_session_left $which $fingerprint"||fail "sessions of user $LOGIN do not end (processes" \
"$(sessions_to_end "$which" "$fingerprint"|tr '\n' ' ')); see: ps -u $LOGIN"
}
no_session_left(){
[ -z "$(sessions_to_end "$1" "${2-}")" ]
}
sessions_to_end(){
for process in $(processes_of_login);do
if is_in_a_container "$process";then
continue
fi
if [ "$1" = all ];then
echo "$process"
continue
fi
accepted=$(accepted_for "$process")||continue
case $1,$accepted in
untold,)echo "$process";;
*" ${2:-of no key}")echo "$process"
esac
done
}
processes_of_login(){ find /proc -maxdepth 1 -user "$LOGIN"|sed 's/.*\///';}
is_in_a_container(){
grep -q 'NSpid.*[0-9]\s' "/proc/$1/status" 2>/dev/null
}
accepted_for(){
parent=$(sed -n 's/^PPid:.//p' "/proc/$1/status" 2>/dev/null)||return 1
journalctl -b -qo cat "_PID=$parent"|grep '^Accepted pub'|tail -n 1
}
session_addresses(){
for process in $(processes_of_login 2>/dev/null);do
ss -Htnp state established|sed -n "s/^.* \([^ ]*\):[0-9]* .*pid=$process,.*/\1/p"
done|sed 's/^\[//; s/]$//; s/^::ffff://'
}
refuse_shut_out(){
obstacle=$(shut_out|head -n 1)
[ -z "$obstacle" ]||fail "$obstacle"
}
shut_out(){
shut_out_by_tcp_wrappers
if printf '%s\n' "$general_settings"|grep -qx 'usepam yes';then
shut_out_by_nologin
shut_out_by_pam_access
fi
}
shut_out_by_tcp_wrappers(){
rule=$(tcp_wrapper_rules|rule_that_keeps_out sshd)
if [ -n "$rule" ];then
clients=${FROM:-ADDRESS, the one that the server comes from}
echo "TCP wrappers keep the server out by '${rule#-:}' of /etc/hosts.deny;" \
"add to /etc/hosts.allow: sshd: $clients" \
"(where that is not what it comes from, give egress too)"
fi
}
tcp_wrapper_rules(){
grep -qs '^[^#]' /etc/hosts.allow /etc/hosts.deny||return 0
ldd "$(command -v sshd)" 2>/dev/null|grep -q libwrap||return 0
for verdict in allow deny;do
sed -e :more -e '/\\$/{N;s/\\\n//;b more' -e '}' "/etc/hosts.$verdict" 2>/dev/null|awk -v verdict="$verdict" "$TCP_WRAPPER_RULES_AWK"
done
}
shut_out_by_nologin(){
account_rules pam_nologin >/dev/null||return 0
if [ -e /etc/nologin ];then
echo "/etc/nologin lets nobody in but root; take it away"
fi
if [ -e /run/nologin ];then
echo "/run/nologin lets nobody in but root while the machine boots or is to shut down;" \
"run again when it has, or take it away"
fi
}
shut_out_by_pam_access(){
asking=$(account_rules pam_access)||return 0
case $asking in
*fieldsep=*|*listsep=*)return 0
esac
its_file=$(printf '%s\n' "$asking"|sed -n 's/.*[[:space:]]accessfile=\([^[:space:]]*\).*/\1/p'|head -n 1)
rule=$(access_rules "$its_file"|rule_that_keeps_out "$LOGIN")
if [ -n "$rule" ];then
echo "PAM keeps user $LOGIN out by '$rule' of ${its_file:-/etc/security/access.conf};" \
"add before that line: + : $LOGIN : ALL"
fi
}
account_rules(){
included=$(sed -n '
    s/^@include[[:space:]]*//p
    s/^-*account[[:space:]]*\(include\|substack\)[[:space:]]*//p' /etc/pam.d/sshd 2>/dev/null)
{ grep -hs "^-*account[[:space:]].*$1\.so" $(printf '/etc/pam.d/%s\n' sshd $included)||:;}|grep .
}
access_rules(){
if [ -n "$1" ];then
cat "$1" 2>/dev/null||:
else
cat /etc/security/access.conf /etc/security/access.d/*.conf 2>/dev/null||:
fi
}
rule_that_keeps_out(){
awk -v name="$1" -v addresses="${FROM-}" "$RULE_THAT_KEEPS_OUT_AWK"
}
TCP_WRAPPER_RULES_AWK='
BEGIN { FS = ":" }

/^[ \t]*(#|$)/ { next }

{ its_verdict = tolower($3) ~ /^[ \t]*(allow|deny)[ \t]*$/ ? tolower($3) : verdict }

{ print (its_verdict ~ /allow/ ? "+" : "-") ":" $1 ":" $2 }
'
RULE_THAT_KEEPS_OUT_AWK='
BEGIN { addresses = " " addresses " " }

/^[ \t]*(#|$)/ { next }

{
  sign = before_colon($0)
  gsub(/[ \t]/, "", sign)
  names = before_colon(behind_colon($0))
  origins = behind_colon(behind_colon($0))
  if (list_fits(names, "name", sign) && list_fits(origins, "origin", sign)) {
    if (sign == "-") print
    exit
  }
}

function before_colon(text) { return substr(text, 1, index(text, ":") - 1) }
function behind_colon(text) { return substr(text, index(text, ":") + 1) }

function list_fits(list, kind, sign,   words, count, i, fits) {
  count = split(list, words, /[ ,\t]+/)
  for (i = 1; i <= count; i++) {
    if (words[i] == "EXCEPT") {
      if (!fits) return 0
      sub(/^.*[ ,\t]EXCEPT[ ,\t]/, "", list)
      return !list_fits(list, kind, "+")
    }
    if (words[i] != "" && word_fits(words[i], kind, sign)) fits = 1
  }
  return fits
}

function word_fits(word, kind, sign) {
  return kind == "name" ? is_name(word) : is_origin(word, sign)
}

function is_name(word) { return word == "ALL" || word == name || word == "(" name ")" }

function is_origin(word, sign,   is_met) {
  if (word == "ALL") return 1
  if (word == "LOCAL") return 0
  is_met = index(addresses, " " word (word ~ /\.$/ ? "" : " ")) > 0
  if (addresses_are_plain() && word ~ /^[0-9.]+$/) return is_met
  return sign == "+" || is_met
}

function addresses_are_plain() { return addresses ~ /[0-9]/ && addresses !~ /[^0-9. ]/ }
'
paths(){
home=$(getent passwd "$LOGIN"|cut -d: -f6)
keys_file=$home/.ssh/authorized_keys
made_note=$STORE/made-for-$LOGIN
}
as_login(){ runuser -u "$LOGIN" -- "$@";}
preflight(){
paths
know_sshd
problem=$(what_keeps_out "$LINE"|head -n 1)
[ -z "$problem" ]||fail "$problem, or leave login out"
read_keys
refuse_silent_ports "$LINE" "$(kept line&&printf %s "$content")"
}
what_keeps_out(){
if ! [ -d "$home" ];then
echo "no user $LOGIN with a home here; create it"
return
fi
for path in "$home" "$home/.ssh" "$keys_file";do
say_untrusted "$path"
done
shut_out
if ! complaint=$(sshd -t 2>&1);then
echo "sshd's configuration is invalid, mend it: $complaint"
return
fi
for origin in $(printf '%s\n' 127.0.0.1 ${FROM-}|origins);do
settings=$(settings_for "$origin")
found=$(problems "$origin" "$settings" "$1")
if [ -n "$found" ];then
printf '%s\n' "$found"
return
fi
done
}
say_untrusted(){
owner_and_mode=$(stat -c '%U %A' "$1" 2>/dev/null)||return 0
owner=${owner_and_mode% *}
mode=${owner_and_mode#* }
case $mode in
l*)echo "$1 is a link, through which no key is put;" \
"put a file or folder of $LOGIN's own in its place"
return
esac
if [ "$owner" != "$LOGIN" ];then
echo "$1 belongs to $owner, and sshd trusts $LOGIN's own alone; chown $LOGIN $1"
return
fi
case $mode in
[d-]????-??-?*);;
*)echo "$1 is for others to write ($mode), and sshd does not trust it; chmod go-w $1"
esac
}
problems(){
case $1 in
127.0.0.1,*)whom=$LOGIN;;
*)whom="$LOGIN from ${1%,*}"
esac
printf '%s\n' "$2"|while read -r keyword value;do
say_problem "$keyword" "$value" "$whom" "$3"
done
say_lists_that_keep_out "${1%,*}" "$2"
say_type_that_is_not_taken "$(key_type "$3")" "$2"
}
say_problem(){
case $1,$2 in
authorizedkeysfile,*)reads_keys_file "$2"||echo "sshd does not read $keys_file; name it in AuthorizedKeysFile"
;;
allowtcpforwarding,no|allowtcpforwarding,remote)echo "sshd lets $3 forward nothing; set AllowTcpForwarding local for that user"
;;
disableforwarding,yes)echo "sshd lets $3 forward nothing; set DisableForwarding no for that user"
;;
pubkeyauthentication,no)echo "sshd lets $3 in by no key; set PubkeyAuthentication yes for that user"
;;
authenticationmethods,*)is_like " $2 " '* any *'||is_like " $2 " '* publickey *'||echo "sshd wants more of $3 than a key;" \
"add publickey to AuthenticationMethods for that user"
;;
permitopen,*)for place in $(places_not_permitted "$4" "$2")
do
echo "sshd does not let $3 reach $place; add it to PermitOpen for that user"
done
esac
}
reads_keys_file(){
for pattern in $1;do
case $pattern in
"$keys_file"|.ssh/authorized_keys|%h/.ssh/authorized_keys)return 0;;
*/%u/.ssh/authorized_keys)if
[ "${pattern%%/%u/*}/$LOGIN/.ssh/authorized_keys" = "$keys_file" ]
then
return 0
fi
esac
done
false
}
places_not_permitted(){
for place in $(places_opened_by "$1");do
case " $2 " in
*' any '*|*" $place "*|*" 127.0.0.1:* "*|*" *:${place#*:} "*);;
*)echo "$place"
esac
done
}
read_keys(){
begin="--- metrics-tunnel $$ begins"
end="--- metrics-tunnel $$ ends"
content=$(as_login sh -c '
      if [ ! -e "$1" ] && [ ! -L "$1" ]; then
        set -- /dev/null "$2" "$3"
      fi
      printf "%s\n" "$2" && cat "$1" && printf %s "$3"' - "$keys_file" "$begin" "$end")||content=
case $content in
*"$begin
"*"$end"*);;
*)fail "cannot read $keys_file as $LOGIN;" \
"see what keeps that user from it, or leave login out"
esac
content=${content#*"$begin
"}
content=${content%"$end"*}x
}
write_keys(){
printf %s "$1"|as_login sh -c '
    umask 77
    replace() {
      cd "${1%/*}" && rm -f .mt-new || return 1
      if [ -e authorized_keys ]; then
        cp -p authorized_keys .mt-new || return 1
      fi
      cat >.mt-new || return 1
      # Of a file that is not on the disk yet a power cut may leave nothing.
      sync .mt-new 2>/dev/null
      mv .mt-new authorized_keys
    }
    if ! replace "$1"; then
      rm -f .mt-new
      exit 1
    fi' - "$keys_file"
read_keys
[ "$content" = "$1x" ]||fail "$keys_file does not hold what was written to it; see who else writes it"
}
change(){
read_keys
old_content=$content
old_line=$(kept line)
lines_before=$(printf %s "${content%x}"|our_lines "$old_line")
joined=$(kept joined)
if lacks_last_newline "$content";then
joined=joined
fi
made_file=no
if [ "$content" = x ]&&! as_login test -e "$keys_file";then
made_file=yes
note_what_we_make
fi
write_keys "$(printf %s "${content%x}"|other_lines "$LINE"
echo "$LINE")
"
if [ -n "$old_line" ];then
end_sessions_of_before "$old_line" "$lines_before"
fi
}
end_sessions_of_before(){
old_key=$(public_key_in "$1")
if [ "$2" != "$1" ]||[ "$old_key" != "$(public_key_in "$LINE")" ];then
end_sessions told "$old_key"
fi
}
lacks_last_newline(){
case $1 in
x)false;;
*'
x')false;;
*)
esac
}
note_what_we_make(){
made_folder=
if ! as_login test -e "$home/.ssh";then
made_folder=$home/.ssh
fi
mkdir -p "$STORE"
[ -e "$made_note" ]||echo "$made_folder" >"$made_note"
if [ -n "$made_folder" ];then
as_login mkdir -m 700 "$made_folder"
fi
}
record(){
keep line "$LINE"
keep joined "$joined"
}
undo(){
case ${made_file-} in
yes)take_file;;
no)write_keys "${old_content%x}"
esac
}
take_file(){
as_login rm -f "$keys_file" "$home/.ssh/.mt-new"
made_folder=$(cat "$made_note")
[ -z "$made_folder" ]||as_login rmdir "$made_folder"||:
rm -f "$made_note"
}
restore(){
paths
if [ ! -d "$home" ];then
rm -f "$made_note"
return
fi
as_login rm -f "$home/.ssh/.mt-new"
read_keys
old_content=$content
left=$(left_without_ours)
left=${left%x}
if [ -z "$left" ]&&[ -e "$made_note" ];then
take_file
elif printf %s "$old_content"|grep -q " $ID\$";then
write_keys "$left"
printf %s "$left"|grep -q ' metrics-tunnel-[^ ]*$'||rm -f "$made_note"
fi
end_sessions told "$(public_key_in "$LINE")"
}
left_without_ours(){
others=$(printf %s "${content%x}"|other_lines "$LINE"&&echo x)
others=${others%x}
case $(kept joined),$content in
joined,*" $ID
x")others=${others%?}
esac
printf %sx "$others"
}
