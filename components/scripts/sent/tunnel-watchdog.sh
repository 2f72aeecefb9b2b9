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
sandbox(){
without_unknown_settings <<SANDBOX
NoNewPrivileges=yes
CapabilityBoundingSet=
SecureBits=noroot-locked
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @setuid @keyring @memlock
NoExecPaths=/
ExecPaths=$1 /usr/lib /lib -/lib64
InaccessiblePaths=-/boot -/srv -/media -/mnt -/var/lib -/run/dbus
TasksMax=8
MemoryMax=64M
LimitCORE=0
OOMScoreAdjust=-200
[Install]
WantedBy=multi-user.target
SANDBOX
}
without_unknown_settings(){
if [ "$systemd_version" -ge 248 ];then
cat
else
grep -v -e '^PrivateIPC=' -e '^NoExecPaths=' -e '^ExecPaths='
fi
}
note_unit(){
refuse_dropins_by_prefix
ran_before=
worked_before=
case $(shows "$unit" ActiveState) in
active|activating|reloading)ran_before=yes
esac
if [ -n "$ran_before" ]&&$1;then
worked_before=yes
fi
}
refuse_dropins_by_prefix(){
overriding=$(dropins_by_prefix)
[ -z "$overriding" ]||fail "$unit is overridden by $overriding, as are others whose names begin so;" \
"take that away, or give it another name"
}
dropins_by_prefix(){
{ dropins|grep -v -e '/service\.d/' -e "/$unit.d/"||:;}|paste -sd ' ' -
}
own_dropins(){ dropins|grep "/$unit.d/"||:;}
dropins(){ shows "$unit" DropInPaths|tr ' ' '\n'|grep .||:;}
run_unit(){
remember "$UNITS/multi-user.target.wants/$unit"
systemctl -q enable "$unit"
for dropin in $(own_dropins);do
[ -e "$dropin" ]||continue
remember "${dropin%/*}"
rm -r "${dropin%/*}"
text_changed=1
systemctl daemon-reload
done
started_at=$(date +%s)
if [ -n "$text_changed" ]||! is_running;then
start_again "$unit"||poll 6 is_running||fail "$unit does not start$(why_not_started); see: journalctl -u $unit"
fi
}
is_running(){ systemctl is-active -q "$unit";}
why_not_started(){
journalctl -u "$unit" -qo cat --since "@$started_at"|sed -n 's/^.*: \(Failed at step .*\)/: \1/p'|tail -n 1
}
undo_unit(){
systemctl daemon-reload
if [ ! -e "$unit_file" ];then
lost=$({ (restore) >/dev/null;} 3>&1)
elif [ -z "$ran_before" ];then
systemctl stop "$unit"
else
start_again "$unit"
flock -u 9
if [ -n "$worked_before" ];then
poll 20 "$1"||lost="$unit does not work as before; see: journalctl -u $unit"
fi
fi
}
drop_unit(){
systemctl stop "$unit"||:
away "$unit_file" "$unit_file.d.mt-old" "$UNITS/multi-user.target.wants/$unit" "$@"
systemctl daemon-reload
systemctl reset-failed "$unit" 2>/dev/null||:
}
shared(){ true;}
unit_text(){
cat <<UNIT
# Managed by metrics-tunnel
[Unit]
Description=Ends SSH tunnels that hang
[Service]
Type=exec
Restart=always
RestartSec=5
TimeoutStopSec=5
PrivateNetwork=yes
User=metrics-tunnel-ssh
ExecStart=/bin/sh -c '$(watch_loop|as_one_line|for_systemd)'
$(sandbox '/bin /usr/bin'|grep -v '^ProtectProc=')
UNIT
}
watch_loop(){
cat <<'LOOP'
while :; do
  n=$(for p in $(find /proc -maxdepth 1 -user metrics-tunnel-ssh); do
    grep -qsx ssh $p/comm && grep -qs /metrics-tunnel- $p/cgroup &&
    echo ${p##*/} $(grep -s ctxt $p/status);
  done);
  echo "$n" | grep . | grep -Fx "$o" | while read -r p r; do
    case $q in
      *"$p $r"*) ;;
      *) grep -qs "^State:.[DTt]" /proc/$p/status || continue;;
    esac;
    echo "ssh $p hangs and is ended";
    kill -9 $p;
  done;
  q=$o; o=$n; sleep 7;
