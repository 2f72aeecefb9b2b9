dropin(){
without_unknown_timeouts <<DROPIN
# Managed by metrics-tunnel.
Match User metrics-tunnel
AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u
AuthenticationMethods publickey
DisableForwarding no
AllowTcpForwarding local
AllowStreamLocalForwarding no
PermitOpen $1
PermitListen none
GatewayPorts no
MaxSessions 0
ForceCommand /bin/false
PermitTTY no
PermitTunnel no
PermitUserRC no
X11Forwarding no
AllowAgentForwarding no
PasswordAuthentication no
KbdInteractiveAuthentication no
Banner none
ClientAliveInterval 15
ClientAliveCountMax 3
ChannelTimeout *=0
UnusedConnectionTimeout none
Match all
DROPIN
}
without_unknown_timeouts(){
if printf '%s\n' "$general_settings"|grep -q '^unusedconnectiontimeout ';then
cat
else
grep -v -e '^ChannelTimeout ' -e '^UnusedConnectionTimeout '
fi
}
paths(){
LOGIN=metrics-tunnel
USER_COMMENT='Prometheus tunnels'
KEYS_FILE=/etc/ssh/authorized_keys.d/$LOGIN
DROPIN_FILE=/etc/ssh/sshd_config.d/10-metrics-tunnel.conf
UNREAD_MARK=$STORE/sshd-has-to-read
FOUND_FOLDER_MARK=$STORE/found-authorized_keys.d
MADE_FOLDER_MARK=$STORE/made-sshd_config.d
}
places(){
paths
echo "$KEYS_FILE" "$DROPIN_FILE"
}
receipts(){ ls -d "$STORE"/authorized-key-* 2>/dev/null||:;}
lines_there(){ cat "$KEYS_FILE" 2>/dev/null||:;}
preflight(){
paths
know_sshd
refuse_foreign_user
refuse_foreign_dropin
refuse_silent_ports "$LINE" "$(kept line&&lines_there)"
refuse_invalid_settings
refuse_sshd_that_nobody_reloads
refuse_sshd_with_another_file
refuse_shut_out
wanted=$(dropin_for "${LINE:-$(kept line)}")
refuse_disobeyed "$wanted"
if [ "$(cat "$DROPIN_FILE" 2>/dev/null)" != "$wanted" ]||[ -e "$UNREAD_MARK" ];then
refuse_to_close_a_port
fi
}
refuse_foreign_user(){
if tunnel_user_is_there;then
tunnel_user_is_ours||fail "user $LOGIN is there and not ours; rename it"
elif tunnel_group_is_there&&[ -z "$(receipts)" ];then
fail "group $LOGIN is there and not ours; rename it, or delete it: groupdel $LOGIN"
fi
}
refuse_foreign_dropin(){
dropin_is_ours||fail "$DROPIN_FILE is not ours; move it away"
}
dropin_is_ours(){
[ ! -s "$DROPIN_FILE" ]||[ -d "$RECEIPT" ]||grep -q metrics-tunnel "$DROPIN_FILE"
}
refuse_sshd_that_nobody_reloads(){
[ -n "$sshd_service" ]||is_started_by_socket||fail "no ssh.service or sshd.service runs here, so sshd would not read $DROPIN_FILE;" \
"let systemd start sshd"
}
refuse_sshd_with_another_file(){
case " $sshd_command" in
*' -f /etc/ssh/sshd_config '*);;
*' -f '*)fail "sshd runs with a file of its own (-f, as in /etc/default/ssh)," \
"and would not read $DROPIN_FILE; take -f out there"
esac
}
refuse_disobeyed(){
config=$(config_with_ours "$DROPIN_FILE")
if ! reads_ours "$config";then
if is_included_further "$config" "$DROPIN_FILE";then
return
fi
fail "sshd does not read $DROPIN_FILE;" \
"add to the top of /etc/ssh/sshd_config: Include ${DROPIN_FILE%/*}/*.conf"
fi
for origin in $(key_origins);do
settings=$(settings_foreseen "$origin" "$config" "$1")||continue
refuse_first_problem "$origin" "$settings" "$1"
done
}
key_origins(){
{
printf '%s\n' 127.0.0.1 ${FROM-}
if [ -z "${FROM-}" ];then
session_addresses
fi
}|origins
}
refuse_first_problem(){
problem=$(printf '%s\n' "$2"|problems "$1" "$3" "$(key_type "$LINE")"|head -n 1)
[ -z "$problem" ]||fail "$problem"
}
problems(){
all_settings=$(cat)
if printf '%s\n' "$all_settings"|grep -qx 'pubkeyauthentication no';then
echo "sshd has 'PubkeyAuthentication no'; take that out"
fi
say_lists_that_keep_out "${1%,*}" "$all_settings"
disobeyed=$(printf '%s\n' "$all_settings"|disobeyed_lines "$2")
if [ -n "$disobeyed" ];then
say_disobeyed "$1" "$disobeyed"
fi
say_type_that_is_not_taken "$3" "$all_settings"
}
say_disobeyed(){
case $1 in
127.0.0.1,*)for_whom=;;
*)for_whom=" for logins from ${1%,*}"
esac
first_line=$(printf '%s\n' "$2"|head -n 1)
cause=$(overruled_by "${first_line%% *}" "$DROPIN_FILE")
if [ -z "$cause" ];then
from="addr=${1%,*},host=${1#*,}"
to="laddr=${HERE:-127.0.0.1},lport=${SSH_PORT:-22}"
cause="see what overrules it: sshd -T -C user=$LOGIN,$from,$to"
fi
in_one_line=$(printf '%s\n' "$2"|paste -s -d , -)
echo "sshd does not obey $DROPIN_FILE$for_whom in: $in_one_line; $cause"
}
dropin_for(){
places=$(all_places "$1"|paste -s -d ' ' -)
dropin "${places:-none}"
}
all_places(){
recorded=$(lines_of_others)
{
printf '%s\n' "$1" "$recorded"
grep -s '^restrict,.* metrics-tunnel-[^ ]*$' "$KEYS_FILE"|while IFS= read -r line;do
name=${line##* }
if [ "$name" != "$ID" ]&&! has_a_line_of "$name" "$1
$recorded";then
printf '%s\n' "$line"
fi
done
}|grep -o '127\.0\.0\.1:[0-9]*'|sort -u
}
lines_of_others(){
for folder in $(receipts);do
if [ "$folder" != "$RECEIPT" ];then
cat "$folder/line" 2>/dev/null||:
fi
done
}
has_a_line_of(){
case "$2
" in
*" $1
"*);;
*)false
esac
}
limits_checksum(){ dropin none|grep -v '^PermitOpen'|sha256sum;}
change(){
was_unread=$(unread_mark)
old_line=$(kept line)
by_hand=$(changed_by_hand "$old_line")
make_tunnel_user
make_keys_folder
all_lines=$(lines_there|other_lines "$LINE"&&echo "$LINE")
put "$KEYS_FILE" "$all_lines"
wanted=$(dropin_for "$LINE")
write_dropin "$wanted"
if [ -e "$UNREAD_MARK" ];then
have_sshd_read
fi
for origin in $(key_origins);do
settings=$(settings_for "$origin")
refuse_first_problem "$origin" "$settings" "$wanted"
done
end_sessions_of_before "$old_line" "$by_hand"
}
changed_by_hand(){
if [ -z "$1" ];then
return
fi
wanted_before=$(dropin_for "$1")
if [ -n "$(tunnel_user_drift)" ]||dropin_was_changed "$wanted_before"||[ -e "$UNREAD_MARK" ];then
echo all
elif [ "$(lines_there|our_lines "$1")" != "$1" ];then
echo line
else
echo none
fi
}
dropin_was_changed(){
[ -f "$DROPIN_FILE" ]||return 0
dropin_now=$(cat "$DROPIN_FILE")
[ "$dropin_now" != "$1" ]||return 1
[ "$(kept limits)" != "$(limits_checksum)" ]||return 0
not_ours=$(settings_in "$dropin_now"|grep -vxF "$1"||:)
missing=$(settings_in "$1"|grep -vxF "$(settings_in "$dropin_now")"||:)
[ -n "$not_ours" ]||[ -z "$missing" ]
}
settings_in(){
printf '%s\n' "$1"|sed 's/^[[:blank:]]*//; /^#/d; /^$/d'
}
make_keys_folder(){
if [ ! -d "${KEYS_FILE%/*}" ];then
mkdir -p "$RECEIPT/owners"
mkdir "${KEYS_FILE%/*}"
elif [ ! -e "$KEYS_FILE" ]&&[ -z "$(receipts)" ];then
mkdir -p "$STORE"
: >"$FOUND_FOLDER_MARK"
fi
}
unread_mark(){ ls "$UNREAD_MARK" 2>/dev/null||:;}
write_dropin(){
if [ "$(cat "$DROPIN_FILE" 2>/dev/null)" != "$1" ];then
mkdir -p "$STORE"
: >"$UNREAD_MARK"
fi
if [ ! -d "${DROPIN_FILE%/*}" ];then
: >"$MADE_FOLDER_MARK"
mkdir "${DROPIN_FILE%/*}"
fi
put "$DROPIN_FILE" "$1"
}
have_sshd_read(){
refuse_invalid_settings
has_read=1
reload_sshd
rm -f "$UNREAD_MARK"
[ -z "$lost_places" ]||fail "sshd was reloaded and no longer listens on $lost_places; if that is your way in," \
"stay logged in, see journalctl -u $sshd_service for what keeps it from there," \
"mend that and reload it"
}
end_sessions_of_before(){
old_key=$(public_key_in "$1")
case $2 in
all)end_sessions all '';;
line)end_sessions untold "$old_key";;
none)if
[ "$old_key" != "$(public_key_in "$LINE")" ]
then
end_sessions untold "$old_key"
fi
esac
}
record(){
keep line "$LINE"
keep limits "$(limits_checksum)"
rm -f "$RECEIPT/group"
}
undo(){
unmake_tunnel_user
take_folders
if [ -n "${has_read-}" ];then
if ! (have_sshd_read)&&[ ! -e "$DROPIN_FILE" ];then
rm -f "$UNREAD_MARK"
fi
elif [ -z "${was_unread-}" ];then
rm -f "$UNREAD_MARK"
fi
}
take_folders(){
if [ ! -e "$KEYS_FILE" ]&&[ ! -e "$FOUND_FOLDER_MARK" ];then
rmdir "${KEYS_FILE%/*}" 2>/dev/null||:
fi
if [ ! -e "$DROPIN_FILE" ]&&[ -e "$MADE_FOLDER_MARK" ];then
rmdir "${DROPIN_FILE%/*}" 2>/dev/null||:
fi
if [ ! -e "$KEYS_FILE" ]&&[ ! -e "$DROPIN_FILE" ];then
rm -f "$FOUND_FOLDER_MARK" "$MADE_FOLDER_MARK"
fi
}
restore(){
paths
know_sshd
was_unread=$(unread_mark)
if [ -e "$DROPIN_FILE" ]||[ -e "$UNREAD_MARK" ];then
refuse_to_close_a_port
fi
left=$(lines_there|other_lines "$LINE")
if holds_a_key "$left";then
take_our_line "$left"
else
take_all
fi
}
holds_a_key(){
printf '%s\n' "$1"|grep -q '^ *[^ #]'
}
take_our_line(){
put "$KEYS_FILE" "$1"
wanted=$(dropin_for '')
write_dropin "$wanted"
if [ -e "$UNREAD_MARK" ];then
have_sshd_read
fi
end_sessions untold "$(public_key_in "$LINE")"
}
take_all(){
if [ -e "$DROPIN_FILE" ];then
mkdir -p "$STORE"
: >"$UNREAD_MARK"
fi
away "$DROPIN_FILE" "$KEYS_FILE"
take_folders
if [ -e "$UNREAD_MARK" ];then
have_sshd_read
fi
if tunnel_user_is_ours;then
end_sessions all ''
keep group "$LOGIN"
poll 5 "userdel $LOGIN"||fail "cannot delete user $LOGIN; see: loginctl"
fi
if [ -n "$(kept group)" ]&&tunnel_group_is_there;then
groupdel "$LOGIN"
fi
}
