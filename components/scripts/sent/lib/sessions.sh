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
