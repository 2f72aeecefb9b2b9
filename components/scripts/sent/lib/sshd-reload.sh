is_started_by_socket(){
systemctl is-active -q ssh.socket sshd.socket
}
refuse_to_close_a_port(){
if [ -z "$sshd_service" ]||is_started_by_socket;then
return 0
fi
case $sshd_command in
*' -p'*|*' -o'*|*' -f'*)return 0
esac
configured=$(printf '%s\n' "$general_settings"|sed -n 's/^listenaddress \([^ ]*\).*/\1/p'|without_zone)
[ -n "$configured" ]||return 0
to_close=$(places_not_among "$configured" "$(listeners_of "$sshd_service")")
[ -z "$to_close" ]||fail "sshd listens on $to_close, of which its settings say nothing any more:" \
"to reload it would close that; add it there again, or reload sshd yourself"
}
reload_sshd(){
lost_places=
if [ -n "$sshd_service" ]&&is_started_by_socket;then
systemctl restart "$sshd_service"
elif [ -n "$sshd_service" ];then
listeners_before=$(listeners_of "$sshd_service")
systemctl reload "$sshd_service"
poll 5 "all_listen_anew $sshd_service"||{
lost_places=$(places_lost "$listeners_now")
[ -n "$lost_places" ]||fail "sshd did not read its settings anew; see: journalctl -u $sshd_service"
}
fi
}
all_listen_anew(){
if [ -z "$listeners_before" ];then
return 0
fi
listeners_now=$(listeners_of "$1")
[ -n "$listeners_now" ]&&[ -z "$(places_lost "$listeners_now")" ]&&! printf '%s\n' "$listeners_before"|grep -qxF "$listeners_now"
}
places_lost(){
places_not_among "$(printf '%s\n' "$1"|cut -d' ' -f1)" "$listeners_before"
}
listeners_of(){
ss -Hltnpe|awk -v owner="pid=$(shows "$1" MainPID)," '
    index($0, owner) { for (i = 5; i <= NF; i++) if ($i ~ /^ino:/) print $4, $i }'|without_zone
}
without_zone(){ sed 's/%[^]: ]*//';}
places_not_among(){
printf '%s\n' "$2"|while read -r place socket;do
printf '%s\n' "$1"|grep -qxF "$place"||echo "$place"
done|paste -s -d ' ' -
}
