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