done
LOOP
}
as_one_line(){ sed 's/^ *//'|paste -sd ' ' -;}
for_systemd(){ sed 's/\$/$$/g';}
paths(){
unit=metrics-tunnels-watchdog.service
UNITS=/etc/systemd/system
unit_file=$UNITS/$unit
TUNNELS_USER=metrics-tunnel-ssh
USER_COMMENT='Prometheus tunnels'
}
places(){
paths
echo "$unit_file"
}
preflight(){
paths
refuse_foreign_user
refuse_foreign_unit
note_unit watches
}
refuse_foreign_user(){
if user_is_there;then
user_is_ours||fail "user $TUNNELS_USER is there and not ours; rename it"
elif group_is_there&&[ ! -d "$RECEIPT" ];then
fail "group $TUNNELS_USER is there and not ours; rename it, or delete it:" \
"groupdel $TUNNELS_USER"
fi
}
refuse_foreign_unit(){
[ ! -s "$unit_file" ]||[ -d "$RECEIPT" ]||grep -q metrics-tunnel "$unit_file"||fail "$unit_file is not ours; move it away"
}
user_is_there(){ getent passwd "$TUNNELS_USER" >/dev/null;}
group_is_there(){ getent group "$TUNNELS_USER" >/dev/null;}
user_is_ours(){
case $(getent passwd "$TUNNELS_USER") in
*"$USER_COMMENT"*);;
*)false
esac
}
change(){
text_changed=
made_user=
if user_is_there;then
mend_user
else
made_user=yes
make_user
restart_what_ran_as_the_old_one
fi
put "$unit_file" "$(unit_text)"
run_unit
}
mend_user(){
if [ "$(id -Gn "$TUNNELS_USER")" != "$TUNNELS_USER" ];then
group_is_there||groupadd -r "$TUNNELS_USER"
usermod -g "$TUNNELS_USER" -G '' "$TUNNELS_USER"
fi
}
make_user(){
if group_is_there;then
set -- -g "$TUNNELS_USER"
else
set -- -U
fi
useradd -r "$@" -d /nonexistent -s /usr/sbin/nologin -c "$USER_COMMENT" "$TUNNELS_USER"
}
restart_what_ran_as_the_old_one(){
text_changed=1
systemctl reset-failed 'metrics-tunnel-*.service' 2>/dev/null||:
systemctl try-restart 'metrics-tunnel-*.service'||fail "tunnels do not start as the new user $TUNNELS_USER;" \
"see: journalctl -u 'metrics-tunnel-*'"
}
record(){
manifest "$unit_file"
rm -f "$RECEIPT/group"
}
prove(){
poll 5 watches||fail "$unit does not watch; see: journalctl -u $unit"
}
watches(){
main_process=$(shows "$unit" MainPID)
grep -sx sleep $(children_of "$main_process"|sed 's/$/\/comm/') >/dev/null
}
children_of(){
grep -lx "PPid:.$1" /proc/[0-9]*/status 2>/dev/null|sed 's/\/status$//'
}
undo(){
undo_unit watches
if [ -n "$made_user" ]&&[ -e "$unit_file" ];then
lost="${lost:+$lost; }user $TUNNELS_USER stays, made anew"
fi
}
restore(){
paths
drop_unit
if a_tunnel_is_left;then
return 0
fi
if user_is_ours;then
keep group "$TUNNELS_USER"
poll 5 delete_user||fail "cannot delete user $TUNNELS_USER; see: ps -u $TUNNELS_USER"
fi
if [ -n "$(kept group)" ]&&group_is_there;then
groupdel "$TUNNELS_USER"
fi
}
a_tunnel_is_left(){ grep -qs . "$UNITS"/metrics-tunnel-*.service;}
delete_user(){
find /proc -maxdepth 1 -user "$TUNNELS_USER"|while read -r folder;do
grep -q 'NSpid.*[0-9]\s' "$folder/status"||kill "${folder#/proc/}"||:
done
userdel "$TUNNELS_USER"
}
