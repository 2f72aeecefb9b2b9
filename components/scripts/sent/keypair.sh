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
preflight(){
command -v ssh-keygen >/dev/null||fail "no ssh-keygen here; install the OpenSSH client"
is_ours_or_none||fail "$KEY is there and not from this stack; move it away"
}
is_ours_or_none(){
[ ! -e "$KEY" ]||[ -d "$RECEIPT" ]||grep -qs " $COMMENT$" "$KEY.pub"
}
change(){
mkdir -p -m 700 "${KEY%/*}"
remember "$KEY"
new_key=$KEY.mt-new
write_key
! cmp -s "$new_key" "$KEY"||touch -r "$KEY" "$new_key"
put "$KEY.pub" "$(echo "$public_key"|cut -d' ' -f1,2) $COMMENT"
replace "$KEY" "$new_key"
label "$KEY"
}
write_key(){
if [ -n "$PRIVATE_KEY" ];then
printf '%s\n' "$PRIVATE_KEY" >"$new_key"
elif [ -e "$KEY" ];then
cp "$KEY" "$new_key"
fi
public_key=$(public_half "$new_key")||{
[ -z "$PRIVATE_KEY" ]||fail "tunnelPrivateKey is no private key without passphrase; give another"
rm -f "$new_key"
ssh-keygen -q -t ed25519 -N '' -f "$new_key"
public_key=$(public_half "$new_key")||fail "ssh-keygen makes no key here; see what it says: ssh-keygen -y -f $KEY"
}
}
public_half(){
(chmod 600 "$1"&&ssh-keygen -y -P '' -f "$1") 2>/dev/null|grep -xE '(ssh|ecdsa)-[a-z0-9-]+ AAAA[A-Za-z0-9+/]+={0,2}( .*)?'
}
record(){
manifest "$KEY" "$KEY.pub"
echo "metrics-tunnel $(cat "$KEY.pub")"
}
places(){ echo "$KEY";}
undo(){
rm -f "$KEY"*.mt-*
drop_folder
}
restore(){
users=$(grep -ls "^LoadCredential=key:$KEY$" /etc/systemd/system/metrics-tunnel-*.service||:)
if [ -n "$users" ];then
fail "$KEY is still used by ${users##*/}; take offline out of that host," \
"or set rotation as it was, then run again"
fi
away "$KEY" "$KEY.pub"
drop_folder||:
}
drop_folder(){
rmdir -p "${KEY%/*}" 2>/dev/null
}
