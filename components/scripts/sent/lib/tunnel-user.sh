tunnel_user_is_there(){ getent passwd "$LOGIN" >/dev/null;}
tunnel_group_is_there(){ getent group "$LOGIN" >/dev/null;}
tunnel_user_is_ours(){
case $(getent passwd "$LOGIN") in
*"$USER_COMMENT"*);;
*)false
esac
}
make_tunnel_user(){
made_user=
made_group=
if tunnel_user_is_there;then
if [ -n "$(tunnel_user_drift)" ];then
mend_tunnel_user
fi
return
fi
if tunnel_group_is_there;then
set -- -g "$LOGIN"
else
made_group=1
set -- -U
fi
made_user=1
useradd -r -M "$@" -s /usr/sbin/nologin -d /nonexistent -p '*' -c "$USER_COMMENT" "$LOGIN"
let_tunnel_user_never_expire
}
mend_tunnel_user(){
tunnel_group_is_there||groupadd -r "$LOGIN"
usermod -g "$LOGIN" -s /usr/sbin/nologin -d /nonexistent -p '*' -G '' "$LOGIN"
let_tunnel_user_never_expire
}
let_tunnel_user_never_expire(){ chage -M -1 -I -1 -E -1 "$LOGIN";}
unmake_tunnel_user(){
if [ -n "${made_user-}" ];then
userdel "$LOGIN"
if [ -n "$made_group" ]&&tunnel_group_is_there;then
groupdel "$LOGIN"
fi
fi
}
tunnel_user_drift(){
if ! account=$(getent passwd "$LOGIN");then
echo "user $LOGIN is missing"
return
fi
home_and_shell=$(echo "$account"|cut -d: -f6,7)
[ "$home_and_shell" = /nonexistent:/usr/sbin/nologin ]||echo "user $LOGIN has another shell or home: $home_and_shell"
[ "$(getent shadow "$LOGIN"|cut -d: -f2)" = '*' ]||echo "user $LOGIN has a password or is locked"
ages=$(getent shadow "$LOGIN"|cut -d: -f5,7,8)
case $ages in
::|99999::|-1:-1:-1);;
*)echo "user $LOGIN expires, or its password does: chage -l $LOGIN"
esac
group=$(id -gn "$LOGIN"||:)
[ "$group" = "$LOGIN" ]||echo "user $LOGIN has group $group instead of one of its own"
others=$(id -Gn "$LOGIN"|tr ' ' '\n'|grep -vx -e "$LOGIN" -e "$group"|tr '\n' ' ')
[ -z "$others" ]||echo "user $LOGIN is in the groups ${others% }"
}
