unit_text(){
cat <<UNIT
# Managed by metrics-tunnel, stack $STACK; key $KEY_ID
[Unit]
Description=SSH tunnel to $HOST
Wants=network-online.target
After=network-online.target nss-lookup.target
StartLimitIntervalSec=0
[Service]
Type=exec
Restart=always
RestartSec=5
User=metrics-tunnel-ssh
UMask=0077
ExecStart=/usr/bin/ssh -NTF none \
-oIdentitiesOnly=yes -oIdentityFile=\${CREDENTIALS_DIRECTORY}/key \
-oUserKnownHostsFile=\${CREDENTIALS_DIRECTORY}/known_hosts -oGlobalKnownHostsFile=/dev/null \
-oStrictHostKeyChecking=yes -oHostKeyAlias=$HOST -oUpdateHostKeys=no \
-oBatchMode=yes -oExitOnForwardFailure=yes \
-oConnectTimeout=5 -oServerAliveInterval=5 -oServerAliveCountMax=2 \
-p $SSH_PORT $(forward_options) -- $LOGIN@$ADDRESS
LoadCredential=key:$KEY
LoadCredential=known_hosts:$known_hosts_file
$(sandbox /usr/bin/ssh)
UNIT
}
forward_options(){ printf '%s\n' "$FORWARDS"|sed 's/[^ ][^ ]*/-L &/g';}
paths(){
unit=metrics-tunnel-$HOST.service
UNITS=/etc/systemd/system
unit_file=$UNITS/$unit
known_hosts_file=/etc/metrics-tunnel/known_hosts/$HOST
}
places(){
paths
echo "$unit_file" "$known_hosts_file"
}
preflight(){
paths
[ -x /usr/bin/ssh ]||fail "no /usr/bin/ssh; install the OpenSSH client here" \
"(openssh-client, on Red Hat openssh-clients)"
refuse_foreign_unit
refuse_used_listens
refuse_without_credentials
note_unit logged_in
}
refuse_foreign_unit(){
[ ! -s "$unit_file" ]||grep -qF "stack $STACK;" "$unit_file"||held_by_this_stack||fail "$unit_file is another stack's; rename the host"
}
refuse_used_listens(){
our_ssh=$(shows "$unit" MainPID)
for scrape in $LISTENS;do
listen=${scrape%%/*}
others=$(others_that_listen "$listen" "$our_ssh")
[ -n "$others" ]||continue
process=${others#*pid=}
case $(unit_of "${process%%,*}") in
metrics-tunnel-*)fail "$listen is another host's; take that one out first, or give another listen"
esac
program=${others#*\"}
fail "$listen is used by ${program%%\"*}; give another listen"
done
}
others_that_listen(){
ss -Hltnp "sport = :${1##*:}"|awk -v listen="$1" -v ours="pid=$2," '
    !index($0, ours) && ($4 == listen || $4 ~ /^(\*|0\.0\.0\.0|\[::\]):/)'
}
refuse_without_credentials(){
empties='^[[:space:]]*LoadCredential\(Encrypted\)\{0,1\}[[:space:]]*=[[:space:]]*$'
for dropin in $(dropins_for_all_services);do
if grep -qs "$empties" "$dropin";then
fail "$dropin empties LoadCredential= of every service, and the tunnel would get no key;" \
"$(remedy_for "$dropin" "$empties"); systemctl daemon-reload"
fi
done
}
dropins_for_all_services(){
shows systemd-journald.service DropInPaths|tr ' ' '\n'|grep '/service\.d/'||:
}
remedy_for(){
lasting=/etc/systemd/system/service.d
case $1 in
"$lasting"/*)echo "take that line out of it: sed -i '/$2/d' $1"
;;
*)echo "lay a copy without it over that:" \
"mkdir -p $lasting; grep -v '$2' $1 >$lasting/${1##*/}"
esac
}
logged_in(){ ss -Hltnp|grep -q "pid=$(shows "$unit" MainPID),";}
change(){
note_what_is_carried
text_changed=
mkdir -p "${known_hosts_file%/*}"
put "$known_hosts_file" "$HOST $HOST_KEY"
put "$unit_file" "$(unit_text)"
run_unit
}
note_what_is_carried(){
carried_before=
[ -n "$worked_before" ]||return 0
for scrape in $LISTENS;do
case $(metrics_answer "http://$scrape" "$SCRAPE_SECONDS") in
metrics)carried_before="$carried_before $scrape";;
*within*)break
esac
done
}
record(){ manifest "$unit_file" "$known_hosts_file";}
prove(){
flock -u 9
for scrape in $LISTENS;do
poll 20 "carries $scrape"||fail "no scrape through $scrape: $(why_not); see: journalctl -u $unit"
done
}
carries(){
if metrics_from "http://$1" "$SCRAPE_SECONDS";then
return 0
fi
case $answer in
closes*);;
*)return 1
esac
asked_ssh=$(shows "$unit" MainPID)
if [ "$asked_ssh" = "${connected_to-}" ]&&is_refused_there "$1" "$asked_ssh";then
return 0
fi
connected_to=$asked_ssh
false
}
is_refused_there(){
refused_before=$(refusals "$2")
metrics_answer "http://$1" "$SCRAPE_SECONDS" >/dev/null
[ "$(refusals "$2")" -gt "$refused_before" ]
}
refusals(){
journalctl -u "$unit" -b -qo cat "_PID=$1"|grep -c '^channel [0-9]*: open failed: connect failed: Connection refused'||:
}
why_not(){
case $answer in
takes*|closes*)its_error=$(ssh_error)
echo "${its_error:-it $answer$(without_journal)}"
;;
*)echo "the exporter $answer"
esac
}
without_journal(){
[ -n "$(journalctl -b -qn 1)" ]||echo ", and no journal here says why; set Storage=volatile in journald.conf"
}
ssh_error(){
journalctl -u "$unit" -qo cat --since "@$started_at" _TRANSPORT=stdout|grep -E \
-e '^(ssh|ssh_[a-z_]*|kex_[a-z_]*|client_loop|command-line|sign_and_send_pubkey): ' \
-e '^(bind [^ ]+|channel [0-9]+|channel_[a-z_]*): ' \
-e '^Connection (closed|reset|timed out|refused|to [^ ]+ port)' \
-e '^(Timeout, server |Received disconnect|Disconnected)' \
-e '^(Host key verification failed|No .* host key is known|Unable to negotiate)' \
-e '^(Load key|no such identity|Could not request|Bad )' \
-e '^(Too many authentication|Authentication failed)' \
-e ': Permission denied \('|tail -n 1
}
undo(){ undo_unit works_as_before;}
works_as_before(){
logged_in||return 1
for scrape in $carried_before;do
metrics_from "http://$scrape" "$SCRAPE_SECONDS"||return 1
done
}
restore(){
paths
drop_unit "$known_hosts_file"
rmdir -p "${known_hosts_file%/*}" 2>/dev/null||:
}
