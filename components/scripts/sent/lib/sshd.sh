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
