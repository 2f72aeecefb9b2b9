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
